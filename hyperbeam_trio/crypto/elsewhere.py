"""What stands for bytes that are too many to be held: their hashes."""

from __future__ import annotations

from typing import Self


class Elsewhere(bytes):
    """One byte in the place of many, where only their hashes count.

    `digest` is the SHA-256 of the real bytes, `deep_hash` their deep hash (48 bytes) where that is
    known. Content digests and the signatures of items are computed of these. Never store or send
    it: who asks for the bytes themselves gets the one.
    """

    digest: bytes
    deep_hash: bytes | None

    def __new__(cls, digest: bytes, deep_hash: bytes | None = None) -> Self:
        made = super().__new__(cls, b"\0")
        made.digest = digest
        made.deep_hash = deep_hash
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Elsewhere) and self.digest == other.digest

    def __ne__(self, other: object) -> bool:
        # Not by default, as elsewhere in Python: that of bytes would compare the one byte.
        return not self == other

    def __hash__(self) -> int:
        return hash(self.digest)
