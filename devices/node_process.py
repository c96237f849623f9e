"""`node-process@1.0`: processes of this node, one a name (spec/05 §9, spec/07 §19)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default
from hyperbeam_trio.devices.processes.definition import PROCESS_DEVICE
from hyperbeam_trio.devices.processes.signing import signed_by
from hyperbeam_trio.errors import NodeError, NotFound
from hyperbeam_trio.message import Message, Value, to_value


class NodeProcessDevice(Device):
    """Any key is a name of option `node-processes`: the signed definition of that process.

    The first who asks has it signed, scheduled and registered under its name, unless `spawn=false`.
    """

    name = "node-process@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    def __init__(self) -> None:
        self._spawning = trio.Lock()

    @default
    async def process(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The definition of the process of a name; `NotFound` for one that is not configured."""
        found = await _registered(name, context)
        if found is not None:
            return found
        draft = context.config.node_processes.get(name)
        if not isinstance(draft, Mapping) or not request.bool("spawn", True):
            raise NotFound(f"This node has no process {name!r}.")
        async with self._spawning:
            return await _registered(name, context) or await _spawned(name, draft, context)


def _name_of(name: str) -> str:
    return f"local-name@1.0/{name}"


async def _registered(name: str, context: Context) -> Message | None:
    id = await context.cache.lookup(_name_of(name))
    found = None if id is None else await context.cache.read(id)
    return found if isinstance(found, Message) else None


async def _spawned(name: str, draft: Mapping[str, Any], context: Context) -> Message:
    """The process as this node makes it: signed, with slot 0, and with its name."""
    definition = to_value({"device": PROCESS_DEVICE, "type": "Process", **draft})
    if not isinstance(definition, Message):
        raise NodeError(f"node-processes: {name!r} is no message.")
    own = context.node.address.encode()
    for key in ("scheduler", "authority"):
        definition = definition.set_values({key: [*_listed(definition.get(key)), own]})
    node, codec = context.node, context.config.node_process_spawn_codec
    signed = await signed_by([node.wallet], definition, codec, node, bundle=True)
    asked = Message.of({"path": b"schedule", "method": b"POST", "body": signed})
    await context.resolve(Message.of({"device": PROCESS_DEVICE}), asked)
    await context.cache.link(_name_of(name), signed_id(signed))
    return signed


def _listed(value: Value) -> list[Value]:
    """A list, or text that separates its items with commas, as a list."""
    if isinstance(value, bytes):
        return [part.strip() for part in value.split(b",") if part.strip()]
    return list(value) if isinstance(value, list) else []
