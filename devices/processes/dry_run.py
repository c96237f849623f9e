"""`dry-run@1.0`: a question to a state that leaves no trace (spec/05 §2.7, spec/08 §4.4)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default
from hyperbeam_trio.devices.processes.roles import seen_as
from hyperbeam_trio.message import Message, Value


class DryRunDevice(Device):
    """A process's state seen as its execution device, without anything being looked up or kept.

    Made by `as=execution` of `process@1.0`. What the device answers comes back with its `device`,
    and with `results/raw` at the top as `raw`, where clients look for it.
    """

    name = "dry-run@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    @default
    async def ask(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The execution device's answer to any key."""
        seen = seen_as("execution", base)
        if name.lower() == "device":
            return seen["device"]
        result = await context.internal().resolve(seen, request)
        if name.lower() != "compute" or not isinstance(result, Message):
            return result
        results = await context.view(result, "results")
        raw = await context.view(results, "raw") if isinstance(results, Message) else None
        answer = result.reset()
        return answer if raw is None else answer.set_values({"raw": raw})
