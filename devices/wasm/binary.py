"""Reading and writing the WebAssembly binary format: LEB128, names, sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyperbeam_trio.errors import BadRequest

HEADER = b"\x00asm\x01\x00\x00\x00"

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT = range(8)
START, ELEMENT, CODE, DATA, DATA_COUNT, TAG = range(8, 14)
SECTION_ORDER = (
    *(TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL),
    *(EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA),
)

Section = tuple[int, bytes]


class MalformedImage(BadRequest):
    """Bytes that are no WebAssembly module, or one that uses what guests must not have."""


class Reader:
    """A cursor over part of a module. Every read past the end raises `MalformedImage`."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def more(self) -> bool:
        """Whether bytes are left."""
        return self.at < self.end

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            raise MalformedImage(f"unexpected end of module at offset {self.at:#x}")
        value = self.data[self.at]
        self.at += 1
        return value

    def unsigned(self) -> int:
        """An unsigned LEB128 number of at most 64 bits."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7
            self._check_length(shift)

    def signed(self) -> int:
        """A signed LEB128 number of at most 64 bits."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result - (1 << shift) if byte & 0x40 else result
            self._check_length(shift)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.skip(count)
        return self.data[self.at - count : self.at]

    def skip(self, count: int) -> None:
        """Go on `count` bytes."""
        if count > self.end - self.at:
            raise MalformedImage(f"unexpected end of module at offset {self.at:#x}")
        self.at += count

    def name(self) -> str:
        """A length-prefixed UTF-8 name."""
        try:
            return self.take(self.unsigned()).decode()
        except UnicodeDecodeError as error:
            raise MalformedImage(f"invalid UTF-8 in a name at offset {self.at:#x}") from error

    def _check_length(self, shift: int) -> None:
        if shift >= 70:
            raise MalformedImage(f"integer representation too long at offset {self.at:#x}")


def unsigned(value: int) -> bytes:
    """`value` as unsigned LEB128."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def signed(value: int) -> bytes:
    """`value` as signed LEB128."""
    encoded = bytearray()
    while not -0x40 <= value < 0x40:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value & 0x7F)
    return bytes(encoded)


def text(value: str) -> bytes:
    """A length-prefixed UTF-8 name."""
    encoded = value.encode()
    return unsigned(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    """A count and the encoded items."""
    encoded = list(items)
    return unsigned(len(encoded)) + b"".join(encoded)


def read_sections(image: bytes) -> list[Section]:
    """The sections of `image` in order: (id, payload). Raises `MalformedImage`."""
    if image[:8] != HEADER:
        raise MalformedImage("not a WebAssembly module of version 1")
    return list(_sections(Reader(image, 8)))


def _sections(reader: Reader) -> Iterator[Section]:
    while reader.more:
        section = reader.byte()
        yield section, reader.take(reader.unsigned())


def write_sections(sections: Iterable[Section]) -> bytes:
    """A module of these sections."""
    parts = [HEADER]
    for section, payload in sections:
        parts += bytes([section]), unsigned(len(payload)), payload
    return b"".join(parts)


def with_section(sections: list[Section], section: int, payload: bytes) -> list[Section]:
    """`sections` with this one replaced, or put in at the place the format demands."""
    if any(existing == section for existing, _ in sections):
        return [(old, payload if old == section else data) for old, data in sections]
    later = set(SECTION_ORDER[SECTION_ORDER.index(section) + 1 :])
    place = next((at for at, (old, _) in enumerate(sections) if old in later), len(sections))
    return [*sections[:place], (section, payload), *sections[place:]]
