"""Pages of large binaries, deflated: whole, or as what differs from another page (spec/06 §7.6).

A memory that a program has worked on differs from what it was in a few bytes of many pages, so a
difference takes a tenth of the room of the page. The page that it differs from is itself stored
whole: nothing has to be put together of more than two.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from hyperbeam_trio.cache.layout import PACKED
from hyperbeam_trio.cache.record import damaged, decode, encode
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.message import Link

PAGE_BYTES: Final = 64 * 1024
"""The size of a page: that of WebAssembly's memories."""
LARGEST_DIFFERENCE: Final = PAGE_BYTES // 4
"""Bytes of a deflated difference; a page that differs in more is stored whole."""
_LEVEL: Final = 1


class Packed(NamedTuple):
    """What is stored of a page: all of it, or its difference from the page `base`."""

    id: str
    deflated: bytes
    base: str | None = None

    def inflated(self) -> bytes:
        """The page, or the difference; `CorruptData` if it is neither."""
        try:
            # Never more than a page, whatever the record says.
            return zlib.decompressobj().decompress(self.deflated, PAGE_BYTES)
        except zlib.error as problem:
            raise damaged(PACKED + self.id, str(problem)) from problem


class Page(NamedTuple):
    """A page as it is stored, with the one that it differs from."""

    packed: Packed
    base: Packed | None = None

    def content(self) -> bytes:
        """The page itself; `CorruptData` unless it has its hash."""
        content = self.packed.inflated()
        if self.base is not None:
            content = difference(content, self.base.inflated())
        if hash_id(content) != self.packed.id:
            raise damaged(PACKED + self.packed.id, "its hash does not hold")
        return content


def pack(id: str, content: bytes, base: Packed | None) -> dict[str, bytes]:
    """The store entry of a page: its difference from the base if that is small, or all of it."""
    key = PACKED + id
    whole = base.inflated() if base is not None else b""
    if base is not None and len(whole) == len(content):
        deflated = zlib.compress(difference(content, whole), _LEVEL)
        if len(deflated) <= LARGEST_DIFFERENCE:
            link = Link(base.id, "binary", len(content))
            return {key: encode(key, {"base": link, "deflated": deflated})}
    return {key: encode(key, {"deflated": zlib.compress(content, _LEVEL)})}


def read_packed(id: str, data: bytes) -> Packed:
    """What the record of a page holds; `CorruptData` if it is damaged."""
    items = decode(PACKED + id, data)
    deflated = items.get("deflated") if isinstance(items, dict) else None
    if not isinstance(items, dict) or not isinstance(deflated, bytes):
        raise damaged(PACKED + id, "it holds no page")
    base = items.get("base")
    return Packed(id, deflated, base.id if isinstance(base, Link) else None)


def difference(one: bytes, other: bytes) -> bytes:
    """Bit by bit; the difference of that from `other` is `one` again, where sizes are equal."""
    number = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    return number.to_bytes(max(len(one), len(other)), "little")
