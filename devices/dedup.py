"""`dedup@1.0`: lets a message through once (spec/05 §6.3)."""

from __future__ import annotations

from hyperbeam_trio.codec.ids import message_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default
from hyperbeam_trio.errors import Halt
from hyperbeam_trio.message import Message, Value, as_text


class DedupDevice(Device):
    """Put in a stack: a subject that was seen before ends the pass with `skip`.

    The subject is `body`, or the key that `dedup-subject` names, of the base or the request;
    `request` is the request itself. What was seen is kept in `dedup`: subject id -> slot.
    """

    name = "dedup@1.0"
    excludes = frozenset({"keys", "set"})

    @default
    async def once(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The base with the subject remembered, or `skip`."""
        subject = await _subject(base, request, context)
        if base.int("pass", 1) != 1 or subject is None:
            return base
        seen = await _seen(base, context)
        subject_id = message_id(subject)
        if subject_id in seen:
            raise Halt("skip", base)
        slot = request.get("slot", True)
        return base.set_values({"dedup": seen.set_values({subject_id: slot})})


async def _subject(base: Message, request: Message, context: Context) -> Value:
    name = base.text("dedup-subject", None) or request.text("dedup-subject", "body")
    if name == "request":
        return request
    found = await context.view(base, name)
    return await context.view(request, name) if found is None else found


async def _seen(base: Message, context: Context) -> Message:
    """The table of seen ids; the list of ids that older states hold is read too."""
    seen = await context.view(base, "dedup")
    if isinstance(seen, list):
        return Message.of({id: True for item in seen if (id := as_text(item))})
    return seen if isinstance(seen, Message) else Message.of({"device": b"trie@1.0"})
