"""Arweave's deep hash: SHA-384 over nested lists of byte strings (spec/02 §11.2)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha384
from typing import TypeAlias, Union

Chunk: TypeAlias = Union[bytes, memoryview, "Sequence[Chunk]"]


def deep_hash(chunk: Chunk) -> bytes:
    """The 48-byte deep hash of a byte string, or of a (nested) sequence of byte strings."""
    if isinstance(chunk, bytes | bytearray | memoryview):
        return hash_blob(chunk)
    running = ListHash(len(chunk))
    for part in chunk:
        running.add_hash(deep_hash(part))
    return running.digest()


def hash_blob(data: bytes | memoryview) -> bytes:
    """The deep hash of one byte string: H(H("blob" ‖ length) ‖ H(data))."""
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    return sha384(sha384(b"blob%d" % size).digest() + sha384(data).digest()).digest()


class ListHash:
    """The deep hash of a list whose elements come one after the other.

    `count` is how many will come; the tag that starts the chain contains it.
    """

    __slots__ = ("_digest",)

    def __init__(self, count: int) -> None:
        self._digest = sha384(b"list%d" % count).digest()

    @classmethod
    def resumed(cls, digest: bytes) -> ListHash:
        """A list hash that goes on from the `digest()` of another, with its count."""
        running = cls.__new__(cls)
        running._digest = digest
        return running

    def add(self, data: bytes | memoryview) -> None:
        """Append a byte string."""
        self.add_hash(hash_blob(data))

    def add_hash(self, element: bytes) -> None:
        """Append an element whose deep hash (48 bytes) is known already."""
        self._digest = sha384(self._digest + element).digest()

    def digest(self) -> bytes:
        """The 48-byte hash of the elements so far; the list's once `count` have been added."""
        return self._digest


class BlobHash:
    """The deep hash of a byte string that comes in pieces; its length needn't be known before."""

    __slots__ = ("_content", "size")

    def __init__(self) -> None:
        self._content = sha384()
        self.size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Append a piece."""
        self._content.update(piece)
        self.size += piece.nbytes if isinstance(piece, memoryview) else len(piece)

    def digest(self) -> bytes:
        """The 48-byte deep hash of everything appended."""
        return sha384(sha384(b"blob%d" % self.size).digest() + self._content.digest()).digest()
