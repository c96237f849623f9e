"""Every hostile sequence, through both doors: the answer, and what comes after it."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from tests.http.client import RawClient, connect, request
from tests.http.conftest import OpenDoor, echo
from tests.http.hostile import CASES, Answer, Case


def expected(case: Case, door: str) -> Answer:
    if door == "hypercorn" and case.hypercorn is not None:
        return case.hypercorn
    return case.answers, case.then


async def send(client: RawClient, case: Case) -> None:
    try:
        await client.send(case.data)
        if case.eof:
            await client.stream.send_eof()
    except trio.BrokenResourceError:
        assert len(case.data) > 1 << 20, "only a flood is cut off while it is sent"


async def after(client: RawClient, then: str) -> None:
    if then == "closed":
        assert await client.closed()
    elif then == "lost":
        await client.rest()
    elif then == "open":
        await client.send(request("/after", "Connection: close"))
        response = await client.response()
        assert (response.status, response.body) == (200, b"/after|")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_hostile_sequence_gets_its_answer(
    case: Case, door: str, open_door: OpenDoor
) -> None:
    targets: list[bytes] = []

    async def note(request: HttpRequest) -> HttpResponse:
        targets.append(request.target)
        return await echo(request)

    answers, then = expected(case, door)
    async with open_door(note) as address:
        async with connect(address) as client:
            await send(client, case)
            if then != "lost":
                assert tuple([(await client.response()).status for _ in answers]) == answers
            await after(client, then)
        async with connect(address) as other:
            assert (await other.get("/still-here")).status == 200
    assert not [target for target in targets if b"smuggled" in target]


def test_the_table_is_long_and_its_names_differ() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 80
    assert all(case.why for case in CASES if case.hypercorn)
