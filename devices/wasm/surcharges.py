"""What instructions count beyond one unit of fuel, where they take far longer (spec/06 §7.5).

The engine counts one unit for almost any instruction, also for those that call into it: growing,
throwing, a reference to a function. A guest that loops over these would be ended by the clock,
which ends it elsewhere on another machine. So in images that are metered they are preceded by a
call of a function that does nothing but count: constants that are dropped, of which the compiler
leaves nothing. Its index lies behind all others, so nothing else changes.
"""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm import instructions as op
from hyperbeam_trio.devices.wasm.binary import Reader, Section
from hyperbeam_trio.devices.wasm.layout import Layout, read_layout

CALL_FUEL: Final = 100
"""Units for what is a call into the engine: it takes 10 to 110 ns."""
THROW_FUEL: Final = 100_000
"""Units for an exception: 200 ns, and 40 ns for each call that it ends, of which there may be over
ten thousand."""

_UNIT: Final = 1000
_COUNT_ONE: Final = b"\x41\x00\x1a"
"""`i32.const 0`, which counts one, and `drop`, which counts nothing."""
_CALL: Final = 0x10
_THROWS: Final = frozenset({op.THROW, op.THROW_REF})
_GROW, _FUNCTION = 0x40, 0xD2
_BULK_CALLS: Final = frozenset({11, 12, 13, 15})
"""Of the 0xfc instructions: memory.fill, table.init, elem.drop, table.grow."""
_COSTLY: Final = _THROWS | {_GROW, _FUNCTION, op.BULK}


def surcharge(sections: list[Section], layout: Layout) -> list[Section]:
    """`sections` of a valid module, with calls that count before costly instructions.

    The same behaviour, the same indices; the same list if there is nothing to count.
    """
    code = _payload(sections, binary.CODE)
    first = sum(item.kind == "function" for item in layout.imports) + len(list(op.bodies(code)))
    bodies = [_Body(code, start, at, end).surcharged(first) for start, at, end in op.bodies(code)]
    if not any(changed for changed, _ in bodies):
        return sections
    counting = [CALL_FUEL * _COUNT_ONE, _UNIT * _COUNT_ONE, THROW_FUEL // _UNIT * _call(first + 1)]
    entries = [body for _, body in bodies] + [b"\x00" + body + b"\x0b" for body in counting]
    sized = [binary.unsigned(len(entry)) + entry for entry in entries]
    sections = binary.with_section(sections, binary.CODE, binary.vector(sized))
    return _declared(sections, len(counting))


def surcharged(image: bytes) -> bytes:
    """The same for a whole module, which is valid."""
    sections = binary.read_sections(image)
    return binary.write_sections(surcharge(sections, read_layout(sections)))


def _declared(sections: list[Section], count: int) -> list[Section]:
    """`sections` with `count` more functions, which take and give nothing."""
    types, number = _appended(_payload(sections, binary.TYPE), [b"\x60\x00\x00"])
    functions, _ = _appended(_payload(sections, binary.FUNCTION), [binary.unsigned(number)] * count)
    sections = binary.with_section(sections, binary.TYPE, types)
    return binary.with_section(sections, binary.FUNCTION, functions)


def _appended(vector: bytes, items: list[bytes]) -> tuple[bytes, int]:
    """A vector with `items` behind its own, and how many its own are."""
    reader = Reader(vector)
    count = reader.unsigned()
    return binary.unsigned(count + len(items)) + vector[reader.at :] + b"".join(items), count


def _payload(sections: list[Section], section: int) -> bytes:
    return next((data for found, data in sections if found == section), b"\x00")


def _call(function: int) -> bytes:
    return bytes([_CALL]) + binary.unsigned(function)


class _Body:
    """One entry of the code section: `code[start:end]`, whose instructions begin at `at`."""

    def __init__(self, code: bytes, start: int, at: int, end: int) -> None:
        self._code = code
        self._start = start
        self._at = at
        self._end = end

    def surcharged(self, first: int) -> tuple[bool, bytes]:
        """Whether there is anything to count, and the entry; `first` counts `CALL_FUEL`."""
        parts: list[bytes] = []
        done = self._start
        for found in op.walk(self._code, self._at, self._end, _COSTLY):
            function = self._counting(found, first)
            if function is not None:
                parts += self._code[done : found.start], _call(function)
                done = found.start
        return bool(parts), b"".join([*parts, self._code[done : self._end]])

    def _counting(self, found: op.Instruction, first: int) -> int | None:
        if found.opcode in _THROWS:
            return first + 2
        if found.opcode != op.BULK:
            return first
        operation = Reader(self._code, found.operands).unsigned()
        return first if operation in _BULK_CALLS else None
