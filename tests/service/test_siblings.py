"""What the worker processes of a node ask each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import NotFound, RemoteError
from hyperbeam_trio.service import siblings as module
from hyperbeam_trio.service.siblings import Siblings
from tests.support.workers import workers


@pytest.fixture
def three(tmp_path: Path) -> Iterator[list[Siblings]]:
    """Three workers, none of which answers yet."""
    with workers(tmp_path, 3) as found:
        yield found


async def greet(number: int, question: str) -> bytes:
    if question == "unknown":
        raise NotFound("Nobody knows.")
    return f"{question}, {number}".encode()


@asynccontextmanager
async def answering(*workers: Siblings) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for worker in workers:
            await nursery.start(worker.serve, partial(greet, worker.number))
        yield
        nursery.cancel_scope.cancel()


async def test_one_asks_another(three):
    first, second, third = three
    async with answering(first, second):
        assert await third.ask(0, "hello") == b"hello, 0"
        assert await third.ask(1, "hello") == b"hello, 1"
        assert await first.ask(1, "welcome") == b"welcome, 1"


async def test_all_others_are_asked_at_once(three):
    async with answering(*three):
        assert await three[1].ask_others("hi") == {0: b"hi, 0", 2: b"hi, 2"}


async def test_one_that_is_not_there_yet_is_waited_for(three):
    first, second, _ = three
    told = []

    async def ask():
        told.append(await second.ask(0, "hello"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        async with answering(first):
            with trio.fail_after(10):
                while not told:
                    await trio.testing.wait_all_tasks_blocked()
    assert told == [b"hello, 0"]


async def test_who_does_not_answer_in_time_is_left_out(three, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.2)
    first, second, _ = three
    async with answering(second):
        assert await first.ask_others("hello") == {1: b"hello, 1"}


async def test_what_can_not_be_answered_is_no_answer(three):
    first, second, third = three
    async with answering(second, third):
        assert await first.ask(1, "unknown") == b""
        assert await first.ask_others("unknown") == {}
        assert await first.ask(1, "x" * 5000) == b""
        assert await first.ask(1, "hello") == b"hello, 1"


async def test_one_that_ends_in_the_middle_has_no_answer(three):
    first, second, _ = three
    told, asked = [], trio.Event()

    async def never(question: str) -> bytes:
        asked.set()
        await trio.sleep_forever()
        return b""

    async def ask() -> None:
        told.append(await second.ask(0, "hello"))

    async with trio.open_nursery() as nursery, trio.open_nursery() as ending:
        await ending.start(first.serve, never)
        nursery.start_soon(ask)
        await asked.wait()
        ending.cancel_scope.cancel()
    assert told == [b""]


async def test_a_worker_that_never_was_is_an_error(three):
    with pytest.raises(RemoteError, match="Worker 7"):
        await three[0].ask(7, "hello")
