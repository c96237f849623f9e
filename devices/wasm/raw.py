"""The engine's C functions, bound so that a call from Python costs as little as it can.

ctypes spends most of a short call on its arguments. Functions bound here have no `argtypes`, and
pointers are passed as `byref` objects made once: they go through without a conversion or an
allocation (spec/06 §7.3, and twice as fast as the `c_void_p` objects there). Nothing is checked
on this level: a wrong address or arity ends the process, so only this package calls it.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import wasmtime
from wasmtime import _ffi as ffi

# Functions of these handles keep the GIL: they are short and never run guest code.
_held: Any = ctypes.PyDLL(ffi.dll._name)
_libc: Any = ctypes.PyDLL(None)


def _bind(library: Any, name: str, result: Any) -> Any:
    # Indexing a library makes a new function object, so the wheel's own bindings stay as they are.
    function = library[name]
    function.restype = result
    return function


call_unchecked = _bind(ffi.dll, "wasmtime_func_call_unchecked", ctypes.c_void_p)
"""(context, function, slots, slot count, trap slot) -> error address or None; releases the GIL."""

memory_data = _bind(_held, "wasmtime_memory_data", ctypes.c_void_p)
memory_data_size = _bind(_held, "wasmtime_memory_data_size", ctypes.c_size_t)
set_epoch_deadline = _bind(_held, "wasmtime_context_set_epoch_deadline", None)
set_fuel = _bind(_held, "wasmtime_context_set_fuel", ctypes.c_void_p)
get_fuel = _bind(_held, "wasmtime_context_get_fuel", ctypes.c_void_p)
has_exception = _bind(_held, "wasmtime_context_has_exception", ctypes.c_bool)
func_new_unchecked = _bind(_held, "wasmtime_func_new_unchecked", None)
"""(context, function type, callback, environment, finalizer, function); no guest code runs."""
trap_new = _bind(_held, "wasmtime_trap_new", ctypes.c_void_p)
find_byte = _bind(_libc, "memchr", ctypes.c_void_p)
compare = _bind(_libc, "memcmp", ctypes.c_int)
compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
copy = _bind(_libc, "memcpy", None)
copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
fill = _bind(_libc, "memset", None)
fill.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

_advise = _bind(_libc, "madvise", ctypes.c_int)
_advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MADV_POPULATE_WRITE = 23

HOST_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)
"""(environment, caller, slots, slot count) -> trap address or None."""


def pointer(address: int) -> Any:
    """A ready argument for `address`; the caller keeps what lies there alive."""
    return ctypes.byref(ctypes.c_char.from_address(address))


def context_of(store: wasmtime.Store) -> Any:
    """A ready argument for the context of `store`; valid as long as `store` lives."""
    return pointer(ctypes.cast(store._context(), ctypes.c_void_p).value or 0)


def address_of(data: bytes | bytearray) -> int:
    """Where the content of `data` lies; valid until it is dropped or resized."""
    if isinstance(data, bytearray):
        return ctypes.addressof(ctypes.c_char.from_buffer(data)) if data else 0
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def expect_write(address: int, length: int) -> None:
    """Let Linux bring in these pages at once, not one fault after the other."""
    if sys.platform == "linux":
        _advise(address, length, _MADV_POPULATE_WRITE)
