"""What is to be scheduled, and whether it may be (spec/05 §4.2, spec/08 §6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from hyperbeam_trio.commitments import failing_commitments, only_committed
from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import BadRequest, NecessaryMessageNotFound, NotFound
from hyperbeam_trio.message import Link, Message, Value, describe


@dataclass(frozen=True, slots=True)
class Subject:
    """A message to schedule, loaded, with the keys that its commitments cover.

    `verified`: its commitments were checked when it came in. `covered`: nobody signed it itself,
    but the signed request around it covers it. `flat`: it is the request itself. `forged`: it came
    with a signature that does not hold.
    """

    message: Message
    verified: bool = False
    covered: bool = False
    flat: bool = False
    forged: bool = False


_NESTED = frozenset({Link, Message, list})


async def subject_of(base: Message, request: Message, context: Context) -> Subject:
    """The message that a request wants scheduled, not yet checked.

    That is the request's `body`, or the request itself where its body is no message; its key
    `subject` may say `base`, `self`, or another of its keys. Raises `NotFound` if a part of it
    can't be loaded, `BadRequest` if it is no message or misses a key that is committed.
    """
    name = request.text("subject", None)
    if name == "base":
        return Subject(await _loaded(base, context))
    if name not in (None, "self"):
        return await _member(name, request, context)
    if name is None and isinstance(request.get("body"), Message | Link):
        return await _member("body", request, context)
    asked = request.caller
    signed = asked.private.get("signed")
    if isinstance(signed, Message):
        message = await _whole(signed, context)
        return Subject(message, verified=True, flat=True, forged=_is_forged(asked))
    return Subject(await _loaded(asked, context), flat=True)


async def _member(name: str, request: Message, context: Context) -> Subject:
    if name not in request:
        raise BadRequest(f"Key 'subject' names {name!r}, which the request does not have.")
    caller, member = request.caller, request[name]
    # Checked at the door with the request that it came in.
    received = "transport" in caller.private and member is caller.get(name)
    message = await _loaded(member, context)
    signed = caller.private.get("signed")
    return Subject(
        message,
        verified=received and isinstance(member, Message),
        covered=received and isinstance(signed, Message) and not message.signers,
        forged=received and _is_forged(caller),
    )


def _is_forged(request: Message) -> bool:
    return "forged" in request.private


async def _whole(message: Message, context: Context) -> Message:
    """The message with its links loaded, if it has any."""
    if _NESTED.isdisjoint(map(type, message.values())):
        return message
    return await _loaded(message, context)


async def _loaded(value: Value, context: Context) -> Message:
    try:
        whole = await context.load_all(value)
    except NecessaryMessageNotFound as missing:
        raise NotFound(
            f"Cannot fully load message to schedule: {missing.text}", details=missing.details
        ) from missing
    if not isinstance(whole, Message):
        raise BadRequest(f"Only a message can be scheduled, not {describe(whole)}.")
    return _committed_part(whole.reset())


def _committed_part(message: Message) -> Message:
    reduced = only_committed(message)
    for commitment in reduced.commitments.values():
        missing = [key for key in commitment.committed if not _has(reduced, key)]
        if missing:
            raise BadRequest(
                "Message invalid: Committed components cannot be validated.",
                details={"reason": f"It lacks {', '.join(missing)}, which is committed."},
            )
    return reduced


def _has(message: Message, key: str) -> bool:
    return key in message or key in ("ao-types", "ao-ids")


def check(subject: Subject, mode: str) -> None:
    """Refuse what may not be scheduled, by the option `verify-assignments`.

    "true": it has a signer, itself or around it, and all its commitments hold; "accept_unsigned":
    those that it has hold; "false": anything goes. Raises `BadRequest`.
    """
    if mode == "false":
        return
    if subject.forged:
        raise _refused("A signature that came with it does not hold.")
    failing = [] if subject.verified else failing_commitments(subject.message)
    if failing:
        first = failing[0]
        raise _refused(f"Commitment {first.id} ({first.type}) does not hold.", first.id)
    if mode == "true" and not subject.message.signers and not subject.covered:
        raise _refused("Nobody has signed it.")


def _refused(reason: str, commitment: str | None = None) -> BadRequest:
    details = {"reason": f"Given message is invalid: {reason}"}
    if commitment is not None:
        details["commitment"] = commitment
    return BadRequest("Message is not valid.", details=details)
