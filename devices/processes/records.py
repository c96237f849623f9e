"""What was pushed already, for pushes that are to happen once (spec/05 §7.4).

The message that came of the entry `k` of the outbox of slot `n` has the name `pushed/PROCESS/n/k`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.devices.processes.outbox import Sent
from hyperbeam_trio.message import Message


class Records:
    """The records in a store; a push that dies between sending and recording sends again."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def find(self, process: str, slot: int, key: str) -> Sent | None:
        """What became of an entry, if it was recorded."""
        id = await self._cache.lookup(_name(process, slot, key))
        found = None if id is None else await self._cache.read(id)
        if not isinstance(found, Message):
            return None
        return Sent(found.text("id"), found.text("target"), found.int("slot"))

    async def keep(self, process: str, slot: int, key: str, sent: Sent) -> None:
        """Remember durably what became of an entry."""
        await self._cache.write(sent.to_message(), names=[_name(process, slot, key)])


def _name(process: str, slot: int, key: str) -> str:
    return f"pushed/{process}/{slot}/{key}"


class Turns:
    """Lets those who want the same slot pushed once have their turns, one after another."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, int], trio.Lock] = {}

    @asynccontextmanager
    async def of(self, process: str, slot: int) -> AsyncIterator[None]:
        """The turn of one."""
        lock = self._locks.setdefault((process, slot), trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop((process, slot), None)
