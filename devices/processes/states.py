"""Computed states of a process in a store (spec/05 §3).

The state after slot `n` has the name `computed/PROCESS/slot/n`. A snapshot of what the execution
device holds beside that state is a message of its own, `computed/PROCESS/snapshot/n`; so a state is
the same message, with the same id, whether there is a snapshot or not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Message

NEAR: Final = 64
"""Slots before the one that is wanted whose snapshots are looked for by name, one by one."""

DROPPED: Final = 10_000
"""Snapshots that are let go of at once."""


class States:
    """The states of one process that the store of `cache` has right now."""

    def __init__(self, cache: Cache, process: str) -> None:
        self._cache = cache
        self._prefix = f"computed/{process}/"

    async def read(self, slot: int) -> Message | None:
        """The state after a slot, its nested messages as links; `None` if it is not kept."""
        return await self._read(f"slot/{slot}")

    async def _read(self, name: str) -> Message | None:
        id = await self._cache.lookup(self._prefix + name)
        if id is None:
            return None
        found = await self._cache.read(id, commitments="none")
        if not isinstance(found, Message):
            raise CorruptData(f"{self._prefix}{name} is {id}, and there is no such message.")
        return found

    async def keep(self, states: Mapping[int, Message]) -> None:
        """Keep states by their slots, durably, in one step where nobody has kept them before."""
        named = {f"{self._prefix}slot/{slot}": state for slot, state in states.items()}
        left = list(named.items())
        while left:
            created = await self._cache.claim(dict(left))
            for name, state in left[created : created + 1]:
                await self._cache.write(state, names=[name])
            left = left[created + 1 :]

    async def keep_snapshot(self, slot: int, snapshot: Message) -> None:
        """Keep what the execution device needs to go on from the state after a slot."""
        await self._cache.write(snapshot, names=[f"{self._prefix}snapshot/{slot}"])

    async def drop_snapshots(self, newest: int, kept: int) -> None:
        """Let go of all snapshots before the `kept` ones that end with that of slot `newest`.

        The states stay, and what lies in both. So do snapshots behind that slot: they may be of no
        use here, if they are another node's, or of an older version. Of very many the rest next
        time. Raises `StoreError` where the store keeps everything.
        """
        there = sorted(await self._slots("snapshot"))
        slots = [slot for slot in there if slot <= newest][:-kept][:DROPPED]
        if slots:
            await self._cache.unlink(*(f"{self._prefix}snapshot/{slot}" for slot in slots))

    async def newest(self, known: int | None = None) -> int | None:
        """The highest slot whose state is kept; `known` is one that is kept for sure.

        States are kept from slot 0 on without gaps, or else all of them are looked at.
        """
        if known is None and not await self._has(0):
            return max(await self._slots("slot"), default=None)
        low, step = known or 0, 1
        while await self._has(low + step):
            low, step = low + step, step * 2
        while step > 1:
            step //= 2
            low += step if await self._has(low + step) else 0
        return low

    async def _has(self, slot: int) -> bool:
        return await self._cache.lookup(f"{self._prefix}slot/{slot}") is not None

    async def snapshots(self, limit: int) -> AsyncGenerator[int, None]:
        """Slots up to `limit` that have a snapshot, the highest first.

        Where there is one not far from the limit, those before it need not be looked for.
        """
        far = max(limit - NEAR, -1)
        for slot in range(limit, far, -1):
            if await self._cache.lookup(f"{self._prefix}snapshot/{slot}") is not None:
                yield slot
        for slot in sorted(await self._slots("snapshot"), reverse=True):
            if slot <= far:
                yield slot

    async def read_snapshot(self, slot: int) -> tuple[Message, Message] | None:
        """A state and its snapshot; `None` if one of them is gone."""
        state, snapshot = await self.read(slot), await self._read(f"snapshot/{slot}")
        return None if state is None or snapshot is None else (state, snapshot)

    async def _slots(self, kind: str) -> list[int]:
        prefix = f"{self._prefix}{kind}/"
        names = await self._cache.names(prefix)
        return [int(n) for name in names if (n := name.removeprefix(prefix)).isdigit()]
