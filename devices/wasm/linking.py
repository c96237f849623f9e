"""Putting an instance together: host functions, longjmp helpers, guest (spec/06 §1.4, §7.4)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import wasmtime
from wasmtime import _ffi as ffi

from hyperbeam_trio.devices.wasm.guest import Guest
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.imports import Binder, HostFunction, HostImport
from hyperbeam_trio.devices.wasm.layout import Import
from hyperbeam_trio.devices.wasm.signature import Signature
from hyperbeam_trio.devices.wasm.traps import describe, limit_error, take_trap
from hyperbeam_trio.errors import GuestError, GuestTrap

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.instance import Instance

LIMIT_MARKS = ("exceeds memory limits", "exceeds limit")


@dataclass(slots=True)
class Linked:
    """An engine instance in the store of `guest`."""

    guest: Guest
    handle: Any

    def export(self, name: str) -> Any:
        """The `wasmtime_extern_t` of an export that the module is known to have."""
        found = ffi.wasmtime_extern_t()
        encoded = name.encode()
        store, handle = self.guest.store._context(), ctypes.byref(self.handle)
        ok = ffi.wasmtime_instance_export_get(
            store, handle, encoded, len(encoded), ctypes.byref(found)
        )
        if not ok:
            raise GuestError(f"The module lost its export {name}.")
        return found


def link(image: Image, guest: Guest, instance: Instance, bind: Binder | None) -> Linked:
    """Instantiate `image` in the store of `guest`; no guest code runs."""
    longjmp, modules = image.longjmp, image.helper_modules
    outer = link_helper(guest, modules[0], []) if modules else None
    given = {helper.index: helper.export for helper in longjmp.helpers} if longjmp else {}
    externs = []
    for index, item in enumerate(image.layout.imports):
        if outer is not None and index in given:
            externs.append(outer.export(given[index]))
            continue
        host = HostImport(guest, item, image.import_types[index], _host(item, bind), instance)
        externs.append(host.extern())
    linked = link_helper(guest, image.module, externs)
    if longjmp and modules and outer is not None:
        sources = {"outer": outer, "guest": linked}
        parts = [sources[source].export(name) for source, name in longjmp.inner_imports]
        link_helper(guest, modules[1], parts)
    return linked


def _host(item: Import, bind: Binder | None) -> HostFunction:
    signature = item.signature or Signature()
    host = bind(item.module, item.name, signature) if bind else None
    return _stub(f"{item.module}.{item.name}", signature) if host is None else host


def _stub(name: str, signature: Signature) -> HostFunction:
    """Answers zeros and counts; touches no memory, so that it stays as the reference's is."""
    zeros = (0,) * len(signature.results)

    def stub(instance: Instance, _arguments: Sequence[object]) -> Sequence[int]:
        instance.undefined_calls[name] += 1
        return zeros

    return stub


def link_helper(guest: Guest, module: wasmtime.Module, externs: Sequence[Any]) -> Linked:
    """Instantiate a module in the store of `guest`; `externs` are its imports, in their order."""
    handle = ffi.wasmtime_instance_t()
    imports = (ffi.wasmtime_extern_t * len(externs))(*externs)
    trap = ctypes.POINTER(ffi.wasm_trap_t)()
    error = ffi.wasmtime_instance_new(
        guest.store._context(),
        module.ptr(),
        imports,
        len(externs),
        ctypes.byref(handle),
        ctypes.byref(trap),
    )
    if error:
        raise _link_error(str(wasmtime.WasmtimeError._from_ptr(error)))
    if trap:
        raise take_trap(ctypes.cast(trap, ctypes.c_void_p).value or 0, guest.store)
    return Linked(guest, handle)


def _link_error(message: str) -> GuestError:
    if any(mark in message for mark in LIMIT_MARKS):
        return limit_error("memory")
    return GuestTrap(describe(message)[0])
