"""One fetch for all who ask for the same thing at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from hyperbeam_trio.errors import HyperbeamError

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
