"""Fetching many things at once, and one thing once for all who ask for it meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import trio

from hyperbeam_trio.errors import HyperbeamError

K = TypeVar("K")
T = TypeVar("T")


class _Flight(Generic[T]):
    __slots__ = ("done", "error", "landed", "value")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.landed = False
        self.value: T
        self.error: HyperbeamError | None = None


class Flights(Generic[T]):
    """Fetches under way, by key; empty when nobody waits."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def share(self, key: str, fetch: Callable[[], Awaitable[T]]) -> T:
        """`await fetch()`, or the outcome of the fetch of `key` that is under way.

        Its errors go to all who wait. When its caller is cancelled, another who waits fetches.
        """
        while True:
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(key, fetch)
            await flight.done.wait()
            if flight.error is not None:
                raise flight.error
            if flight.landed:
                return flight.value

    async def _lead(self, key: str, fetch: Callable[[], Awaitable[T]]) -> T:
        flight = self._flights[key] = _Flight[T]()
        try:
            flight.value = await fetch()
            flight.landed = True
        except HyperbeamError as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.done.set()
        return flight.value


async def fetch_each(
    fetch: Callable[[K], Awaitable[T]], keys: Sequence[K], at_once: int
) -> list[T]:
    """`fetch` of each key, in their order, `at_once` under way; the first error ends all."""
    found: dict[int, T] = {}
    failures: list[HyperbeamError] = []
    queue = iter(enumerate(keys))
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            try:
                for number, key in queue:
                    found[number] = await fetch(key)
            except HyperbeamError as error:
                failures.append(error)
                nursery.cancel_scope.cancel()

        for _ in range(min(at_once, len(keys))):
            nursery.start_soon(work)
    if failures:
        raise failures[0]
    return [found[number] for number in range(len(keys))]
