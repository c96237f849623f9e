"""The worker of a process: what it computes is durable before anybody is told (spec/05 §2.5)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.devices.processes.states import States
from hyperbeam_trio.devices.processes.worker import GROUP
from hyperbeam_trio.errors import StoreError
from tests.devices.processes.conftest import spawn

SLOTS = 2 * GROUP + 10


async def _scheduled(node):
    process = await spawn(node)
    for number in range(SLOTS):
        await process.send(number=number)
    return process


async def test_all_slots_on_the_way_are_kept(node):
    process = await _scheduled(node)
    last = await process.state(SLOTS)
    states = States(node.cache, process.id)
    kept = [await states.read(slot) for slot in range(SLOTS + 1)]
    assert [state["at-slot"] for state in kept] == list(range(SLOTS + 1))
    assert unsigned_id(kept[-1]) == unsigned_id(last)


@pytest.mark.parametrize("good", [0, 1, 2])
async def test_what_could_not_be_kept_is_computed_again(node, monkeypatch, good):
    process = await _scheduled(node)
    claim, calls = node.cache.claim, 0

    async def claim_or_fail(named):
        nonlocal calls
        calls += 1
        if calls == good + 1:
            raise StoreError("The disk is full.")
        return await claim(named)

    monkeypatch.setattr(node.cache, "claim", claim_or_fail)
    with pytest.raises(StoreError):
        await process.state(SLOTS)
    states = States(node.cache, process.id)
    assert await states.newest() == (good * GROUP - 1 if good else None)
    assert (await process.state(SLOTS))["at-slot"] == SLOTS
    assert [slot for slot in range(SLOTS) if await states.read(slot) is None] == []


async def test_the_next_slots_are_computed_while_a_group_is_saved(node, monkeypatch):
    process = await _scheduled(node)
    claim, begun, go_on = node.cache.claim, [], trio.Event()

    async def slow_claim(named):
        begun.append(len(named))
        if len(begun) == 1:
            await go_on.wait()
        return await claim(named)

    monkeypatch.setattr(node.cache, "claim", slow_claim)
    states = []

    async def ask():
        states.append(await process.state(SLOTS))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        assert (begun, states) == ([GROUP], [])
        go_on.set()
    assert begun == [GROUP, GROUP, SLOTS + 1 - 2 * GROUP]
    assert states[0]["at-slot"] == SLOTS
