"""`hook@1.0`: the node's hooks, asked by name (spec/07 §5)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.message import Message, Value


class HookDevice(Device):
    """`find` lists the handlers of a hook."""

    name = "hook@1.0"
    volatile = True

    @key
    async def find(self, base: Message, request: Message, context: Context) -> Value:
        """The handlers of the hook that `target` names, in order."""
        return list(context.node.hooks.find(request.text("target")))
