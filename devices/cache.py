"""`cache@1.0`: the store itself, by id and by path (spec/04 §8)."""

from __future__ import annotations

from hyperbeam_trio.cache.parts import read_listing, write_listing
from hyperbeam_trio.cache.streaming import is_large, signed_item, stored_link
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, Forbidden, NotFound
from hyperbeam_trio.message import Link, Message, Value, describe

_CONTENT = "data/"
_PARTS = "parts/"


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
        """Write `body`: one value (`type: single`), or every value of a message (`batch`).

        With `type: parts` the body lists stored parts of the binary that `id` names; with `type:
        item` it is the header of an item whose data that is (spec/02 §11), with `type: linked` a
        message in httpsig@1.0, to get it under `key`.
        """
        _authorise(request, context)
        if request.text("type", "single") in ("parts", "item", "linked"):
            return await _write_large(request, context)
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


async def _write_large(request: Message, context: Context) -> Message:
    """Let stored parts be one binary, or that binary the data of a signed item."""
    cache, id, body = context.cache, request.text("id"), request.binary("body")
    if request.text("type") == "parts":
        await cache.write_parts(id, read_listing(body))
        return Message.of({"status": 200, "path": (_CONTENT + id).encode()})
    if request.text("type") == "item":
        message = await signed_item(body, id, cache)
    else:
        data = await stored_link(id, cache)
        bare = HTTPSIG.from_bytes(body).uncommitted()
        message = bare.set_values({request.text("key"): data})
    return Message.of({"status": 200, "path": (await cache.write(message)).encode()})


async def _read(path: str, context: Context) -> Value:
    """A value by id, `data/<hash>`, `<id>/<key>/…`, or a name that was linked."""
    cache = context.cache
    if path.startswith(_PARTS):
        listed = await cache.parts(path.removeprefix(_PARTS))
        return None if listed is None else write_listing(listed)
    if path.startswith(_CONTENT):
        return await _read_binary(path.removeprefix(_CONTENT), context)
    head, _, rest = path.partition("/")
    found = await cache.read(head)
    if found is not None:
        return await context.get(found, rest) if rest else found
    named = await cache.lookup(path)
    return None if named is None else await cache.read(named)


async def _read_binary(id: str, context: Context) -> Value:
    """A binary; a large one as a link, which is followed part by part."""
    parts = await context.cache.parts(id) or ()
    link = Link(id, "binary", sum(part.size for part in parts))
    return link if is_large(link, context.cache) else await context.cache.read(id)


async def _id_of(source: str, context: Context) -> str:
    source = source.removeprefix(_CONTENT)
    named = await context.cache.lookup(source)
    target = named or source
    if not await context.cache.exists(target):
        raise NotFound(f"There is nothing at {source!r} to link to.")
    return target
