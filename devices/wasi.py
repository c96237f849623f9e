"""`wasi@1.0`: files for WebAssembly guests, kept in the state (spec/06 §2)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.devices.wasm.tables import with_table
from hyperbeam_trio.devices.wasm.wasi import MODULE
from hyperbeam_trio.errors import KeyNotFound
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.setting import set_path


class WasiDevice(Device):
    """Gives a guest files: `vfs`, a tree of messages, and `file-descriptors`, what is open.

    The functions themselves are bound to the guest by wasm-64@1.0.
    """

    name = "wasi@1.0"

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the three standard files, and this device as the guest's library."""
        library = Message.of({"device": self.name.encode()})
        linked = await set_path(base, ["wasm", "stdlib", MODULE], library, context)
        return with_table(linked, FileTable())

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The base: the files change while the guest runs."""
        return base

    @key
    async def stdout(self, base: Message, request: Message, context: Context) -> Value:
        """What the guest has written to its standard output."""
        value: Value = base
        for name in ("vfs", "dev", "stdout"):
            value = await context.view(value, name) if isinstance(value, Message) else None
        if value is None:
            raise KeyNotFound("The base has no file vfs/dev/stdout; call 'init' first.")
        return value
