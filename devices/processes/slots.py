"""Which slot of a process a request means (spec/05 §2.3, spec/08 §4.3)."""

from __future__ import annotations

import re
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.roles import call
from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.message import Link, Message, Value, as_text

PAGE: Final = 1000
"""Slots looked through at once for a message."""

_RESULTS_OF: Final = re.compile(r"/compute/results(?:\+integer)?=([A-Za-z0-9_-]+)(?:[/&?]|$)")


async def current_slot(process: Process, context: Context) -> int:
    """The newest slot of a process, here or at its remote scheduler; -1 before the first."""
    answer = await call("scheduler", process.begun(), "slot", context)
    return answer.int("current") if isinstance(answer, Message) else -1


async def asked_slot(process: Process, request: Message, context: Context) -> int | None:
    """The slot that a `compute` names by number or by the id of a message; `None` for none.

    A client that asks for `compute/results=7` means slot 7. Raises `BadRequest` for what is
    neither a number nor an id, `NotFound` for a message that has no slot.
    """
    for key in ("compute", "slot"):
        named = as_text(request.get(key))
        if named is not None and len(named) == 43 and is_id(named):
            return await _slot_of(named, process, context)
        if key in request:
            return request.int(key)
    return await _slot_of_results(process, request, context)


def names_a_number(request: Message) -> bool:
    """Whether a `compute` names its slot by number; a message may get another slot later."""
    named = request.get("compute", request.get("slot"))
    return named is not None and len(as_text(named) or "") != 43


async def _slot_of_results(process: Process, request: Message, context: Context) -> int | None:
    found = _RESULTS_OF.search(as_text(request.caller.get("path")) or "")
    if found is None:
        return None
    named = found[1]
    if named.isdigit():
        return int(named)
    try:
        return await _slot_of(named, process, context) if len(named) == 43 else None
    except NotFound:
        return None


async def _slot_of(id: str, process: Process, context: Context) -> int:
    """The slot of a message, or of an assignment; the newest one if it has several."""
    last = await current_slot(process, context)
    while last >= 0:
        first = max(0, last - PAGE + 1)
        request = Message.of({"path": b"schedule", "from": first, "to": last})
        page = await call("scheduler", process.begun(), request, context)
        listed = await context.view(page, "assignments") if isinstance(page, Message) else None
        for slot in range(last, first - 1, -1):
            if isinstance(listed, Message) and await _is(listed.get(str(slot)), id, context):
                return slot
        last = first - 1
    raise NotFound(f"Process {process.id} has no slot for message {id}.")


async def _is(assignment: Value, id: str, context: Context) -> bool:
    if assignment is None:
        return False
    if _named(assignment) == id:
        return True
    if isinstance(assignment, Link):
        body = await context.cache.read_key(assignment.id, "body", None)
    else:
        body = assignment.get("body") if isinstance(assignment, Message) else None
    return _named(body) == id


def _named(value: object) -> str | None:
    if isinstance(value, Link):
        return value.id
    return signed_id(value) if isinstance(value, Message) else None
