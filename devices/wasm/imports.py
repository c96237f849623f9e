"""Host functions for a guest's imports, as raw callbacks (spec/06 §1.4, §7.3)."""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from wasmtime import FuncType, ValType
from wasmtime import _ffi as ffi

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.binary import MalformedImage
from hyperbeam_trio.devices.wasm.layout import Import
from hyperbeam_trio.devices.wasm.signature import (
    SLOT_BYTES,
    Number,
    Signature,
    convert_number,
    require_numeric,
    slot_struct,
)
from hyperbeam_trio.errors import GuestError, GuestTrap

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.guest import Guest
    from hyperbeam_trio.devices.wasm.instance import Instance

HostFunction = Callable[["Instance", tuple[Number, ...]], Sequence[Number]]
"""A host function: the instance that calls, its arguments as signed integers and floats; gives the
results, as many as the signature has (for a void function anything)."""

Binder = Callable[[str, str, Signature], HostFunction | None]
"""Finds the host function for an import: module, name, signature; None asks for a stub."""

MAX_VIEWS = 64
MAX_DEPTH = 50
"""Far from Python's own recursion limit, which may not be met inside of a callback."""
IMPORT_FUEL = 10_000
"""What a call of an import counts where instructions are metered: it takes about as long as these.
A guest that waits in a loop for something to change is ended by its fuel too, not by the clock."""
TRAP_TEXT = b"host function failed"


def require_functions(imports: Sequence[Import]) -> None:
    """Raise `BadRequest` naming the first import that is not a function of numbers."""
    for item in imports:
        name = f"{item.module}.{item.name}"
        if item.signature is None:
            raise MalformedImage(
                f"Import {name} is a {item.kind}: only functions can be imported by a guest."
            )
        require_numeric(f"Import {name}", item.signature)


def function_type(signature: Signature) -> FuncType:
    """The engine's type of `signature`."""
    make = {"i": ValType.i32, "I": ValType.i64, "f": ValType.f32, "F": ValType.f64}
    return FuncType(
        [make[letter]() for letter in signature.params],
        [make[letter]() for letter in signature.results],
    )


class HostImport:
    """One import bound to a host function: `address` is its `wasmtime_func_t`.

    An exception of the host function is kept in the guest, a trap unwinds the guest's frames, and
    the call from outside raises the exception. The guest keeps this object for as long as its
    store lives.
    """

    __slots__ = ("address", "callback")

    def __init__(
        self, guest: Guest, item: Import, kind: FuncType, host: HostFunction, instance: Instance
    ) -> None:
        enter = _callback(f"{item.module}.{item.name}", item.signature or Signature(), host)
        self.callback: Any = raw.HOST_CALLBACK(partial(enter, weakref.ref(instance)))
        self.address = ffi.wasmtime_func_t()
        raw.func_new_unchecked(
            guest.context,
            ctypes.cast(kind.ptr(), ctypes.c_void_p),
            self.callback,
            None,
            None,
            ctypes.byref(self.address),
        )
        guest.hosts.append(self)

    def extern(self) -> Any:
        """The import as a `wasmtime_extern_t`."""
        union = ffi.wasmtime_extern_union(func=self.address)
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_FUNC, union)


def _callback(name: str, signature: Signature, host: HostFunction) -> Callable[..., int | None]:
    unpack = slot_struct(signature.params).unpack_from
    slots_at = _slot_views(signature)
    store = _result_writer(name, signature)

    def enter(
        instance_of: weakref.ref[Instance], _environment: None, _caller: int, address: int, _: int
    ) -> int | None:
        instance = instance_of()
        if instance is None:
            return _trap()
        guest = instance.guest
        guest.depth += 1
        try:
            if guest.depth > MAX_DEPTH:
                raise GuestTrap(f"Imports and exports call each other more than {MAX_DEPTH} deep.")
            guest.spend(IMPORT_FUEL)
            slots = slots_at(address)
            store(slots, host(instance, unpack(slots)))
        except BaseException as error:
            # Whatever it is (a cancellation too), it may not unwind the guest's frames itself.
            guest.raised = error
            return _trap()
        finally:
            guest.depth -= 1
        return None

    return enter


def _trap() -> int:
    trap: int = raw.trap_new(TRAP_TEXT, len(TRAP_TEXT))
    return trap


def _result_writer(name: str, signature: Signature) -> Callable[[Any, Sequence[Number]], None]:
    pack = slot_struct(signature.results).pack_into
    if not signature.results:
        return lambda _slots, _results: None

    def store(slots: Any, results: Sequence[Number]) -> None:
        try:
            pack(slots, 0, *results)
        except (struct.error, OverflowError, TypeError):
            pack(slots, 0, *_convert_results(name, signature, results))

    return store


def _slot_views(signature: Signature) -> Callable[[int], Any]:
    """Raw slots by address; the guest's stack comes back to the same few addresses."""
    array = ctypes.c_char * (signature.slots * SLOT_BYTES)
    if not signature.slots:
        return lambda _address: array()
    views: dict[int, Any] = {}

    def slots_at(address: int) -> Any:
        found = views.get(address)
        if found is None:
            if len(views) >= MAX_VIEWS:
                views.clear()
            found = views[address] = array.from_address(address)
        return found

    return slots_at


def _convert_results(name: str, signature: Signature, results: Sequence[Number]) -> list[Number]:
    expected = signature.results
    if not isinstance(results, Sequence) or len(results) != len(expected):
        raise GuestError(
            f"Import {name} must answer {len(expected)} numbers, not {results!r:.100}."
        )
    return [
        convert_number(code, value, f"Import {name}: Result {place}")
        for place, (code, value) in enumerate(zip(expected, results, strict=True), 1)
    ]
