"""`name@1.0`: names, looked up by the resolvers of the node (spec/05 §9, spec/07 §15)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, KeyNotFound, NotFound
from hyperbeam_trio.message import Link, Message, Value, as_text, to_value

_LABEL: Final = re.compile(r"[a-z0-9_-]+")


class NameDevice(Device):
    """Any key is a name; the first of option `name-resolvers` that knows it has the answer.

    A resolver is the beginning of a path, which the name ends, or a message that has the name as a
    key. Values that are ids are read from the cache, unless `load=false`.

    As a handler of the `request` hook it serves names as hosts: `NAME.HOST`, where `HOST` is option
    `node-host`, or any host if that is not set.
    """

    name = "name@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    @default
    async def value(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """What a name stands for; `NotFound` where no resolver knows it."""
        found = await _found(name, context)
        return await _loaded(found, context) if request.bool("load", True) else found

    @key
    async def request(self, base: Message, request: Message, context: Context) -> Value:
        """As a `request` hook: the path of a host `NAME.HOST` begins with what the name stands for.

        Nothing changes for hosts without a name, labels in `name-reserved-host-labels`, and names
        that nobody knows; but for such a one the empty path is `NotFound`.
        """
        whole, sequence = await context.view(request, "request"), request.get("body")
        if not isinstance(whole, Message) or not isinstance(sequence, list):
            raise BadRequest("name@1.0/request is a hook: it needs 'request' and 'body'.")
        name = label_of(as_text(whole.get("host")) or "", context.config)
        if name is None:
            return request
        try:
            named = _as_base(await _found(name, context))
        except NotFound:
            if sequence:
                return request
            raise NotFound("Not Found") from None
        return Message.of({"request": whole, "body": _begun_with(named, sequence)})


def label_of(host: str, config: NodeConfig) -> str | None:
    """The name in a request's `host`; `None` for one without, an address, or a reserved label."""
    plain = _without_port(host.strip().lower())
    own = config.node_host
    if _is_address(plain) or (own is not None and not plain.endswith(f".{own.lower()}")):
        return None
    label, dot, rest = plain.partition(".")
    reserved = {each.lower() for each in config.name_reserved_host_labels}
    # A label becomes part of a path, where other characters would say more than a name.
    return label if dot and rest and _LABEL.fullmatch(label) and label not in reserved else None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _begun_with(named: Value, sequence: list[Value]) -> list[Value]:
    """A path's elements behind a base, in place of the one that the request itself would be."""
    first = sequence[0] if sequence else None
    if isinstance(first, Link) and isinstance(named, Link) and first.id == named.id:
        return sequence
    if isinstance(first, Message) and "path" not in first:
        return [named, *sequence[1:]]
    return [named, *sequence]


def _as_base(value: Value) -> Value:
    """What a name stands for, where a path begins."""
    id = _id_in(value)
    if id is not None:
        return Link(id)
    return value if isinstance(value, Message | Link | list) else Message.of({"body": value})


async def _found(name: str, context: Context) -> Value:
    for resolver in context.config.name_resolvers:
        try:
            return await _asked(resolver, name, context)
        except (KeyNotFound, NotFound):
            continue
    raise NotFound(f"No resolver of this node knows the name {name!r}.")


def _id_in(value: Value) -> str | None:
    text = as_text(value) if isinstance(value, bytes) and len(value) == 43 else None
    return text if text is not None and is_id(text) else None


async def _asked(resolver: object, name: str, context: Context) -> Value:
    if isinstance(resolver, Mapping):
        table = to_value(dict(resolver))
        return await context.resolve(table, Message.of({"path": [name.encode()]}))
    return await context.resolve_path(f"{str(resolver).rstrip('/')}/{name}")


async def _loaded(value: Value, context: Context) -> Value:
    if isinstance(value, Link):
        return await context.load(value)
    id = _id_in(value)
    if id is None:
        return value
    found = await context.cache.read(id)
    if found is None:
        raise NotFound(f"The name stands for {id}, which is not stored here.")
    return found
