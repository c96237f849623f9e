"""`local-name@1.0`: names of this node (spec/05 §9, spec/07 §15)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, Forbidden, NotFound
from hyperbeam_trio.message import Message, Value, describe, to_value

_PREFIX: Final = "local-name@1.0/"


class LocalNameDevice(Device):
    """Any key is a name: its value, registered by the operator or given in option `local-names`."""

    name = "local-name@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    @default
    async def value(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The value of a name; `NotFound` for one that nobody registered."""
        return await _value_of(name, context)

    @key
    async def lookup(self, base: Message, request: Message, context: Context) -> Value:
        """The value of the name in `key`."""
        return await _value_of(request.text("key"), context)

    @key
    async def register(self, base: Message, request: Message, context: Context) -> Value:
        """Give the name in `key` the `value`, in place of an older one; for the operator only."""
        if context.node.operator not in ("unclaimed", *request.caller.signers):
            raise Forbidden("Unauthorized.")
        name, value = request.text("key"), await context.load(request.get("value"))
        if not name or "/" in name:
            raise BadRequest(f"Key 'key' should be a name without slashes, not {name!r}.")
        if not isinstance(value, bytes | list | Message):
            raise BadRequest(f"Key 'value' should be text or a message, not {describe(value)}.")
        await context.cache.write(value, names=[_PREFIX + name])
        return b"Registered."


async def _value_of(name: str, context: Context) -> Value:
    id = await context.cache.lookup(_PREFIX + name)
    if id is not None:
        return await context.cache.read(id, commitments="all")
    given = context.config.local_names.get(name)
    if given is None:
        raise NotFound(f"Nobody has registered the name {name!r} here.")
    return to_value(given)
