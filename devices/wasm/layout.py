"""What a module declares: imports, exports, memory, table, mutable globals, start, data.

Read from the binary, because the engine's own types say nothing about what is not exported, and a
guest's state may sit there (spec/06 §1.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm.binary import MalformedImage, Reader
from hyperbeam_trio.devices.wasm.signature import Signature

T = TypeVar("T")

Kind = Literal["function", "table", "memory", "global", "tag"]
KINDS: tuple[Kind, ...] = ("function", "table", "memory", "global", "tag")

VALUE_LETTERS = {0x7F: "i", 0x7E: "I", 0x7D: "f", 0x7C: "F", 0x7B: "v"}
REFERENCES = {0x70: "func", 0x6F: "extern", 0x69: "exn"}
FUNCTION_TYPE = 0x60
I32_CONST, I64_CONST, END = 0x41, 0x42, 0x0B
PAGE_BYTES = 0x10000


@dataclass(frozen=True, slots=True)
class Import:
    """One import; only functions have a `signature`."""

    module: str
    name: str
    kind: Kind
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """One export and its index in the index space of its kind."""

    name: str
    kind: Kind
    index: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A linear memory; sizes in pages of 64 KiB."""

    is_64: bool
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `element` is `func`, `extern` or `exn`."""

    is_64: bool
    element: str


@dataclass(frozen=True, slots=True)
class Global:
    """A global variable: type letter and whether it can change."""

    letter: str
    mutable: bool


@dataclass(slots=True)
class Layout:
    """The declarations of one module, each index space with its imports first."""

    types: list[Signature] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    start: int | None = None
    data: list[tuple[int | None, int]] = field(default_factory=list)
    """Active data segments: (offset, or None when it is not a plain constant; length)."""

    @property
    def memory(self) -> Memory | None:
        """The guest's memory; the engine allows at most one."""
        return self.memories[0] if self.memories else None

    def signature_of(self, function: int) -> Signature:
        """The signature of the function with this index."""
        return _at(self.types, _at(self.functions, function))

    def exported_functions(self) -> dict[str, Signature]:
        """The signatures of all exported functions by name."""
        return {
            export.name: self.signature_of(export.index)
            for export in self.exports
            if export.kind == "function"
        }

    def export_name(self, kind: Kind, index: int) -> str | None:
        """The first name under which this item is exported, if any."""
        return next((e.name for e in self.exports if (e.kind, e.index) == (kind, index)), None)


def read_layout(sections: list[binary.Section]) -> Layout:
    """The declarations in `sections` (spec of WebAssembly 2.0 with memory64 and exceptions).

    Raises `MalformedImage` (400) for damage and for types that guests must not have.
    """
    layout = Layout()
    for section, payload in sections:
        if read := SECTION_READERS.get(section):
            read(Reader(payload), layout)
    return layout


def _at(items: list[T], index: int) -> T:
    if index >= len(items):
        raise MalformedImage(f"index {index} out of bounds, {len(items)} declared")
    return items[index]


def _each(read: Callable[[Reader, Layout], None]) -> Callable[[Reader, Layout], None]:
    def read_all(reader: Reader, layout: Layout) -> None:
        for _ in range(reader.unsigned()):
            read(reader, layout)

    return read_all


def _read_type(reader: Reader, layout: Layout) -> None:
    form = reader.byte()
    if form != FUNCTION_TYPE:
        raise MalformedImage(f"type form {form:#x} is not supported (GC types and the like)")
    layout.types.append(Signature(_read_letters(reader), _read_letters(reader)))


def _read_letters(reader: Reader) -> str:
    return "".join(read_value_type(reader) for _ in range(reader.unsigned()))


def read_value_type(reader: Reader) -> str:
    """The letter of a value type: i I f F v, or r for a reference."""
    code = reader.byte()
    letter = VALUE_LETTERS.get(code) or ("r" if code in REFERENCES else None)
    if letter is None:
        raise MalformedImage(f"value type {code:#x} is not supported (GC types and the like)")
    return letter


def _read_import(reader: Reader, layout: Layout) -> None:
    module, name, kind = reader.name(), reader.name(), _read_kind(reader)
    signature = None
    if kind == "function":
        layout.functions.append(reader.unsigned())
        signature = _at(layout.types, layout.functions[-1])
    else:
        DECLARATIONS[kind](reader, layout)
    layout.imports.append(Import(module, name, kind, signature))


