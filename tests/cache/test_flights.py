"""Tasks that ask for one thing at one time share one fetch."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hyperbeam_trio.cache.flights import Flights
from hyperbeam_trio.errors import StoreError


class Source:
    """Something to fetch, when `ready`; counts the fetches."""

    def __init__(self, error: StoreError | None = None) -> None:
        self.fetches = 0
        self.ready = trio.Event()
        self._error = error

    async def fetch(self) -> int:
        self.fetches += 1
        await self.ready.wait()
        if self._error:
            raise self._error
        return 42


async def test_all_who_wait_get_the_outcome_of_one_fetch() -> None:
    source, flights = Source(), Flights[int]()
    found = []

    async def ask() -> None:
        found.append(await flights.share("key", source.fetch))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        source.ready.set()
    assert found == [42] * 5
    assert source.fetches == 1
    assert await flights.share("key", source.fetch) == 42
    assert source.fetches == 2


async def test_all_who_wait_get_the_error() -> None:
    source, flights = Source(StoreError("broken")), Flights[int]()
    caught = []

    async def ask() -> None:
        with pytest.raises(StoreError, match="broken"):
            await flights.share("key", source.fetch)
        caught.append(True)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        source.ready.set()
    assert caught == [True] * 3
    assert source.fetches == 1


async def test_when_the_first_gives_up_another_fetches() -> None:
    source, flights = Source(), Flights[int]()
    found = []

    async def ask() -> None:
        found.append(await flights.share("key", source.fetch))

    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def ask_and_give_up() -> None:
            with first:
                await ask()

        nursery.start_soon(ask_and_give_up)
        await wait_all_tasks_blocked()
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        first.cancel()
        await wait_all_tasks_blocked()
        source.ready.set()
    assert found == [42, 42]
    assert source.fetches == 2
