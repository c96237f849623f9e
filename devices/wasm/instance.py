"""One live instance of an image: start, calls, memory, strings (spec/06 §1.1, §1.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import wasmtime

from hyperbeam_trio.devices.wasm.function import Call, Function, prepare
from hyperbeam_trio.devices.wasm.guest import Guest, Limits
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.imports import Binder
from hyperbeam_trio.devices.wasm.linking import Linked, link, link_helper
from hyperbeam_trio.devices.wasm.memory import Memory
from hyperbeam_trio.devices.wasm.outside import OutsideState
from hyperbeam_trio.devices.wasm.signature import Argument, Number, Signature
from hyperbeam_trio.devices.wasm.traps import FunctionNotFound
from hyperbeam_trio.errors import BadRequest, GuestError

START_FUNCTIONS = ("emscripten_stack_init", "__wasm_call_ctors")
DEFAULT_LIMITS = Limits()


class Instance:
    """A live guest with its memory. One thread at a time may use it.

    `memory` is None if the module has none; `undefined_calls` counts calls of imports that nobody
    implements, by `module.name`; `outside` watches the state that is not in the memory.
    """

    def __init__(
        self, image: Image, bind: Binder | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Instantiate `image` and run its start functions, with imports working.

        `bind` finds the host function of each import; where it gives None, and without it, a stub
        answers zeros. Blocks; may run guest code. Raises `GuestTrap`, `GuestLimit`, whatever an
        import raises, and `BadRequest` for a fuel limit on an image that is not metered.
        """
        if (limits.fuel is not None) != image.metered:
            raise BadRequest("A fuel limit needs a metered image, and a metered image a limit.")
        self.image = image
        self.limits = limits
        self.undefined_calls: Counter[str] = Counter()
        self.guest = Guest(image.engine, image.epochs, limits)
        self._calls: dict[str, Call] = {}
        self._linked: Linked = link(image, self.guest, self, bind)
        self.memory = self._find_memory()
        self._start()
        self.outside = OutsideState(image, self.guest, self._linked)

    @property
    def damaged(self) -> bool:
        """Whether a call ended in its middle; memory and globals are not to be trusted then."""
        return self.guest.damaged

    @property
    def fuel_used(self) -> int:
        """Fuel that the last call from outside used; 0 when not metered."""
        return self.guest.fuel_used

    def function(self, name: str) -> Function:
        """The exported function `name`, prepared for many calls.

        Raises `FunctionNotFound`, or `BadRequest` if its signature has more than numbers.
        """
        return Function(name, self._signature(name), self._prepared(name), self)

    def call(self, name: str, arguments: Sequence[Argument]) -> list[Number]:
        """Call the exported function `name` (spec/06 §1.2).

        Numbers or numeric text in, signed integers and floats out. Blocks while the guest runs.
        Raises as `function` and `Function` say.
        """
        call = self._calls.get(name) or self._prepared(name)
        return call(arguments)

    def write_string(self, data: bytes) -> int:
        """Put `data` and a NUL into memory got from the guest's `malloc`; gives the address.

        Raises `GuestError` if the guest has no memory left.
        """
        memory = self.require_memory()
        (pointer,) = self.call("malloc", [len(data) + 1])
        address = int(pointer) & memory.mask
        if not address:
            raise GuestError(f"The guest's malloc has no {len(data) + 1} bytes.")
        memory.write(address, data + b"\x00")
        return address

    def read_string(self, address: int) -> bytes:
        """The bytes from `address` up to NUL."""
        return self.require_memory().read_string(address)

    def beside(self, module: wasmtime.Module, names: Sequence[str]) -> Linked:
        """A helper module in the same store, which imports these exports in this order."""
        return link_helper(self.guest, module, [self._linked.export(name) for name in names])

    def require_memory(self) -> Memory:
        """The memory; raises `GuestError` if the module has none."""
        if self.memory is None:
            raise GuestError("The module has no memory.")
        return self.memory

    def _find_memory(self) -> Memory | None:
        declared, name = self.image.layout.memory, self.image.exposure.memory
        if declared is None or name is None:
            return None
        return Memory(self.guest, self._linked.export(name).of.memory, declared.is_64)

    def _start(self) -> None:
        """Run what has to run before the first call."""
        names = [name for name in START_FUNCTIONS if self.image.functions.get(name) == Signature()]
        if start := self.image.exposure.start:
            names.insert(0, start)
        for name in names:
            self._touch()
            self._prepare(name, Signature())([])

    def _touch(self) -> None:
        if self.memory is not None:
            self.memory.touched = True

    def _signature(self, name: str) -> Signature:
        signature = self.image.functions.get(name)
        if signature is None:
            raise FunctionNotFound(name)
        return signature

    def _prepared(self, name: str) -> Call:
        call = self._calls.get(name)
        if call is None:
            call = self._prepare(name, self._signature(name))
            self._calls[name] = call
            self._touch()
        return call

    def _prepare(self, name: str, signature: Signature) -> Call:
        return prepare(self.guest, name, signature, self._linked.export(name).of.func)
