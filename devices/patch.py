"""`patch@1.0`: moves messages from one part of the state into another (spec/05 §6.4)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, KeyNotFound
from hyperbeam_trio.message import Link, Message, Value, as_text
from hyperbeam_trio.setting import deep_set, set_path

_DROPPED = ("method", "commitments", "Tags", "tags")


class PatchDevice(Device):
    """`patches` applies the messages at `patch-from` that ask for it; `all` moves everything.

    Paths: the first of the request's and the base's `patch-from`, then `from`, else `/`; the same
    with `to`. A from path may begin with `base:` or `req:`. Patches apply in byte order of keys.
    """

    name = "patch@1.0"

    @key
    async def all(self, base: Message, request: Message, context: Context) -> Value:
        """Everything below the from path, merged at the to path; the source is removed."""
        source, path, value = await _source(base, request, context)
        moved = dict(value) if isinstance(value, Message) else {}
        rest = await _replace(source, path, None, context)
        return await _apply(rest, _to_path(base, request), Message.of(moved), context)

    @key
    async def patches(self, base: Message, request: Message, context: Context) -> Value:
        """The sub-messages with `method: PATCH`, or of this device; the others stay."""
        source, path, value = await _source(base, request, context)
        if not isinstance(value, Message):
            raise BadRequest(f"The patches at {'/'.join(path) or '/'} should be messages.")
        moved, kept = await _split(value, context)
        merged = Message()
        for name in sorted(moved):
            merged = await deep_set(merged, moved[name].without(*_DROPPED), context)
        rest = await _replace(source, path, kept, context) if moved else source
        return await _apply(rest, _to_path(base, request), merged, context)

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """`patches`, as the last device of an execution stack."""
        return await self.patches(base, request, context)

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base: nothing to prepare."""
        return base

    @key
    async def normalize(self, base: Message, request: Message, context: Context) -> Value:
        """The base: nothing to restore."""
        return base

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """The base: nothing is held outside the state."""
        return base


def _named_path(base: Message, request: Message, name: str) -> str:
    for message, key_ in ((request, f"patch-{name}"), (base, f"patch-{name}")):
        if key_ in message:
            return message.text(key_)
    return request.text(name, None) or base.text(name, "/")


def _to_path(base: Message, request: Message) -> list[str]:
    return [part for part in _named_path(base, request, "to").split("/") if part]


async def _source(
    base: Message, request: Message, context: Context
) -> tuple[Message, list[str], Value]:
    text = _named_path(base, request, "from")
    source = request if text.startswith(("req:", "request:")) else base
    if text.startswith(("req:", "request:", "base:")):
        text = text.partition(":")[2]
    path = [part for part in text.split("/") if part]
    value: Value = source
    for part in path:
        value = await context.view(value, part) if isinstance(value, Message) else None
        if value is None:
            raise KeyNotFound(f"There is nothing at patch-from {text!r}.")
    return source, path, value


async def _split(value: Message, context: Context) -> tuple[dict[str, Message], Message]:
    moved: dict[str, Message] = {}
    for name, item in value.items():
        message = await context.load(item) if isinstance(item, Link) else item
        if isinstance(message, Message) and _is_patch(message):
            moved[name] = message
    return moved, value.without(*moved)


def _is_patch(message: Message) -> bool:
    return "PATCH" in {as_text(message.get(name)) for name in ("method", "Method")} or (
        message.get("device") == b"patch@1.0"
    )


async def _replace(
    source: Message, path: list[str], value: Message | None, context: Context
) -> Message:
    """The source message with the value at `path` replaced, or removed for `None`."""
    if not path:
        return Message() if value is None else value
    if value is not None:
        return await set_path(source, path, value, context)
    if len(path) == 1:
        return source.without(path[0])
    child = await context.view(source, path[0])
    inner = child if isinstance(child, Message) else Message()
    return source.set_values({path[0]: await _replace(inner, path[1:], None, context)})


async def _apply(base: Message, path: list[str], values: Message, context: Context) -> Message:
    if not path:
        return await deep_set(base, values, context)
    nested: Message = values
    for part in reversed(path):
        nested = Message.of({part: nested})
    return await deep_set(base, nested, context)
