"""The Merkle root of a transaction's data, as Arweave cuts it into chunks (spec/02 §12)."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Final, Literal, TypeAlias

ChunkRule: TypeAlias = Literal["arweave-js", "fixed"]
"""`arweave-js` lets the last two chunks share when the last would be small; `fixed` does not."""

MAX_CHUNK: Final = 256 * 1024
MIN_CHUNK: Final = 32 * 1024
_NOTE_BYTES: Final = 32


def data_root(data: bytes | memoryview, rule: ChunkRule = "arweave-js") -> bytes:
    """The 32-byte root over `data`; empty for no data."""
    if not len(data):
        return b""
    view = memoryview(data)
    level = []
    start = 0
    for size in chunk_sizes(view.nbytes, rule):
        end = start + size
        level.append((_leaf(view[start:end], end), end))
        start = end
    while len(level) > 1:
        level = list(_paired(level))
    return level[0][0]


def chunk_sizes(size: int, rule: ChunkRule = "arweave-js") -> Iterator[int]:
    """The sizes of the chunks of `size` bytes; the last is 0 behind a full one."""
    left = size
    while left >= MAX_CHUNK:
        chunk = MAX_CHUNK
        if rule == "arweave-js" and 0 < left - MAX_CHUNK < MIN_CHUNK:
            chunk = (left + 1) // 2
        yield chunk
        left -= chunk
    yield left


def _paired(level: list[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    for place in range(0, len(level) - 1, 2):
        (left, left_end), (right, right_end) = level[place : place + 2]
        yield _branch(left, right, left_end), right_end
    if len(level) % 2:
        yield level[-1]


def _leaf(chunk: memoryview, end: int) -> bytes:
    content = sha256(sha256(chunk).digest()).digest()
    return sha256(content + _note(end)).digest()


def _branch(left: bytes, right: bytes, left_end: int) -> bytes:
    both = sha256(left).digest() + sha256(right).digest()
    return sha256(both + _note(left_end)).digest()


def _note(offset: int) -> bytes:
    return sha256(offset.to_bytes(_NOTE_BYTES, "big")).digest()
