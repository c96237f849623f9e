"""The Lua modules that a message names, in the order in which they run (spec/06 §5.2)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.codec.ids import message_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Message, Value, as_text, numbered

MIMES: Final = frozenset({"application/lua", "text/x-lua"})

Module = tuple[str, bytes]
"""The name of a chunk, and its source."""


async def modules_of(base: Message, context: Context) -> list[Module]:
    """The base itself if its `content-type` is Lua's, then what `module` names.

    Raises `BadRequest` where there is none or one has no source, `NotFound` for an unknown id.
    """
    found = [await _of_message(base, context)] if is_lua(base) else []
    for item in await _listed(await context.view(base, "module"), context):
        found.append(await _module(await context.load(item), context))
    if not found:
        raise BadRequest("No Lua modules found when preparing environment for call.")
    return found


def is_lua(message: Message) -> bool:
    """Whether a message is a module by its `content-type`."""
    return as_text(message.get("content-type")) in MIMES


async def _listed(value: Value, context: Context) -> list[Value]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, Message) and not is_lua(value):
        return numbered(value) or [value[key] for key in sorted(value)]
    return [value]


async def _module(value: Value, context: Context) -> Module:
    if isinstance(value, Message):
        return await _of_message(value, context)
    id = as_text(value)
    if id is None:
        raise BadRequest("A Lua module should be an id or a message with a 'body'.")
    found = await context.cache.read(id)
    if isinstance(found, bytes):
        return id, found
    if not isinstance(found, Message):
        raise NotFound(f"Lua module '{id}' not found.")
    return await _of_message(found, context, id)


async def _of_message(module: Message, context: Context, id: str | None = None) -> Module:
    code = await context.view(module, "body")
    code = await context.view(module, "data") if code is None else code
    if not isinstance(code, bytes):
        raise BadRequest(
            "Lua module not loadable. Lua modules must have a\n"
            "`body' element set to a binary of the code to load."
        )
    return id or module.text("name", None) or message_id(module), code
