"""State that a guest keeps outside its memory, where no snapshot sees it (spec/06 §1.5)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from wasmtime import _ffi as ffi

from hyperbeam_trio.devices.wasm.guest import Guest
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.linking import Linked
from hyperbeam_trio.errors import GuestError

FUNCTION_KIND = ffi.WASMTIME_FUNCREF.value
VALUE_BYTES = {0: 4, 1: 8, 2: 4, 3: 8, 4: 16, FUNCTION_KIND: 16}
"""How many bytes of a value are its content, by kind: i32, i64, f32, f64, v128, funcref."""

OPAQUE = b"an object that can't be compared"
NULL = b""


class StateOutsideMemory(GuestError):
    """A guest that a snapshot of its memory would not restore."""

    def __init__(self, place: str) -> None:
        super().__init__("Module keeps state outside its memory.", details={"place": place})


class OutsideState:
    """Mutable globals and tables, as they were right after the start functions.

    A stack pointer that has come back, and anything else that holds its first value again, is no
    state. Tables are watched only if the module has code that changes tables.
    """

    def __init__(self, image: Image, guest: Guest, linked: Linked) -> None:
        self._guest = guest
        exposure = image.exposure
        self._globals = [(name, linked.export(name).of.global_) for name in exposure.globals]
        self._tables: list[tuple[str, Any]] = []
        if exposure.tables and image.changes_tables:
            self._tables = [(name, linked.export(name).of.table) for name in exposure.tables]
        self._first = list(self._contents())

    def require_none(self) -> None:
        """Raise `StateOutsideMemory` (500) if a global or table is not as it was at first."""
        for (place, content), (_, now) in zip(self._first, self._contents(), strict=True):
            if content != now or OPAQUE in now:
                raise StateOutsideMemory(place)

    def _contents(self) -> Iterator[tuple[str, list[bytes]]]:
        context = self._guest.store._context()
        value = ffi.wasmtime_val_t()
        target = ctypes.byref(value)
        for name, item in self._globals:
            ffi.wasmtime_global_get(context, ctypes.byref(item), target)
            yield name, [_content(value)]
        for name, item in self._tables:
            table = ctypes.byref(item)
            content = []
            for index in range(ffi.wasmtime_table_size(context, table)):
                ffi.wasmtime_table_get(context, table, index, target)
                content.append(_content(value))
            yield name, content


def _content(value: Any) -> bytes:
    """What can be compared of `value`, whose reference is given up."""
    kind = value.kind
    size = VALUE_BYTES.get(kind)
    if size is not None:
        return ctypes.string_at(ctypes.addressof(value.of), size)
    content = OPAQUE if any(ctypes.string_at(ctypes.addressof(value.of), 8)) else NULL
    ffi.wasmtime_val_unroot(ctypes.byref(value))
    return content
