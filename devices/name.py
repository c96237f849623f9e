"""`name@1.0`: names, looked up by the resolvers of the node (spec/05 §9, spec/07 §15)."""

from __future__ import annotations

from collections.abc import Mapping

from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.device import Device, default
from hyperbeam_trio.errors import KeyNotFound, NotFound
from hyperbeam_trio.message import Link, Message, Value, as_text, to_value


class NameDevice(Device):
    """Any key is a name; the first of option `name-resolvers` that knows it has the answer.

    A resolver is the beginning of a path, which the name ends, or a message that has the name as a
    key. Values that are ids are read from the cache, unless `load=false`.
    """

    name = "name@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    @default
    async def value(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """What a name stands for; `NotFound` where no resolver knows it."""
        for resolver in context.config.name_resolvers:
            try:
                found = await _asked(resolver, name, context)
            except (KeyNotFound, NotFound):
                continue
            return await _loaded(found, context) if request.bool("load", True) else found
        raise NotFound(f"No resolver of this node knows the name {name!r}.")


async def _asked(resolver: object, name: str, context: Context) -> Value:
    if isinstance(resolver, Mapping):
        table = to_value(dict(resolver))
        return await context.resolve(table, Message.of({"path": [name.encode()]}))
    return await context.resolve_path(f"{str(resolver).rstrip('/')}/{name}")


async def _loaded(value: Value, context: Context) -> Value:
    if isinstance(value, Link):
        return await context.load(value)
    id = as_text(value) if isinstance(value, bytes) and len(value) == 43 else None
    if id is None or not is_id(id):
        return value
    found = await context.cache.read(id)
    if found is None:
        raise NotFound(f"The name stands for {id}, which is not stored here.")
    return found
