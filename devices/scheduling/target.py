"""Which process a request is about, and its definition (spec/05 §4.2, §4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import only_committed, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import human_id, is_id
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Message, Value, as_text, describe

_HINT: Final = "?hint="
_PROCESS: Final = frozenset({b"Process", b"process"})


@dataclass(frozen=True, slots=True)
class Target:
    """A process by its id, and where somebody says that its scheduler is."""

    process: str
    hint: str | None = None


def is_process(message: Message) -> bool:
    """Whether a message is the definition of a process."""
    return message.get("type") in _PROCESS


def split_hint(text: str) -> tuple[str, str | None]:
    """`ID?hint=URL` as its two parts."""
    name, mark, hint = text.partition(_HINT)
    return name, hint if mark and hint else None


def read_target(key: str, value: Value) -> Target:
    """The process that a key names: an id as text, maybe with a hint, or as its 32 bytes.

    Raises `BadRequest` naming `key` for anything else.
    """
    if isinstance(value, bytes) and len(value) == 32:
        return Target(human_id(value))
    name, hint = split_hint((as_text(value) or "").lstrip("/"))
    if not is_id(name):
        raise BadRequest(f"Key {key!r} should be the id of a process, not {describe(value)}.")
    return Target(name, hint)


async def target_of(
    base: Message, request: Message, message: Message | None, context: Context
) -> Target:
    """The process of a request, whose message to schedule is `message` (`None` for a read).

    The first of: the message, if it is a process, or its `target`; `target` and `process-id` of
    the request; the request, if it is a process; `process` of the base; the base, if it is one.
    Raises `NotFound` where none of them says it.
    """
    named = _named(request, message)
    if named is not None:
        return named
    asked = request.caller
    if is_process(asked):
        return Target(signed_id(only_committed(asked)))
    held = await context.view(base, "process")
    if isinstance(held, Message):
        return Target(signed_id(held))
    if isinstance(held, bytes):
        return read_target("process", held)
    if is_process(base):
        return Target(signed_id(only_committed(base)))
    raise NotFound("The request names no process; give its id in 'target'.")


def _named(request: Message, message: Message | None) -> Target | None:
    if message is not None:
        if is_process(message):
            return Target(signed_id(message))
        if "target" in message:
            return _hinted(read_target("target", message["target"]), request)
    for key in ("target", "process-id"):
        if key in request:
            return read_target(key, request[key])
    return None


def _hinted(target: Target, request: Message) -> Target:
    """The target with the hint that a request gives beside the message, if it is for it."""
    process, hint = split_hint(as_text(request.get("target")) or "")
    if target.hint is None and process == target.process:
        return Target(process, hint)
    return target


async def definition_of(
    process: str, base: Message, message: Message | None, context: Context
) -> Message | None:
    """The definition of a process; `None` where it is not known.

    Anybody may send a message that claims to be it, so one that does not come from the store has
    to be signed, and its commitments have to hold. Then it has exactly its committed keys.
    """
    held = await context.view(base, "process")
    for candidate in (held, message, base):
        if not isinstance(candidate, Message) or not candidate.signers:
            continue
        reduced = only_committed(candidate)
        if signed_id(reduced) == process:
            whole = await context.load_all(reduced)
            if isinstance(whole, Message) and verify_message(whole, commitment_ids="all"):
                return whole
    found = await context.cache.read(process)
    return found if isinstance(found, Message) else None
