"""Calling a process as one of its roles: another device on the same message (spec/05 §2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from hyperbeam_trio.context import Context
from hyperbeam_trio.message import Message, Value

Role = Literal["execution", "scheduler", "push"]

DEFAULT_DEVICES: Final[Mapping[str, bytes]] = {
    "execution": b"genesis-wasm@1.0",
    "scheduler": b"scheduler@1.0",
    "push": b"push@1.0",
}


def seen_as(role: str, base: Message) -> Message:
    """The base with the device and the prefixes of a role."""
    values: dict[str, Value] = {
        "device": base.get(f"{role}-device", DEFAULT_DEVICES.get(role, b"message@1.0")),
        "input-prefix": base.get("input-prefix", b"process"),
    }
    prefixes = base.get(f"{role}-output-prefixes")
    if prefixes is not None:
        values["output-prefixes"] = prefixes
    return base.set_values(values)


async def call(role: Role, base: Message, request: Message | str, context: Context) -> Value:
    """What the device of a role answers; a result that still has that device gets its own back.

    Raises what the device raises.
    """
    seen = seen_as(role, base)
    result = await context.resolve(seen, request)
    if not isinstance(result, Message) or result.get("device") != seen["device"]:
        return result
    own = base.get("device")
    return result.without("device") if own is None else result.set_values({"device": own})
