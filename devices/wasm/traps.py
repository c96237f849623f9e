"""Traps and engine errors as exceptions of ours (spec/06 §1.2, §7.5)."""

from __future__ import annotations

import ctypes
import re

import wasmtime
from wasmtime import _ffi as ffi

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.errors import GuestError, GuestLimit, GuestTimeout, GuestTrap

CAUSE = "Caused by:\n"
CAUSE_NUMBER = re.compile(r"^\s*[0-9]+: ")
MAX_BACKTRACE = 2_000
LIMITS = {wasmtime.TrapCode.INTERRUPT: "time", wasmtime.TrapCode.OUT_OF_FUEL: "fuel"}


class FunctionNotFound(GuestError):
    """The module exports no function of this name (spec/06 §1.2)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Function not found: {name}")


class MemoryFault(GuestTrap):
    """An address range that is not within the guest's memory."""


class UncaughtException(GuestTrap):
    """A wasm exception (a longjmp, a C++ throw) that no frame of the guest caught."""


def limit_error(limit: str) -> GuestLimit:
    """The error for a guest that used up its `time`, `fuel` or `memory`."""
    kind = GuestTimeout if limit == "time" else GuestLimit
    return kind(f"Guest exceeded its {limit} limit.", details={"limit": limit})


def take_trap(address: int, store: wasmtime.Store) -> GuestError:
    """The exception for the trap at `address`; frees it, and a wasm exception left in `store`."""
    trap = wasmtime.Trap._from_ptr(ctypes.cast(address, ctypes.POINTER(ffi.wasm_trap_t)))
    limit = LIMITS.get(trap.trap_code) if trap.trap_code else None
    text, backtrace = describe(str(trap))
    trap.close()
    if limit:
        return limit_error(limit)
    kind = UncaughtException if _drop_exception(store) else GuestTrap
    return kind(text, details={"backtrace": backtrace} if backtrace else None)


def take_error(address: int) -> GuestError:
    """The exception for the engine error at `address`, which is freed."""
    pointer = ctypes.cast(address, ctypes.POINTER(ffi.wasmtime_error_t))
    error = wasmtime.WasmtimeError._from_ptr(pointer)
    text, _ = describe(str(error))
    error.close()
    return GuestTrap(text)


def describe(message: str) -> tuple[str, str]:
    """The causes in an engine message, on one line, and the backtrace before them."""
    head, found, causes = message.partition(CAUSE)
    if not found:
        return message.strip(), ""
    _, _, frames = head.partition("\n")
    lines = [CAUSE_NUMBER.sub("", line).strip() for line in causes.strip().split("\n")]
    return "; ".join(line for line in lines if line), frames.strip()[:MAX_BACKTRACE]


def _drop_exception(store: wasmtime.Store) -> bool:
    if not raw.has_exception(raw.context_of(store)):
        return False
    exception = ffi.wasmtime_exnref_t()
    if ffi.wasmtime_context_take_exception(store._context(), ctypes.byref(exception)):
        ffi.wasmtime_exnref_unroot(ctypes.byref(exception))
    return True
