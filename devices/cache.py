"""`cache@1.0`: the store itself, by id and by path (spec/04 §8)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, Forbidden, NotFound
from hyperbeam_trio.message import Message, Value, describe

_CONTENT = "data/"


class CacheDevice(Device):
    """`read` for everybody; `write`, `link` and `group` for signers in `cache-writers`."""

    name = "cache@1.0"
    volatile = True

    @key
    async def read(self, base: Message, request: Message, context: Context) -> Value:
        """The message or binary at the id or path in `read` (or `target`)."""
        path = request.text("read", None) or request.text("target")
        value = await _read(path.strip("/"), context)
        if value is None:
            raise NotFound(f"There is nothing at {path!r} in the cache.")
        return value

    @key
    async def write(self, base: Message, request: Message, context: Context) -> Value:
        """Write `body`: one value (`type: single`), or every value of a message (`batch`)."""
        _authorise(request, context)
        body = await context.load_all(await context.view(request, "body"))
        if body is None:
            raise BadRequest("No body to write.")
        kind = request.text("type", "single")
        if kind == "batch" and isinstance(body, Message):
            answers = {name: await _write(value, context) for name, value in body.items()}
            return Message.of({**answers, "status": 200})
        if kind not in ("single", "batch") or kind == "batch":
            raise BadRequest("Invalid write type.")
        return await _write(body, context)

    @key
    async def link(self, base: Message, request: Message, context: Context) -> Value:
        """Make the name in `destination` stand for the id or name in `source`."""
        _authorise(request, context)
        source, destination = request.text("source"), request.text("destination")
        await context.cache.link(destination, await _id_of(source, context))
        return Message(status=200)

    @key
    async def group(self, base: Message, request: Message, context: Context) -> Value:
        """Make the name in `group` stand for an empty message, unless it exists."""
        _authorise(request, context)
        name = request.text("group")
        if await context.cache.lookup(name) is None:
            await context.cache.link(name, await context.cache.write(Message()))
        return Message(status=200)


def _authorise(request: Message, context: Context) -> None:
    writers = context.config.cache_writers or [context.node.address]
    if not set(request.caller.signers) & set(writers):
        raise Forbidden("Not authorized to write to the cache.")


async def _write(value: Value, context: Context) -> Message:
    if not isinstance(value, bytes | list | Message):
        raise BadRequest(f"The cache keeps binaries and messages, not {describe(value)}.")
    path = await context.cache.write(value)
    if isinstance(value, bytes):
        path = _CONTENT + path
    return Message.of({"status": 200, "path": path.encode()})


async def _read(path: str, context: Context) -> Value:
    """A value by id, `data/<hash>`, `<id>/<key>/…`, or a name that was linked."""
    cache = context.cache
    if path.startswith(_CONTENT):
        return await cache.read(path.removeprefix(_CONTENT))
    head, _, rest = path.partition("/")
    found = await cache.read(head)
    if found is not None:
        return await context.get(found, rest) if rest else found
    named = await cache.lookup(path)
    return None if named is None else await cache.read(named)


async def _id_of(source: str, context: Context) -> str:
    source = source.removeprefix(_CONTENT)
    named = await context.cache.lookup(source)
    target = named or source
    if not await context.cache.exists(target):
        raise NotFound(f"There is nothing at {source!r} to link to.")
    return target
