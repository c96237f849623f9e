"""Binaries that are larger than memory should hold: stored, read and hashed part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import trio

from hyperbeam_trio.cache.layout import DATA, PARTS
from hyperbeam_trio.cache.record import damaged, decode, encode
from hyperbeam_trio.crypto.encoding import human_id, is_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Value

PART_BYTES: Final = 1024 * 1024
"""A binary written in pieces is cut into parts of this size; the last may be smaller."""
BATCH_BYTES: Final = 2 * PART_BYTES
"""Parts that are hashed and made durable together."""
JOIN_BYTES: Final = 256 * 1024 * 1024
"""The largest binary that is put together in memory, unless a cache is told otherwise."""


def parts_record(id: str, links: Sequence[Link]) -> dict[str, bytes]:
    """The store entry that lists the parts of a binary; none where one part is the whole."""
    if not links:
        return {DATA + id: b""}
    if len(links) == 1:
        return {}
    key = PARTS + id
    items: Mapping[str, Value] = {str(n): link for n, link in enumerate(links, 1)}
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


def write_listing(links: Sequence[Link]) -> bytes:
    """Parts as a text for other nodes: a line with id and size of each."""
    return "\n".join(f"{link.id} {link.size}" for link in links).encode()


def read_listing(text: bytes) -> Sequence[Link]:
    """The parts that a text lists; `BadRequest` if it does not."""
    links = []
    for line in text.decode("ascii", "replace").split("\n"):
        id, _, size = line.partition(" ")
        if not is_id(id) or not (size.isascii() and size.isdigit()):
            raise BadRequest(f"A list of parts has lines with an id and a size, not {line[:80]!r}.")
        links.append(Link(id, "binary", int(size)))
    return links


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
