"""`multipass@1.0`: asks a stack for as many passes as `passes` says (spec/05 §6.2)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default
from hyperbeam_trio.errors import Halt
from hyperbeam_trio.message import Message, Value


class MultipassDevice(Device):
    """Put last in a stack: while `pass` is below `passes` (both 1 by default) it asks for more."""

    name = "multipass@1.0"
    excludes = frozenset({"keys", "set"})

    @default
    async def again(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The base, after another pass if one is due."""
        if base.int("pass", 1) < base.int("passes", 1):
            raise Halt("pass", base)
        return base
