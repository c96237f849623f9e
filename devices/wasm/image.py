"""A compiled module, shared by all its instances."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property

import wasmtime

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm import instructions as op
from hyperbeam_trio.devices.wasm.binary import Reader, Section
from hyperbeam_trio.devices.wasm.epochs import Epochs
from hyperbeam_trio.devices.wasm.exposure import Exposure
from hyperbeam_trio.devices.wasm.imports import function_type
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES, Layout
from hyperbeam_trio.devices.wasm.longjmp import LongJump, plan_longjmp
from hyperbeam_trio.devices.wasm.signature import Signature
from hyperbeam_trio.devices.wasm.surcharges import surcharged

TABLE_OPCODES = frozenset({op.TABLE_SET, op.BULK})
TABLE_OPERATIONS = frozenset({12, 14, 15, 17})
"""Of the 0xfc instructions: table.init, table.copy, table.grow, table.fill."""
TABLE_BYTES = re.compile(rb"\x26|\xfc[\x0c-\x11\x80-\xff]")
"""What the code has if it has any of these: cheaper than walking every function."""


class Image:
    """What `Engine.compile` gives: the module and what is known about it.

    `digest` is the sha256 of the bytes that were compiled, `functions` the signatures of all
    exported functions by name. Threads may share an image.
    """

    def __init__(
        self,
        digest: bytes,
        layout: Layout,
        exposure: Exposure,
        sections: list[Section],
        module: wasmtime.Module,
        engine: wasmtime.Engine,
        epochs: Epochs,
        metered: bool,
    ) -> None:
        self.digest = digest
        self.layout = layout
        self.exposure = exposure
        self.module = module
        self.engine = engine
        self.epochs = epochs
        self.metered = metered
        self.functions: Mapping[str, Signature] = layout.exported_functions()
        self._kept: dict[str, wasmtime.Module] = {}
        self._code = next((data for section, data in sections if section == binary.CODE), b"\x00")

    def kept(self, name: str, make: Callable[[], wasmtime.Module]) -> wasmtime.Module:
        """A module for the guests of this image, made when it is first asked for."""
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = make()
        return found

    @cached_property
    def longjmp(self) -> LongJump | None:
        """The helper modules for emscripten's longjmp, or None."""
        tables = self.exposure.tables
        return plan_longjmp(self.layout, tables[0] if tables else None, self.exposure.memory)

    @cached_property
    def helper_modules(self) -> tuple[wasmtime.Module, wasmtime.Module] | None:
        """The compiled outer and inner module of `longjmp`."""
        if self.longjmp is None:
            return None
        outer, inner = (
            bytes(wasmtime.wat2wasm(wat)) for wat in (self.longjmp.outer, self.longjmp.inner)
        )
        if self.metered:
            outer = surcharged(outer)
        return wasmtime.Module(self.engine, outer), wasmtime.Module(self.engine, inner)

    @cached_property
    def import_types(self) -> tuple[wasmtime.FuncType, ...]:
        """The engine's type of each import."""
        return tuple(function_type(item.signature or Signature()) for item in self.layout.imports)

    @cached_property
    def changes_tables(self) -> bool:
        """Whether any of the code can change a table."""
        return any(
            opcode == op.TABLE_SET or Reader(self._code, operands).unsigned() in TABLE_OPERATIONS
            for _, at, end in op.bodies(self._code)
            if TABLE_BYTES.search(self._code, at, end)
            for opcode, _, operands, _ in op.walk(self._code, at, end, TABLE_OPCODES)
        )

    @cached_property
    def initial_pages(self) -> frozenset[int] | None:
        """Numbers of the 64 KiB pages that data segments touch, or None if that is not known."""
        pages: set[int] = set()
        memory = self.layout.memory
        mask = (1 << (64 if memory and memory.is_64 else 32)) - 1
        for offset, length in self.layout.data:
            if offset is None:
                return None
            if length:
                first = (offset & mask) // PAGE_BYTES
                pages.update(range(first, ((offset & mask) + length - 1) // PAGE_BYTES + 1))
        return frozenset(pages)

    @cached_property
    def stateless(self) -> bool:
        """Whether nothing of a call is left behind: no memory, no imports, nothing that changes."""
        layout = self.layout
        fixed = not any(item.mutable for item in layout.globals) and not self.changes_tables
        return fixed and layout.memory is None and not layout.imports
