"""`push@1.0`: delivers what a slot wants sent, from process to process (spec/05 §7)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.processes.definition import PROCESS_DEVICE, process_of, read_process
from hyperbeam_trio.devices.processes.delivery import Delivery, Visit
from hyperbeam_trio.devices.processes.records import Turns
from hyperbeam_trio.devices.processes.resolving import refuse_nested_push
from hyperbeam_trio.errors import BadRequest, Busy, HyperbeamError, NodeError
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Atom, Message, Value

log = logging.getLogger("hyperbeam_trio.processes")

BACKGROUND: Final = 100
"""Pushes that nobody waits for, at once."""


class PushDevice(Device):
    """Schedules a message, computes its slot, and pushes what the slot's outbox holds.

    With `slot` only the latter. `max-depth` bounds how far it goes, `result-depth` (1) at how many
    levels results are part of the answer; `async: true` answers at once. With `once: true` what
    such a push has sent already is not sent again: the answer is as it was then.
    """

    name = "push@1.0"
    volatile = True

    def __init__(self) -> None:
        self._identities = Identities()
        self._turns = Turns()
        self._background = trio.CapacityLimiter(BACKGROUND)

    @key
    async def push(self, base: Message, request: Message, context: Context) -> Value:
        """The results of a slot, what its messages caused by outbox keys, `slot` and `process`.

        A message that was scheduled first also gives `id`, its own. A definition gives its
        assignment: a spawn pushes nothing. Raises what scheduling and computing raise.
        """
        refuse_nested_push()
        if "slot" in request:
            process = await process_of(base, context)
            visit = _first(process.id, request.int("slot"), request, context)
            return await self._deliver(visit, base, request, context)
        assignment = await _scheduled(base, request, context)
        if "slot" not in assignment:
            return assignment
        body = await context.view(assignment, "body")
        if not isinstance(body, Message) or body.get("type") in (b"Process", b"process"):
            return assignment
        named = assignment.text("process")
        visit = _first(named, assignment.int("slot"), request, context)
        answer = await self._deliver(visit, base, request, context)
        return answer.set_values({"id": signed_id(body).encode()})

    async def _deliver(
        self, first: _First, base: Message, request: Message, context: Context
    ) -> Message:
        process = await read_process(first.process, context)
        visit = Visit(process, first.slot, first.left, first.shown, first.once)
        delivery = Delivery(self._identities, context)
        if not _in_background(request, base):
            return await self._delivered(delivery, visit)
        if self._background.available_tokens < 1:
            raise Busy(f"{BACKGROUND} pushes run in the background already.")
        context.node.workers.start_soon(self._deliver_later, delivery, visit)
        return Message(status=202, process=process.id, slot=first.slot)

    async def _delivered(self, delivery: Delivery, visit: Visit) -> Message:
        if not visit.once:
            return await delivery.deliver(visit)
        async with self._turns.of(visit.process.id, visit.slot):
            return await delivery.deliver(visit)

    async def _deliver_later(self, delivery: Delivery, visit: Visit) -> None:
        async with self._background:
            try:
                await self._delivered(delivery, visit)
            except HyperbeamError as error:
                log.warning("%s", error.text)


@dataclass(frozen=True, slots=True)
class _First:
    """Where a push begins, and how far it goes."""

    process: str
    slot: int
    left: int
    shown: int
    once: bool


def _first(process: str, slot: int, request: Message, context: Context) -> _First:
    most = context.config.push_max_depth
    try:
        left = min(request.int("max-depth", most), most)
    except BadRequest:
        left = most
    shown, once = request.int("result-depth", 1), request.bool("once", False)
    return _First(process, slot, left if left >= 0 else most, shown, once)


def _in_background(request: Message, base: Message) -> bool:
    """Whether nobody waits: as the request says, else the process, also in its older word."""
    for holder in (request, base):
        if "async" in holder:
            return holder["async"] in (True, b"true")
        if "push-mode" in holder:
            return holder["push-mode"] in (Atom("async"), b"async")
    return False


async def _scheduled(base: Message, request: Message, context: Context) -> Message:
    """The assignment of the message that a request brings, or where to take it instead."""
    asked = request.set_values({"path": b"schedule", "method": b"POST"})
    process = base.set_values({"device": PROCESS_DEVICE})
    assignment = await context.resolve(process, asked)
    if not isinstance(assignment, Message) or not {"slot", "location"} & assignment.keys():
        raise NodeError("The scheduler gave no assignment.", status=502)
    return assignment
