"""Prepared calls of a guest's exports (spec/06 §7.3).

Everything about the types is settled once, so that a call writes its arguments into a raw buffer,
calls, and reads the results. One buffer a function is enough even when an import calls the same
function again: the engine takes all arguments out of the buffer before the guest's code runs, and
writes the results after it has returned.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.guest import NOT_ARMED, Guest
from hyperbeam_trio.devices.wasm.signature import (
    SLOT_BYTES,
    Argument,
    Number,
    Signature,
    convert_arguments,
    require_numeric,
    slot_struct,
)

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.instance import Instance

Call = Callable[[Sequence[Argument]], list[Number]]

VIEWS: dict[str, Any] = {"i": "i", "I": "q", "f": "f", "F": "d"}


@dataclass(frozen=True, slots=True)
class Function:
    """One export, ready to be called.

    `call(arguments)` gives the list of results: i32 and i64 as signed integers, f32 and f64 as
    floats. It raises `BadRequest` for arguments that do not fit, `GuestTrap` with the engine's
    text, `GuestLimit`, and whatever an import raised. Blocks while the guest runs, without the
    GIL. `instance` is kept alive by it.
    """

    name: str
    signature: Signature
    call: Call
    instance: Instance

    def __call__(self, arguments: Sequence[Argument]) -> list[Number]:
        """The same as `call`."""
        return self.call(arguments)


def prepare(guest: Guest, name: str, signature: Signature, address: Any) -> Call:
    """A call of the function behind `address`, a ctypes `wasmtime_func_t` of the guest's store.

    Raises `BadRequest` if the signature has vector or reference types.
    """
    require_numeric(name, signature)
    unary = len(signature.params) == len(signature.results) == 1
    call = (_unary if unary else _general)(guest, name, signature, address)
    if guest.fuel_limit is not None:
        return _metered(guest, call)
    return call


def _unary(guest: Guest, name: str, signature: Signature, address: Any) -> Call:
    """A call with one parameter and one result, the common case: no loop and no struct."""
    buffer = ctypes.create_string_buffer(SLOT_BYTES)
    parameter = memoryview(buffer).cast("B").cast(VIEWS[signature.params])
    result = memoryview(buffer).cast("B").cast(VIEWS[signature.results])
    epochs, trap = guest.epochs, guest.trap_slot
    run, armed = raw.call_unchecked, NOT_ARMED
    context, trap_pointer = guest.context, guest.trap_pointer
    function, slots = ctypes.byref(address), ctypes.byref(buffer)

    def call(arguments: Sequence[Argument]) -> list[Number]:
        nonlocal armed
        if epochs.now != armed:
            armed = guest.arm()
        try:
            (argument,) = arguments
            if argument is True or argument is False:
                raise TypeError
            parameter[0] = argument
        except (TypeError, ValueError, OverflowError):
            (parameter[0],) = convert_arguments(name, signature, arguments)
        if (error := run(context, function, slots, 1, trap_pointer)) or trap[0]:
            raise guest.failure(error)
        return [result[0]]

    return call


def _general(guest: Guest, name: str, signature: Signature, address: Any) -> Call:
    """A call with any number of parameters and results."""
    buffer = ctypes.create_string_buffer(max(1, signature.slots) * SLOT_BYTES)
    pack = slot_struct(signature.params).pack_into
    unpack = slot_struct(signature.results).unpack_from
    epochs, trap = guest.epochs, guest.trap_slot
    run, armed = raw.call_unchecked, NOT_ARMED
    context, trap_pointer = guest.context, guest.trap_pointer
    function, slots, count = ctypes.byref(address), ctypes.byref(buffer), signature.slots

    def call(arguments: Sequence[Argument]) -> list[Number]:
        nonlocal armed
        if epochs.now != armed:
            armed = guest.arm()
        try:
            if bool in map(type, arguments):
                raise TypeError
            pack(buffer, 0, *arguments)
        except (struct.error, TypeError, OverflowError):
            pack(buffer, 0, *convert_arguments(name, signature, arguments))
        if (error := run(context, function, slots, count, trap_pointer)) or trap[0]:
            raise guest.failure(error)
        return list(unpack(buffer))

    return call


def _metered(guest: Guest, call: Call) -> Call:
    def metered(arguments: Sequence[Argument]) -> list[Number]:
        guest.refuel()
        return call(arguments)

    return metered
