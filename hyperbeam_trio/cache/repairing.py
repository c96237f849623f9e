"""Putting sound values, which another store still has, in the place of damaged and missing ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from hyperbeam_trio.cache.layout import ALIAS, DATA, MESSAGE, PACKED, PARTS, escape
from hyperbeam_trio.cache.verify import Damage, Inspector, verify
from hyperbeam_trio.cache.walk import Progress, read_window
from hyperbeam_trio.store import Store


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of a damaged or missing value: `replaced`, `dropped`, or `lost` (as it was)."""

    key: str
    outcome: Literal["replaced", "dropped", "lost"]
    reason: str


async def repair(
    store: Store, source: Store, *, after: str = "", drop: bool = False
) -> AsyncGenerator[Progress | Repair, None]:
    """Verify `store` behind the key `after`, and take from `source` what is damaged or missing.

    Only what proves sound is taken, and what it needs in turn. With `drop`, damaged values that
    `source` can't replace are deleted, so that they can be computed or written again. Memory: as
    `verify`, and the missing keys of one tree. No node may be writing the same keys meanwhile.
    """
    repairer = _Repairer(store, source, drop)
    async with aclosing(verify(store, after=after, referrers=False)) as findings:
        async for found in findings:
            if isinstance(found, Progress):
                yield found
            waiting = [found] if isinstance(found, Damage) else []
            while waiting:
                outcome, more = await repairer.mend(waiting.pop())
                waiting += more
                yield outcome


class _Repairer:
    def __init__(self, store: Store, source: Store, drop: bool) -> None:
        self._store = store
        self._source = source
        self._drop = drop
        self._sound = Inspector(source)
        self._inspector = Inspector(store)

    async def mend(self, damage: Damage) -> tuple[Repair, list[Damage]]:
        """One value, and what its replacement needs and is missing too."""
        for key in _forms(damage):
            value = await self._find(key)
            if value is not None:
                await self._store.put({key: value})
                needed = await self._inspector.inspect(key, value)
                missing = [d for d in needed if d.kind == "missing" and d.key != damage.key]
                return Repair(damage.key, "replaced", damage.reason), missing
        if self._drop and damage.kind == "damaged":
            await self._store.delete([damage.key])
            return Repair(damage.key, "dropped", damage.reason), []
        return Repair(damage.key, "lost", damage.reason), []

    async def _find(self, key: str) -> bytes | None:
        """The value of a key in the source, if nothing is wrong with it there."""
        ((_, found),) = await read_window(self._source, [key])
        if not isinstance(found, bytes):
            return None
        wrong = [d for d in await self._sound.inspect(key, found) if d.kind == "damaged"]
        return None if wrong else found


def _forms(damage: Damage) -> list[str]:
    """The keys of what can stand in its place: what an id means depends on the store."""
    if damage.kind == "missing" and damage.key.startswith(DATA):
        id = damage.key.removeprefix(DATA)
        return [damage.key, PACKED + id, PARTS + id]
    if damage.kind == "damaged" or not damage.key.startswith(MESSAGE):
        return [damage.key]
    id = damage.key.removeprefix(MESSAGE)
    return [damage.key, ALIAS + escape(id), DATA + id]
