"""Processes over HTTP (spec/05 §11)."""

from __future__ import annotations

import httpx

from hyperbeam_trio.testing.node import served
from tests.devices.processes.conftest import spawn


async def _get(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url.rstrip("/") + path)


async def test_the_state_after_a_slot_is_answered_from_memory_the_second_time(node):
    process = await spawn(node)
    await process.send()
    async with served(node) as url:
        first = await _get(url, f"/{process.id}/compute&slot=1")
        again = await _get(url, f"/{process.id}/compute&slot=1")
    assert first.status_code == again.status_code == 200
    assert first.headers["at-slot"] == "1"
    assert first.headers["process+link"] == process.id
    assert (first.headers["cache-status"], again.headers["cache-status"]) == ("miss", "hit")


async def test_what_may_change_is_asked_each_time(node):
    process = await spawn(node)
    async with served(node) as url:
        assert (await _get(url, f"/{process.id}/slot/current")).text == "0"
        assert (await _get(url, f"/{process.id}/now")).headers["at-slot"] == "0"
        await process.send()
        assert (await _get(url, f"/{process.id}/slot/current")).text == "1"
        assert (await _get(url, f"/{process.id}/now")).headers["at-slot"] == "1"


async def test_a_slot_that_is_not_scheduled_says_what_was_tried(node):
    process = await spawn(node)
    async with served(node) as url:
        answer = await _get(url, f"/{process.id}/compute&slot=77")
    assert answer.status_code == 404
    assert answer.headers["attempted-slot"] == "1"
    assert answer.headers["phase"] == "get-schedule"
    assert answer.headers["process-id"] == process.id


async def test_a_state_as_json_with_all_that_is_in_it(node):
    process = await spawn(node)
    await process.send()
    async with served(node) as url:
        path = f"/{process.id}/compute/~json@1.0/serialize?slot=1&accept-bundle=true"
        answer = (await _get(url, path)).json()
    assert answer["results"]["assignment-slot"] == 1
    assert answer["already-seen"] == [1, 0]
