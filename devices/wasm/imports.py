"""Host functions for a guest's imports, as raw callbacks (spec/06 §1.4, §7.3)."""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Callable, Sequence
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
from hyperbeam_trio.errors import GuestError

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.guest import Guest
    from hyperbeam_trio.devices.wasm.instance import Instance

HostFunction = Callable[["Instance", tuple[Number, ...]], Sequence[Number]]
"""A host function: the instance that calls, its arguments as signed integers and floats; gives the
results, as many as the signature has (for a void function anything)."""

Binder = Callable[[str, str, Signature], HostFunction | None]
"""Finds the host function for an import: module, name, signature; None asks for a stub."""

MAX_VIEWS = 64
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
    """One import bound to a host function, or to a stub: `address` is its `wasmtime_func_t`.

    An exception of the host function is kept in the guest, a trap unwinds the guest's frames, and
    the call from outside raises the exception.
    """

    __slots__ = ("address", "callback")

    def __init__(
        self, guest: Guest, item: Import, kind: FuncType, host: HostFunction, instance: Instance
    ) -> None:
        signature = item.signature or Signature()
        enter = _callback(guest, f"{item.module}.{item.name}", signature, host, instance)
        self.callback: Any = raw.HOST_CALLBACK(enter)
        self.address = ffi.wasmtime_func_t()
        raw.func_new_unchecked(
            guest.context,
            ctypes.cast(kind.ptr(), ctypes.c_void_p),
            self.callback,
            None,
            None,
            ctypes.byref(self.address),
        )

    def extern(self) -> Any:
        """The import as a `wasmtime_extern_t`."""
        union = ffi.wasmtime_extern_union(func=self.address)
        return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_FUNC, union)


def _callback(
    guest: Guest, name: str, signature: Signature, host: HostFunction, instance: Instance
) -> Callable[..., int | None]:
    unpack = slot_struct(signature.params).unpack_from
    pack = slot_struct(signature.results).pack_into
    instance_of = weakref.ref(instance)
    slots_at = _slot_views(signature)
    void = not signature.results

    def enter(_environment: None, _caller: int, address: int, _count: int) -> int | None:
        guest.depth += 1
        try:
            slots = slots_at(address)
            results = host(instance_of(), unpack(slots))  # type: ignore[arg-type]  # alive: calls
            if not void:
                try:
                    pack(slots, 0, *results)
                except (struct.error, OverflowError, TypeError):
                    pack(slots, 0, *_convert_results(name, signature, results))
        except BaseException as error:
            # Whatever it is (a cancellation too), it may not unwind the guest's frames itself.
            guest.raised = error
            trap: int = raw.trap_new(TRAP_TEXT, len(TRAP_TEXT))
            return trap
        finally:
            guest.depth -= 1
        return None

    return enter


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
