"""`test-device@1.0`: predictable answers for tests of clients and of the node (spec/05 §9)."""

from __future__ import annotations

import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.message import Message, Value

MAX_DELAY_MS = 60_000


class TestDevice(Device):
    """A fixture: every key has a fixed, simple answer."""

    __test__ = False
    name = "test-device@1.0"

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """A message with a status and a body."""
        return Message(status=200, body="This is the info of test-device@1.0.")

    @key("test-func")
    async def test_func(self, base: Message, request: Message, context: Context) -> Value:
        """`GOOD FUNCTION`."""
        return b"GOOD FUNCTION"

    @key
    async def index(self, base: Message, request: Message, context: Context) -> Value:
        """A page that likes `name` (turtles)."""
        name = base.text("name", None) or request.text("name", "turtles")
        return Message({"content-type": "text/html", "body": f"i like {name}!"})

    @key
    async def load(self, base: Message, request: Message, context: Context) -> Value:
        """The base with this device."""
        return base.set(device=self.name)

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base with an empty list `already-seen`."""
        return base.set({"already-seen": []})

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The base after a slot: `results/assignment-slot`, and the slot first in what was seen."""
        slot = request.int("slot")
        seen = await context.view(base, "already-seen")
        old = seen if isinstance(seen, list) else []
        return base.set_values(
            {
                "random-key": b"random-value",
                "results": Message.of({"assignment-slot": slot}),
                "already-seen": [slot, *old],
            }
        )

    @key
    async def restore(self, base: Message, request: Message, context: Context) -> Value:
        """The base with `started-state` set to what was seen; an error for a state without it."""
        seen = await context.view(base, "already-seen")
        if seen is None:
            raise HyperbeamError("No viable state to restore.", status=400)
        return base.set_values({"started-state": seen})

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """An empty message: everything is in the state."""
        return Message()

    @key
    async def mul(self, base: Message, request: Message, context: Context) -> Value:
        """An import of a guest: the product of two numbers in `args`."""
        left, right = request.list("args")[:2]
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise HyperbeamError("mul takes two numbers in 'args'.", status=400)
        return Message.of({"state": base.get("state"), "results": [left * right]})

    @key
    async def append(self, base: Message, request: Message, context: Context) -> Value:
        """`result` with the device's own key and the request's `bin` at its end."""
        old, bin_ = base.text("result", ""), request.text("bin", "")
        return base.set(result=f"{old}+{base.text('device-key', '')}{bin_}")

    @key(volatile=True)
    async def delay(self, base: Message, request: Message, context: Context) -> Value:
        """Wait for `duration` milliseconds (750), then `return`, or the request's body."""
        duration = min(request.int("duration", 750), MAX_DELAY_MS)
        await trio.sleep(duration / 1000)
        for message, name in ((base, "return"), (request, "return"), (request, "body")):
            if name in message:
                return message[name]
        return Message(result="slept")
