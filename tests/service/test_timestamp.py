"""The block clock: the gateway's, the last one known, or honest about having none."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.service.timestamp import BlockTime, TimestampService, read_block

PROD = NodeConfig(mode="prod", gateway="https://gateway.example/")
HASH = "h" * 64


def body(height: int) -> bytes:
    return json.dumps({"timestamp": 1000 + height, "height": height, "indep_hash": HASH}).encode()


class Gateway:
    """Answers in turn; an exception is raised, `None` never comes."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[float, str]] = []
        self._start = trio.current_time()

    async def fetch(self, url: str) -> bytes:
        self.asked.append((trio.current_time() - self._start, url))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await trio.sleep_forever()
        assert isinstance(answer, bytes)
        return answer


@asynccontextmanager
async def running(
    gateway: Gateway, clock: Callable[[], float] = lambda: 77.9
) -> AsyncIterator[TimestampService]:
    service = TimestampService(PROD, gateway.fetch, clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        yield service
        nursery.cancel_scope.cancel()


async def test_in_debug_mode_it_is_always_zero(autojump_clock: MockClock) -> None:
    gateway = Gateway(body(5))
    service = TimestampService(NodeConfig(mode="debug"), gateway.fetch)

    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()

    assert service.now() == BlockTime(0, 0, "A" * 43)
    assert gateway.asked == []


async def test_the_newest_block_is_asked_for_every_15_seconds(autojump_clock: MockClock) -> None:
    gateway = Gateway(body(5), body(6))

    async with running(gateway) as service:
        await trio.sleep(1)
        assert service.now() == BlockTime(1005, 5, HASH)
        await trio.sleep(15)
        assert service.now() == BlockTime(1006, 6, HASH)

    assert gateway.asked == [
        (0.0, "https://gateway.example/block/current"),
        (15.0, "https://gateway.example/block/current"),
    ]


async def test_before_the_first_answer_it_is_the_clock_of_the_machine(
    autojump_clock: MockClock,
) -> None:
    async with running(Gateway(None)) as service:
        assert service.now() == BlockTime(77, 0, "A" * 43, offline=True)


async def test_without_anyone_to_ask_it_is_the_clock_of_the_machine(
    autojump_clock: MockClock,
) -> None:
    service = TimestampService(PROD, clock=lambda: 5.0)

    async with trio.open_nursery() as nursery:
        await nursery.start(service.run)
        nursery.cancel_scope.cancel()

    assert service.now() == BlockTime(5, 0, offline=True)


@pytest.mark.parametrize(
    "problem",
    [RemoteError("The gateway answered 500."), OSError("unreachable"), None, b"nonsense"],
)
async def test_the_last_known_block_stays_and_says_that_it_is_old(
    problem: bytes | Exception | None, autojump_clock: MockClock
) -> None:
    async with running(Gateway(body(5), problem)) as service:
        await trio.sleep(60)
        assert service.now() == BlockTime(1005, 5, HASH, offline=True)


async def test_pauses_grow_while_the_gateway_is_away_and_shrink_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    away = RemoteError("away")
    gateway = Gateway(away, away, away, away, away, away, body(9), body(9))

    async with running(gateway) as service:
        await trio.sleep(1200)
        assert service.now() == BlockTime(1009, 9, HASH)

    times = [at for at, _ in gateway.asked]
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[:8] == [30, 60, 120, 240, 240, 240, 15, 15]


async def test_being_offline_is_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with running(Gateway(RemoteError("away"))):
            await trio.sleep(1000)

    (record,) = caplog.records
    assert record.getMessage() == "No block from https://gateway.example/block/current: away"


async def test_a_mistake_in_the_fetch_function_is_not_hidden(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(KeyError):
        async with running(Gateway(KeyError("mistake"))):
            await trio.sleep(1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "not JSON"),
        pytest.param("[" * 100_000, "not JSON", id="nested too deep"),
        ("[]", "no JSON object"),
        ('{"height": 1, "indep_hash": "x"}', "timestamp None"),
        ('{"timestamp": true, "height": 1}', "timestamp True"),
        ('{"timestamp": 1, "height": -1}', "height -1"),
        ('{"timestamp": 1, "height": 1, "indep_hash": "short"}', "indep_hash 'short'"),
    ],
)
def test_a_bad_block_is_the_gateways_fault(text: str, says: str) -> None:
    with pytest.raises(RemoteError, match=says) as caught:
        read_block(text.encode())

    assert caught.value.status == 502
