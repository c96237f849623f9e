"""Schedulers at other nodes: reading their schedules, passing messages on (spec/05 §4.10).

What comes back is believed only as far as the process's schedulers have signed it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlencode, urljoin

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import ALL, only_committed, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.scheduling.legacy import legacy_assign, legacy_page, legacy_slot
from hyperbeam_trio.devices.scheduling.place import LEGACY, Elsewhere, Here
from hyperbeam_trio.errors import NotFound, RemoteError
from hyperbeam_trio.http.remote import Reply, ask
from hyperbeam_trio.message import Message, Value, as_text

HOPS: Final = 5
"""How often another node may send us on to yet another."""
_MOVED: Final = frozenset({307, 308})


async def remote_slot(
    place: Elsewhere, process: str, schedulers: Collection[str], context: Context
) -> Message:
    """What the process's scheduler says of its newest slot (`slot`)."""
    if place.variant == LEGACY:
        return await legacy_slot(place, process, schedulers, context)
    reply = await _ask(place, _read(f"/~scheduler@1.0/slot?target={process}"), context)
    answer = reply.accepted()
    if not isinstance(answer, Message) or as_text(answer.get("process")) != process:
        raise RemoteError(f"{reply.url} did not answer with the slot of {process}.")
    return _shown(answer)


async def remote_page(
    place: Elsewhere,
    process: str,
    first: int,
    last: int | None,
    schedulers: Collection[str],
    context: Context,
) -> Message:
    """A page of the schedule as the process's scheduler gives it, its assignments checked."""
    if place.variant == LEGACY:
        return await legacy_page(place, process, first, last, schedulers, context)
    query = {"target": process, "from": first, **({} if last is None else {"to": last})}
    reply = await _ask(place, _read(f"/~scheduler@1.0/schedule?{urlencode(query)}"), context)
    answer = reply.accepted()
    if not isinstance(answer, Message):
        raise RemoteError(f"{reply.url} did not answer with the schedule of {process}.")
    found = await context.load_all(answer.get("assignments"))
    if not isinstance(found, Message):
        raise RemoteError(f"{reply.url} answered with a schedule without assignments.")
    for assignment in found.values():
        check_assignment(assignment, process, schedulers, reply.url)
    return _shown(answer).set_values({"assignments": found})


async def remote_assign(
    place: Elsewhere,
    process: str,
    message: Message,
    wrapper: Message | None,
    schedulers: Collection[str],
    context: Context,
) -> Message:
    """The assignment that the process's scheduler gave to a message that we passed on.

    A message that is only covered by the request around it goes in that `wrapper`, as it came.
    """
    if place.variant == LEGACY:
        return await legacy_assign(place, process, message, schedulers, context)
    request = Message(body=message) if wrapper is None else wrapper
    reply = await _ask(place, _addressed(request, "/~scheduler@1.0/schedule", "POST"), context)
    answer = reply.accepted()
    assignment = await context.load_all(_shown(answer) if isinstance(answer, Message) else answer)
    check_assignment(assignment, process, schedulers, reply.url)
    body = assignment.get("body") if isinstance(assignment, Message) else None
    if not isinstance(assignment, Message) or not isinstance(body, Message):
        raise RemoteError(f"{reply.url} answered with an assignment without its message.")
    if signed_id(body) != signed_id(message):
        raise RemoteError(f"{reply.url} assigned a slot to {signed_id(body)}, not to our message.")
    return assignment


def _read(path: str) -> Message:
    return Message.of({"path": path.encode(), "method": b"GET"})


def _addressed(request: Message, path: str, method: str) -> Message:
    """The request with its way to go, as far as its signers have not said another one."""
    committed = {key for c in request.commitments.values() for key in c.committed}
    ways = {"path": path.encode(), "method": method.encode()}
    added: dict[str, Value] = {key: way for key, way in ways.items() if key not in committed}
    return request.reset().set_values(added).with_commitments(request.commitments.values())


async def remote_definition(place: Here | Elsewhere, process: str, context: Context) -> Message:
    """The definition of a process as its scheduler has it, which from now on is known here."""
    if isinstance(place, Here):
        raise NotFound(f"Process {process} is not known here.")
    reply = await _ask(place, _read(f"/{process}"), context)
    answer = reply.accepted()
    whole = await context.load_all(
        only_committed(answer) if isinstance(answer, Message) else answer
    )
    if not isinstance(whole, Message) or not whole.signers or signed_id(whole) != process:
        raise RemoteError(f"{reply.url} did not answer with the definition of {process}.")
    await context.cache.write(whole)
    return whole


def check_assignment(value: Value, process: str, schedulers: Collection[str], url: str) -> None:
    """Raise `RemoteError` unless it is an assignment of `process` that its schedulers signed.

    Everything in it is loaded, and the commitments of its message hold as well.
    """
    if not isinstance(value, Message) or as_text(value.get("process")) != process:
        raise RemoteError(f"{url} answered with something that is no assignment of {process}.")
    if not set(value.signers) & set(schedulers):
        raise RemoteError(
            f"{url} answered with an assignment that no scheduler of {process} has signed."
        )
    body = value.get("body")
    parts: Sequence[Value] = (value, body)
    for part in parts:
        if isinstance(part, Message) and not verify_message(part, commitment_ids=ALL):
            slot = as_text(value.get("slot"))
            raise RemoteError(f"{url} answered with slot {slot}, which does not verify.")


async def _ask(place: Elsewhere, message: Message, context: Context) -> Reply:
    """The reply of the scheduler's node, or of the node that it sends us to."""
    node = place.node
    for _ in range(HOPS + 1):
        reply = await ask(context.node, node, message)
        moved = as_text(reply.message.get("location"))
        if reply.status not in _MOVED or not moved:
            return reply
        node = Elsewhere(urljoin(f"{node}/", moved)).node
    raise RemoteError(f"{place.url} sent us on more than {HOPS} times.")


def _shown(answer: Message) -> Message:
    """The answer without what the transport added to it."""
    added = [key for key in ("status", "codec-device") if _is_added(answer, key)]
    kept = answer.commitments.values()
    return answer.without(*added).with_commitments(kept)


def _is_added(answer: Message, key: str) -> bool:
    return not any(key in c.committed for c in answer.commitments.values())
