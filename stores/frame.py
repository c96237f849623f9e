"""The frame around stored values: a checksum over key and value, so that damage is never served.

LMDB has no checksums of its own, and a file can be cut or moved by anybody. CRC-32 finds every
damage of up to 32 bits in a row and all but one in 2**32 others; the key is part of it, so that a
value that lies under a wrong key is found as well. It is no protection from a forger: content
that comes from elsewhere is checked against its hash by the cache.
"""

from __future__ import annotations

from collections import OrderedDict
from zlib import crc32

from hyperbeam_trio.errors import CorruptData

TRAILER_BYTES = 4

_RESIDUE = 0x2144DF1C
"""CRC-32 of anything followed by its own CRC-32: one pass checks a record without cutting it."""


def seal(key: bytes, value: bytes) -> bytes:
    """The value and behind it `crc32(key ‖ value)`, 4 bytes little-endian."""
    return value + crc32(value, crc32(key)).to_bytes(TRAILER_BYTES, "little")


def is_sound(key: bytes, record: bytes | memoryview) -> bool:
    """Whether a sealed record is whole, unchanged, and of this key."""
    return crc32(record, crc32(key)) == _RESIDUE and len(record) >= TRAILER_BYTES


def damaged(place: str, key: str, size: int) -> CorruptData:
    """The error for a record whose checksum does not hold."""
    return CorruptData(
        f"store {place}: the record of {key!r} ({size} bytes) is damaged: its checksum does not "
        "hold. Restore it from a copy, or delete the key."
    )


class Verified:
    """Remembers which versions of large records were checked, so that a view needs no second pass.

    Bounded: the records checked longest ago are forgotten.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._seen: OrderedDict[bytes, object] = OrderedDict()

    def holds(self, key: bytes, version: object) -> bool:
        """Whether this version of the record was noted."""
        return self._seen.get(key) == version

    def note(self, key: bytes, version: object) -> None:
        """Remember that this version is sound."""
        self._seen[key] = version
        self._seen.move_to_end(key)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
