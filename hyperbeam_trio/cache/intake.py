"""Bytes on their way into a store: cut into parts, hashed and written while more of them come.

Three stages work at once, each on a batch of its own and in threads: hashing what goes through,
hashing the parts, and writing these. Whoever adds bytes waits when they fall behind.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Self, TypeAlias

import trio

from hyperbeam_trio.cache.layout import DATA
from hyperbeam_trio.cache.parts import BATCH_BYTES, PART_BYTES
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.message import Link

Piece: TypeAlias = bytes | memoryview
Sinks: TypeAlias = "Sequence[Callable[[memoryview], object]]"
Put: TypeAlias = "Callable[[Mapping[str, bytes]], Awaitable[None]]"

BATCH_PARTS: Final = 1024
"""Parts that are written together at most, where they are small."""
_QUEUED: Final = 1
"""Batches that wait between two stages."""


class Batch(NamedTuple):
    """Parts that belong together, and which sinks get how many of their bytes in turn."""

    parts: list[bytes]
    runs: list[tuple[int, Sinks]]

    def feed(self) -> None:
        """Give the sinks their bytes."""
        runs = iter(self.runs)
        left = 0
        sinks: Sinks = ()
        for part in self.parts:
            view = memoryview(part)
            while view:
                while not left:
                    left, sinks = next(runs)
                piece, view = view[:left], view[left:]
                left -= piece.nbytes
                for sink in sinks:
                    sink(piece)

    def entries(self) -> tuple[list[Link], dict[str, bytes]]:
        """The links to the parts, and what to store."""
        links = [Link(hash_id(part), "binary", len(part)) for part in self.parts]
        return links, {DATA + link.id: part for link, part in zip(links, self.parts, strict=True)}


class Intake:
    """Takes bytes in order. `links` are those of the parts, all of them after `finish`."""

    def __init__(self, put: Put, limiter: trio.CapacityLimiter) -> None:
        self.links: list[Link] = []
        self.size = 0
        self._put = put
        self._limiter = limiter
        self._pieces: list[Piece] = []
        self._filled = 0
        self._parts: list[bytes] = []
        self._batched = 0
        self._cut = 0
        self._runs: list[tuple[int, Sinks]] = []
        self._sends: list[trio.MemorySendChannel[Batch]] = []
        self._working = 0
        self._idle = trio.Event()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Self]:
        """Bytes are taken while this is open."""
        async with trio.open_nursery() as nursery:
            to_feed, fed = trio.open_memory_channel[Batch](_QUEUED)
            to_cut, cut = trio.open_memory_channel[Batch](_QUEUED)
            to_put, put = trio.open_memory_channel[Mapping[str, bytes]](_QUEUED)
            self._sends = [to_feed, to_cut]
            self._working = 3
            nursery.start_soon(self._feed, fed)
            nursery.start_soon(self._hash, cut, to_put)
            nursery.start_soon(self._write, put)
            yield self
            nursery.cancel_scope.cancel()

    async def add(self, piece: Piece, sinks: Sinks = ()) -> None:
        """Take bytes, which go to `sinks` as well, later and in a thread."""
        view = memoryview(piece)
        if view:
            self._note(view.nbytes, sinks)
        while view:
            room = PART_BYTES - self._filled
            taken, view = view[:room], view[room:]
            self._pieces.append(piece if taken.nbytes == len(piece) else taken)
            self._filled += taken.nbytes
            if self._filled == PART_BYTES:
                self._end_part()
                await self._send_full()

    async def cut(self) -> int:
        """Let what comes next begin a part of its own; how many parts there are before it."""
        if self._filled:
            self._end_part()
            await self._send_full()
        return self._cut

    async def finish(self) -> None:
        """All bytes are there: return when they are written."""
        await self.cut()
        await self._send()
        for send in self._sends:
            await send.aclose()
        await self._idle.wait()

    def _note(self, size: int, sinks: Sinks) -> None:
        self.size += size
        if self._runs and self._runs[-1][1] is sinks:
            size += self._runs.pop()[0]
        self._runs.append((size, sinks))

    def _end_part(self) -> None:
        self._parts.append(b"".join(self._pieces))
        self._batched += self._filled
        self._cut += 1
        self._pieces, self._filled = [], 0

    async def _send_full(self) -> None:
        if self._batched >= BATCH_BYTES or len(self._parts) >= BATCH_PARTS:
            await self._send()

    async def _send(self) -> None:
        batch = Batch(self._parts, self._runs)
        beyond = sum(size for size, _ in batch.runs) - self._batched
        self._parts, self._runs, self._batched = [], [], 0
        if beyond:
            # The last piece reaches into the next batch.
            size, sinks = batch.runs.pop()
            batch.runs.append((size - beyond, sinks))
            self._runs = [(beyond, sinks)]
        if batch.parts:
            for send in self._sends:
                await send.send(batch)

    # The stages.

    async def _feed(self, batches: trio.MemoryReceiveChannel[Batch]) -> None:
        async for batch in batches:
            if any(sinks for _, sinks in batch.runs):
                await trio.to_thread.run_sync(batch.feed, limiter=self._limiter)
        self._end()

    async def _hash(
        self,
        batches: trio.MemoryReceiveChannel[Batch],
        to_put: trio.MemorySendChannel[Mapping[str, bytes]],
    ) -> None:
        async with to_put:
            async for batch in batches:
                links, entries = await trio.to_thread.run_sync(batch.entries, limiter=self._limiter)
                self.links += links
                await to_put.send(entries)
        self._end()

    async def _write(self, batches: trio.MemoryReceiveChannel[Mapping[str, bytes]]) -> None:
        async for entries in batches:
            await self._put(entries)
        self._end()

    def _end(self) -> None:
        self._working -= 1
        if not self._working:
            self._idle.set()