def _read_kind(reader: Reader) -> Kind:
    code = reader.byte()
    if code >= len(KINDS):
        raise MalformedImage(f"malformed import or export kind {code:#x}")
    return KINDS[code]


def _read_function(reader: Reader, layout: Layout) -> None:
    layout.functions.append(reader.unsigned())


def _read_table(reader: Reader, layout: Layout) -> None:
    code = reader.byte()
    if code not in REFERENCES:
        raise MalformedImage(f"table element type {code:#x} is not supported")
    flags, _, _ = _read_limits(reader)
    layout.tables.append(Table(bool(flags & 4), REFERENCES[code]))


def _read_memory(reader: Reader, layout: Layout) -> None:
    flags, minimum, maximum = _read_limits(reader)
    layout.memories.append(Memory(bool(flags & 4), minimum, maximum))


def _read_limits(reader: Reader) -> tuple[int, int, int | None]:
    flags = reader.byte()
    if flags & ~5:
        raise MalformedImage(f"limits {flags:#x}: shared memory and page sizes are not supported")
    return flags, reader.unsigned(), reader.unsigned() if flags & 1 else None


def _read_global_type(reader: Reader, layout: Layout) -> None:
    layout.globals.append(Global(read_value_type(reader), bool(reader.byte())))


def _read_global(reader: Reader, layout: Layout) -> None:
    _read_global_type(reader, layout)
    _read_constant(reader)


def _read_tag(reader: Reader, layout: Layout) -> None:
    if attribute := reader.byte():
        raise MalformedImage(f"malformed tag attribute {attribute:#x}")
    layout.tags.append(reader.unsigned())


def _read_export(reader: Reader, layout: Layout) -> None:
    layout.exports.append(Export(reader.name(), _read_kind(reader), reader.unsigned()))


def _read_start(reader: Reader, layout: Layout) -> None:
    layout.start = reader.unsigned()


def _read_data(reader: Reader, layout: Layout) -> None:
    mode = reader.unsigned()
    if mode == 2:
        reader.unsigned()
    offset = None if mode == 1 else _read_constant(reader)
    length = reader.unsigned()
    reader.skip(length)
    if mode != 1:
        layout.data.append((offset, length))


def _read_constant(reader: Reader) -> int | None:
    """The value of a constant expression that is one integer constant, else None."""
    opcode = reader.byte()
    if opcode in (I32_CONST, I64_CONST):
        value = reader.signed()
        if reader.byte() == END:
            return value
    reader.at -= 1
    _skip_expression(reader)
    return None


def _skip_expression(reader: Reader) -> None:
    while (opcode := reader.byte()) != END:
        if skip := CONSTANT_OPERANDS.get(opcode):
            skip(reader)


def _skip_vector_constant(reader: Reader) -> None:
    if reader.unsigned() != 12:
        raise MalformedImage("constant expression required")
    reader.skip(16)


CONSTANT_OPERANDS: dict[int, Callable[[Reader], object]] = {
    0x23: Reader.unsigned,
    I32_CONST: Reader.signed,
    I64_CONST: Reader.signed,
    0x43: lambda reader: reader.skip(4),
    0x44: lambda reader: reader.skip(8),
    0xD0: Reader.signed,
    0xD2: Reader.unsigned,
    0xFD: _skip_vector_constant,
}

DECLARATIONS: dict[Kind, Callable[[Reader, Layout], None]] = {
    "table": _read_table,
    "memory": _read_memory,
    "global": _read_global_type,
    "tag": _read_tag,
}

SECTION_READERS: dict[int, Callable[[Reader, Layout], None]] = {
    binary.TYPE: _each(_read_type),
    binary.IMPORT: _each(_read_import),
    binary.FUNCTION: _each(_read_function),
    binary.TABLE: _each(_read_table),
    binary.MEMORY: _each(_read_memory),
    binary.TAG: _each(_read_tag),
    binary.GLOBAL: _each(_read_global),
    binary.EXPORT: _each(_read_export),
    binary.START: _read_start,
    binary.DATA: _each(_read_data),
}
