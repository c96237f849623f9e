"""`apply@1.0`: resolves a path that a message holds (spec/05 §9, spec/07 §19)."""

from __future__ import annotations

from hyperbeam_trio.commitments import failing_commitments, only_committed
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Message, Value, as_text
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.setting import RESERVED


class ApplyDevice(Device):
    """Key K: the path found under K, in the request or the base, resolved.

    `source` names the message to look in; a prefix `base:` or `request:` chooses between the two.
    With `base` and `request` in the request, K is asked of the one with the other.
    """

    name = "apply@1.0"
    excludes = frozenset({"keys", "set", "remove", "id", "commit", "verify", "committers"})

    @default
    async def apply(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """What the path under this key gives."""
        if "base" in request and "request" in request:
            return await _pair(base, request, context, name)
        source = await _source(base, request, context)
        found = await _find(name, source, request, context)
        if found is None:
            raise NotFound(f"Path `{name}` to execute not found.")
        if isinstance(found, Message):
            return await context.resolve_many(parse_request(found))
        text = as_text(found)
        if text is None:
            raise BadRequest(f"Path `{name}` is invalid.")
        direct = await context.get(source, text)
        if direct is not None:
            return direct
        asked = _request(await _checked(source, context), text)
        return await context.resolve_many(parse_request(asked))

    @key
    async def pair(self, base: Message, request: Message, context: Context) -> Value:
        """The message at path `request` asked of the message at path `base`."""
        return await _pair(base, request, context, None)


def _request(source: Message, path: str) -> Message:
    """The source as a request to `path`, said by its signers as far as they said all of it."""
    items = {k: v for k, v in source.items() if k not in RESERVED and k != "device"}
    request = Message.of({**items, "path": path.encode()})
    held = source.commitments.values()
    return request.with_commitments(
        [c for c in held if all(request.get(k) == source.get(k) for k in c.committed)]
    )


async def _checked(source: Message, context: Context) -> Message:
    """A message from inside of a request, with its commitments if they hold."""
    if not source.commitments:
        return source
    loaded = await context.load_all(source)
    if not isinstance(loaded, Message) or failing_commitments(loaded):
        return source.uncommitted()
    return _said(loaded) if loaded.signers else loaded


def _said(signed: Message) -> Message:
    """What the signers of a request said, and its method, which is the transport's."""
    said = only_committed(signed)
    if "method" not in signed or "method" in said:
        return said
    beside = said.set_values({"method": signed["method"]})
    return beside.with_commitments(said.commitments.values())


async def _source(base: Message, request: Message, context: Context) -> Message:
    path = request.text("source", None) or base.text("source", None)
    if path is None:
        return base.without("device")
    found = await _find(path, None, request, context, base)
    if not isinstance(found, Message):
        raise NotFound(f"Source path `{path}` to apply not found.")
    return found


async def _pair(base: Message, request: Message, context: Context, path: str | None) -> Value:
    asked = await _find(request.text("request"), None, request, context, base)
    if not isinstance(asked, Message):
        raise NotFound(f"Path `{request.text('request')}` to apply not found.")
    target = await _find(request.text("base"), None, request, context, base)
    if target is None:
        raise NotFound(f"Path `{request.text('base')}` to apply not found.")
    return await context.resolve(target, asked.set(path=path) if path else asked)


async def _find(
    path: str,
    source: Message | None,
    request: Message,
    context: Context,
    base: Message | None = None,
) -> Value:
    """The value at a path: of the message that its prefix names, else request, then the others."""
    prefix, colon, rest = path.partition(":")
    chosen = {"base": base or source, "request": request, "req": request}.get(prefix)
    if colon and chosen is not None:
        return await context.get(chosen.without("device", "path"), rest)
    for message in (request, source, base):
        if message is None:
            continue
        found = await context.get(message.without("device", "path"), path)
        if found is not None:
            return found
    return None
