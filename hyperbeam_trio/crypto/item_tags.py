"""Tags of a data item as bytes: an Avro array of (name, value) records (spec/02 §11.1)."""

from __future__ import annotations

from collections.abc import Sequence

from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, Tag, TagLimits

_VARINT_BITS = 63


def encode_tags(tags: Sequence[Tag]) -> bytes:
    """The Avro bytes of `tags`: one block and its end; nothing at all for no tags."""
    if not tags:
        return b""
    parts = [_varint(len(tags))]
    for name, value in tags:
        parts += (_varint(len(name)), name, _varint(len(value)), value)
    parts.append(b"\0")
    return b"".join(parts)


def decode_tags(raw: bytes, count: int, limits: TagLimits = DEFAULT_TAG_LIMITS) -> tuple[Tag, ...]:
    """The tags that `raw` encodes; `count` is the number that the item's header gives.

    Blocks with a negative count (followed by their size in bytes) are accepted. Raises
    `InvalidField` if the two disagree, if a limit is passed, or if `raw` is not one Avro array.
    """
    limits.check_count(count)
    if not raw:
        if count:
            raise InvalidField("tags", f"there are no bytes for {count} of them")
        return ()
    try:
        tags = _Reader(raw, limits).array(count)
    except IndexError:
        raise InvalidField("tags", f"their {len(raw)} bytes end too early") from None
    if len(tags) != count:
        raise InvalidField("tags", f"the header says {count}, the bytes hold {len(tags)}")
    return tuple(tags)


def _varint(number: int) -> bytes:
    if number < 64:
        return bytes((number << 1,))
    rest = number << 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


class _Reader:
    __slots__ = ("_limits", "_place", "_raw")

    def __init__(self, raw: bytes, limits: TagLimits) -> None:
        self._raw = raw
        self._limits = limits
        self._place = 0

    def array(self, expected: int) -> list[Tag]:
        tags: list[Tag] = []
        while block := self._varint():
            size = self._varint() if block < 0 else None
            start = self._place
            if len(tags) + abs(block) > expected:
                raise InvalidField("tags", f"the header says {expected}, the bytes hold more")
            for _ in range(abs(block)):
                tags.append(self._tag(len(tags) + 1))
            if size is not None and self._place != start + size:
                raise InvalidField("tags", f"a block of {size} bytes ends elsewhere")
        if self._place != len(self._raw):
            extra = len(self._raw) - self._place
            raise InvalidField("tags", f"{extra} bytes after the end of the array")
        return tags

    def _tag(self, place: int) -> Tag:
        name = self._bytes(f"tag {place} name")
        value = self._bytes(f"tag {place} value")
        self._limits.check_tag(place, name, value)
        return name, value

    def _bytes(self, field: str) -> bytes:
        size = self._varint()
        start = self._place
        end = start + size
        if size < 0 or end > len(self._raw):
            left = len(self._raw) - start
            raise InvalidField(field, f"says {size} bytes where {left} are left")
        self._place = end
        return self._raw[start:end]

    def _varint(self) -> int:
        byte = self._raw[self._place]
        self._place += 1
        number = byte & 0x7F
        shift = 7
        while byte & 0x80:
            if shift > _VARINT_BITS:
                raise InvalidField("tags", f"a number over 64 bits at byte {self._place}")
            byte = self._raw[self._place]
            self._place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
        return -(number >> 1) - 1 if number & 1 else number >> 1
