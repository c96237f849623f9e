"""Walking over all that a store holds, in bounded memory, from wherever one stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import trio

from hyperbeam_trio.cache.flights import fetch_each
from hyperbeam_trio.cache.layout import DATA, NAMESPACES
from hyperbeam_trio.errors import BadRequest, CorruptData
from hyperbeam_trio.store import Store

KEYS_AT_A_TIME: Final = 1000
WINDOW: Final = 16
"""Records that are read together; content, which may be large, is read one by one."""

Found: TypeAlias = bytes | CorruptData | None
"""A stored value, the damage that the store itself found, or nothing: deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a walk has come: go on later from behind `cursor`, a store key.

    `count` keys and `size` bytes were done since the walk began.
    """

    cursor: str
    count: int = 0
    size: int = 0

    def plus(self, cursor: str, count: int, size: int) -> Progress:
        """The next one."""
        return Progress(cursor, self.count + count, self.size + size)


class Walk:
    """All keys of a store behind `after`, some at a time, in the order of `namespaces`."""

    def __init__(
        self, store: Store, *, after: str = "", namespaces: Sequence[str] = NAMESPACES
    ) -> None:
        left = list(namespaces)
        while after and left and not after.startswith(left[0]):
            left.pop(0)
        if not left:
            known = ", ".join(namespaces)
            raise BadRequest(f"A walk can't go on from {after!r}; it has only keys of {known}.")
        self._store = store
        self._left = left
        self._after = after

    async def more(self) -> Sequence[str]:
        """The next keys; empty at the end."""
        while self._left:
            keys = await self._store.list(self._left[0], after=self._after, limit=KEYS_AT_A_TIME)
            if keys:
                self._after = keys[-1]
                return keys
            self._left.pop(0)
            self._after = ""
        return ()


def windows(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """`keys` in portions whose values fit in memory together."""
    size = 1 if keys and keys[0].startswith(DATA) else WINDOW
    return (keys[start : start + size] for start in range(0, len(keys), size))


async def read_window(store: Store, keys: Sequence[str]) -> Sequence[tuple[str, Found]]:
    """Each key and what lies under it; other tasks get their turn."""
    if store.scope == "local":
        await trio.lowlevel.checkpoint()
        found = [await _read(store, key) for key in keys]
    else:
        found = await fetch_each(partial(_read, store), keys, WINDOW)
    return list(zip(keys, found, strict=True))


async def _read(store: Store, key: str) -> Found:
    try:
        return await store.get(key)
    except CorruptData as damage:
        return damage
