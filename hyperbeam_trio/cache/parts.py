"""Binaries that are larger than memory should hold: stored, read and hashed part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from hashlib import sha256
from typing import Final

import trio

from hyperbeam_trio.cache.layout import DATA, PARTS
from hyperbeam_trio.cache.record import damaged, decode, encode
from hyperbeam_trio.crypto.encoding import hash_id, human_id
from hyperbeam_trio.message import Link, Value

PART_BYTES: Final = 1024 * 1024
"""A binary written in pieces is cut into parts of this size; the last may be smaller."""
BATCH_BYTES: Final = 4 * PART_BYTES
"""Parts that are hashed and made durable together."""
JOIN_BYTES: Final = 256 * 1024 * 1024
"""The largest binary that is put together in memory, unless a cache is told otherwise."""


class Cutter:
    """Cuts a binary into parts, and hashes them and the whole. `size` bytes have come so far."""

    def __init__(self) -> None:
        self.size = 0
        self.links: list[Link] = []
        self._whole = sha256()

    def cut(self, batch: bytes) -> dict[str, bytes]:
        """Store entries of the next bytes; of a multiple of `PART_BYTES`, but for the last ones.

        Takes 1 to 2 ms a MiB: run it in a thread.
        """
        entries = {}
        for start in range(0, len(batch), PART_BYTES):
            part = batch[start : start + PART_BYTES]
            link = Link(hash_id(part), "binary", len(part))
            self.links.append(link)
            entries[DATA + link.id] = part
        self._whole.update(batch)
        self.size += len(batch)
        return entries

    @property
    def id(self) -> str:
        """The id of all that has come."""
        return human_id(self._whole.digest())

    def record(self) -> dict[str, bytes]:
        """The store entry that lists the parts; none where the part is the whole."""
        if len(self.links) < 2:
            return {}
        key = PARTS + self.id
        items: Mapping[str, Value] = {str(n): link for n, link in enumerate(self.links, 1)}
        return {key: encode(key, items, is_list=True)}


def listed_parts(id: str, data: bytes) -> Sequence[Link]:
    """The parts that a record lists, in their order; `CorruptData` if it is damaged."""
    content = decode(PARTS + id, data)
    if not isinstance(content, list) or not content:
        raise damaged(PARTS + id, "it lists no parts")
    parts = [part for part in content if isinstance(part, Link) and part.kind == "binary"]
    if len(parts) < len(content):
        raise damaged(PARTS + id, "it lists what is no part")
    return parts


class Checker:
    """Hashes the parts of a binary as they are read, to tell whether they are what its id says."""

    def __init__(self, id: str, limiter: trio.CapacityLimiter) -> None:
        self._id = id
        self._limiter = limiter
        self._whole = sha256()

    async def add(self, part: bytes) -> None:
        """Hash the next part, in a thread."""
        await trio.to_thread.run_sync(self._whole.update, part, limiter=self._limiter)

    def finish(self) -> None:
        """`CorruptData` unless the parts are the whole."""
        if human_id(self._whole.digest()) != self._id:
            raise damaged(PARTS + self._id, "its parts are not the whole")


async def batches(pieces: AsyncIterator[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    """The same bytes in batches of `BATCH_BYTES`, the last one smaller; none is empty."""
    held = bytearray()
    async for piece in pieces:
        rest = memoryview(piece)
        while len(held) + rest.nbytes >= BATCH_BYTES:
            cut = BATCH_BYTES - len(held)
            held += rest[:cut]
            rest = rest[cut:]
            yield bytes(held)
            held.clear()
        held += rest
    if held:
        yield bytes(held)
