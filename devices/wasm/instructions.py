"""Walking the instructions of function bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hyperbeam_trio.devices.wasm.binary import MalformedImage, Reader

BLOCK, LOOP, IF, ELSE = 0x02, 0x03, 0x04, 0x05
TRY, CATCH, THROW, RETHROW, THROW_REF = 0x06, 0x07, 0x08, 0x09, 0x0A
DELEGATE, CATCH_ALL, TRY_TABLE = 0x18, 0x19, 0x1F
END, BR, BR_IF, BR_TABLE, RETURN = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
LOCAL_GET, LOCAL_SET = 0x20, 0x21
TABLE_SET, BULK = 0x26, 0xFC

OPENING = frozenset({BLOCK, LOOP, IF, TRY, TRY_TABLE})
CONTROL = OPENING | {ELSE, CATCH, RETHROW, END, BR, BR_IF, BR_TABLE, DELEGATE, CATCH_ALL}


class Instruction(NamedTuple):
    """One instruction: opcode, where it starts, where its operands start and end."""

    opcode: int
    start: int
    operands: int
    end: int


def walk(code: bytes, at: int, end: int, wanted: frozenset[int] = CONTROL) -> Iterator[Instruction]:
    """The instructions of `code[at:end]` whose opcode is `wanted`, in order.

    Raises `MalformedImage` for an instruction that guests must not have (GC, atomics).
    """
    reader = Reader(code, at, end)
    skips = SKIPS
    while reader.at < end:
        start = reader.at
        opcode = code[start]
        reader.at = start + 1
        if skip := skips[opcode]:
            skip(reader)
        if opcode in wanted:
            yield Instruction(opcode, start, start + 1, reader.at)


def bodies(payload: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each function in a code section: where its entry starts, its code starts and ends."""
    reader = Reader(payload)
    for _ in range(reader.unsigned()):
        size = reader.unsigned()
        start = reader.at
        for _ in range(reader.unsigned()):
            reader.unsigned()
            reader.byte()
        yield start, reader.at, start + size
        reader.at = start
        reader.skip(size)


def _skip_leb(reader: Reader) -> None:
    code, at = reader.data, reader.at
    try:
        while code[at] & 0x80:
            at += 1
    except IndexError as error:
        raise MalformedImage("unexpected end of a function body") from error
    reader.at = at + 1


def _skip_two(reader: Reader) -> None:
    _skip_leb(reader)
    _skip_leb(reader)


def _skip_memory_argument(reader: Reader) -> None:
    if reader.unsigned() & 0x40:
        _skip_leb(reader)
    _skip_leb(reader)


def _skip_vector(reader: Reader) -> None:
    for _ in range(reader.unsigned()):
        _skip_leb(reader)


def _skip_labels(reader: Reader) -> None:
    _skip_vector(reader)
    _skip_leb(reader)


def _skip_try_table(reader: Reader) -> None:
    _skip_leb(reader)
    for _ in range(reader.unsigned()):
        if reader.byte() < 2:
            _skip_leb(reader)
        _skip_leb(reader)


def _skip_bulk(reader: Reader) -> None:
    operation = reader.unsigned()
    if operation > 17:
        raise MalformedImage(f"instruction 0xfc {operation} is not supported")
    for _ in range(BULK_OPERANDS.get(operation, 1 if operation > 7 else 0)):
        _skip_leb(reader)


def _skip_simd(reader: Reader) -> None:
    operation = reader.unsigned()
    if operation <= 11 or 84 <= operation <= 93:
        _skip_memory_argument(reader)
    if operation in (12, 13):
        reader.skip(16)
    if 21 <= operation <= 34 or 84 <= operation <= 91:
        reader.skip(1)


def _refuse(reader: Reader) -> None:
    at = reader.at - 1
    raise MalformedImage(f"instruction {reader.data[at]:#x} at {at:#x} of a body is not supported")


def _skip_fixed(count: int) -> Callable[[Reader], None]:
    return lambda reader: reader.skip(count)


BULK_OPERANDS = {8: 2, 10: 2, 12: 2, 14: 2}

Skip = Callable[[Reader], None] | None


def _skip_table() -> list[Skip]:
    table: list[Skip] = [_refuse] * 256
    for opcode in (0x00, 0x01, 0x05, 0x0A, 0x0B, 0x0F, 0x19, 0x1A, 0x1B, *range(0x45, 0xC5), 0xD1):
        table[opcode] = None
    for opcode in (*range(0x02, 0x05), *range(0x06, 0x0A), 0x0C, 0x0D, 0x10, 0x12, 0x18):
        table[opcode] = _skip_leb
    for opcode in (*range(0x20, 0x27), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2):
        table[opcode] = _skip_leb
    for opcode in range(0x28, 0x3F):
        table[opcode] = _skip_memory_argument
    table[0x0E], table[0x11], table[0x13] = _skip_labels, _skip_two, _skip_two
    table[0x1C], table[0x1F] = _skip_vector, _skip_try_table
    table[0x43], table[0x44] = _skip_fixed(4), _skip_fixed(8)
    table[0xFC], table[0xFD] = _skip_bulk, _skip_simd
    return table


SKIPS = _skip_table()
