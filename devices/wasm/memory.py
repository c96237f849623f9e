"""A guest's linear memory, read and written from the host (spec/06 §7.3)."""

from __future__ import annotations

import ctypes
from typing import Any

from wasmtime import _ffi as ffi

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.guest import Guest
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES
from hyperbeam_trio.devices.wasm.traps import MemoryFault, limit_error

Bytes = bytes | bytearray | memoryview

MAX_STRING_AT = 1 << 30
"""`ctypes.string_at` takes a C int for the length."""


class Memory:
    """The linear memory of one instance.

    The engine may move it whenever the guest runs, so base and size are asked for at each access.
    Addresses may come as the signed numbers that a guest's function returns. Every access outside
    of the memory raises `MemoryFault`. `touched` says that more than the module's data segments
    may have been written.
    """

    __slots__ = ("_guest", "_memory", "_pointer", "is_64", "mask", "touched")

    def __init__(self, guest: Guest, memory: Any, is_64: bool) -> None:
        self._guest = guest
        self._memory = memory
        self._pointer = ctypes.byref(memory)
        self.is_64 = is_64
        self.mask = 0xFFFF_FFFF_FFFF_FFFF if is_64 else 0xFFFF_FFFF
        self.touched = False

    @property
    def size(self) -> int:
        """Present size in bytes, a multiple of 64 KiB."""
        size: int = raw.memory_data_size(self._guest.context, self._pointer)
        return size

    @property
    def base(self) -> int:
        """Where the memory lies now in this process; valid until the guest runs or grows."""
        address: int = raw.memory_data(self._guest.context, self._pointer) or 0
        return address

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes from `address` on."""
        at = self._check(address, length)
        if length > MAX_STRING_AT:
            return bytes(self.view()[at : at + length])
        return ctypes.string_at(self.base + at, length)

    def write(self, address: int, data: Bytes) -> None:
        """Put `data` at `address`."""
        at = self._check(address, len(data))
        self.touched = True
        source = data if isinstance(data, bytes) else bytes(data)
        ctypes.memmove(self.base + at, source, len(source))

    def read_string(self, address: int) -> bytes:
        """The bytes from `address` up to the first NUL, which must come before the end."""
        at = self._check(address, 0)
        base = self.base
        nul = raw.find_byte(raw.pointer(base + at), 0, ctypes.c_size_t(self.size - at))
        if nul is None:
            raise MemoryFault(f"String at {at:#x} has no end within the guest's memory.")
        return self.read(at, nul - base - at)

    def view(self) -> memoryview:
        """All of the memory without a copy; use it only until the guest runs or grows."""
        return memoryview((ctypes.c_char * self.size).from_address(self.base)).cast("B")

    def grow_to(self, size: int) -> None:
        """Grow to `size` bytes; raises `GuestLimit` if the module or its limit forbids it."""
        pages = (size - self.size) // PAGE_BYTES
        if pages <= 0:
            return
        before = ctypes.c_uint64()
        error = ffi.wasmtime_memory_grow(
            self._guest.store._context(), self._pointer, pages, ctypes.byref(before)
        )
        if error:
            ffi.wasmtime_error_delete(error)
            raise limit_error("memory")

    def _check(self, address: int, length: int) -> int:
        at = address & self.mask
        if length < 0 or at + length > self.size:
            raise MemoryFault(
                f"{length} bytes at {at:#x} are not within the guest's memory of {self.size} bytes."
            )
        return at
