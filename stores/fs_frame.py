"""The content of one file of the `fs` store: a header, the key, the value.

The header is `HBF1`, the checksum of all that follows it, the key's length and the value's.
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

HEADER = Struct("<4sIHQ")
MAGIC = b"HBF1"


def frame(key: bytes, value: bytes) -> tuple[bytes, bytes, bytes]:
    """The parts of a file: header, key, value."""
    checksum = crc32(value, crc32(key))
    return HEADER.pack(MAGIC, checksum, len(key), len(value)), key, value


def value_at(key: bytes) -> int:
    """Where the value of a sound file begins."""
    return HEADER.size + len(key)


def is_sound(key: bytes, content: memoryview) -> bool:
    """Whether a file's content is whole, unchanged, and of this key."""
    start = value_at(key)
    if len(content) < start:
        return False
    magic, checksum, key_size, size = HEADER.unpack_from(content)
    fits = magic == MAGIC and key_size == len(key) and size == len(content) - start
    return (
        fits and content[HEADER.size : start] == key and checksum == crc32(content[HEADER.size :])
    )


def key_of(content: bytes) -> bytes:
    """The key that a file says it is of; empty when it is too damaged to say."""
    if len(content) < HEADER.size:
        return b""
    return content[HEADER.size : HEADER.size + HEADER.unpack_from(content)[2]]
