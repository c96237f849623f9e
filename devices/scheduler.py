"""`scheduler@1.0`: gives the messages of a process their slots, and lists them (spec/05 §4)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.devices.scheduling.aos2 import wants_aos2
from hyperbeam_trio.devices.scheduling.assignment import DEFAULT_PATH, path_of
from hyperbeam_trio.devices.scheduling.listing import (
    aos2_answer,
    schedule_answer,
    slot_answer,
    status_answer,
)
from hyperbeam_trio.devices.scheduling.paging import page_of
from hyperbeam_trio.devices.scheduling.place import Elsewhere
from hyperbeam_trio.devices.scheduling.remote import remote_assign, remote_slot
from hyperbeam_trio.devices.scheduling.schedules import Found, Schedules, slots_of
from hyperbeam_trio.devices.scheduling.subject import Subject, check, subject_of
from hyperbeam_trio.devices.scheduling.target import target_of
from hyperbeam_trio.devices.scheduling.uploads import uploads_of_node
from hyperbeam_trio.errors import HyperbeamError, NotFound
from hyperbeam_trio.message import Message, Value

_AHEAD: Final = "scheduler@1.0/assignments"
"""The private entry of a state that holds assignments which were read ahead, by slot."""

FEW_AHEAD: Final = 16
"""So many assignments are read ahead, if they are wanted, before there are none left."""


class SchedulerDevice(Device):
    """`schedule` with POST gives a message its slot, with GET lists slots; `slot`, `next`.

    The process is named by the message (`target`, or its id if it is a process itself), by
    `target` of the request, or by the base: its `process`, or the base itself if it is a process.
    What is not a key of this device is taken for `schedule`.
    """

    name = "scheduler@1.0"
    excludes = frozenset({"set", "keys"})
    volatile = True

    def __init__(self) -> None:
        self._schedules = Schedules()

    @key
    async def schedule(self, base: Message, request: Message, context: Context) -> Value:
        """POST: the signed assignment of a message. GET: a page of the schedule.

        POST takes the message in `body`, or is the message itself (`subject` may say `base`,
        `self` or another key). It gives the assignment: `slot`, `process`, `body`, `path`,
        `hash-chain`, `timestamp`, `block-*` …, once it is durable. It raises `BadRequest` for a
        message that does not verify, `NotFound` for an unknown process, `Busy` (503) when too
        many wait, `DeadlineExceeded` (504) when the message has no slot and won't get one.

        GET takes `from` (0) and `to` (the newest), both included, at most 1001 slots a page. It
        gives `type: schedule`, `process`, `assignments` by slot, and `continues`, true if there
        are more; with `accept: application/aos-2` the same as JSON.
        """
        if request.text("method", "GET").upper() == "POST":
            return await self._post(base, request, context)
        return await self._get(base, request, context)

    @default
    async def other(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """As `schedule`."""
        return await self.schedule(base, request, context)

    @key
    async def slot(self, base: Message, request: Message, context: Context) -> Value:
        """The newest slot, `current` (-1 before the first), and `addresses` that sign for it."""
        target = await target_of(base, request, None, context)
        current = await self._schedules.newest(target.process, context)
        block = context.node.timestamps.now()
        if current >= 0:
            addresses = await self._schedules.signers(target, base, context)
            return slot_answer(target.process, current, addresses, block)
        found = await self._schedules.find(target, base, None, context)
        if isinstance(found.place, Elsewhere):
            return await _slot_elsewhere(found, found.place, context)
        addresses = await self._schedules.addresses(found, context)
        return slot_answer(target.process, current, addresses, block)

    @key
    async def status(self, base: Message, request: Message, context: Context) -> Value:
        """The node's `address`, and the `processes` whose schedulers run now.

        As a start hook it goes on with the uploads that an earlier run left behind.
        """
        await uploads_of_node(context.node)
        return status_answer(context.node.address, context.node.schedulers.names())

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """As `status`, with what the device is."""
        described = await super().info(base, request, context)
        status = status_answer(context.node.address, context.node.schedulers.names())
        return status.set_values(dict(described)) if isinstance(described, Message) else status

    @key
    async def next(self, base: Message, request: Message, context: Context) -> Value:
        """The assignment behind a state's slot: `{body: assignment, state}`.

        `base` is a state of a process: it has `process` (or is the definition) and `at-slot`, the
        slot that it is the result of, -1 at the beginning. `body` is the assignment of the slot
        behind it, everything in it loaded, with its commitments; `state` is the base, which may
        hold further assignments privately: go on with it. Raises `NotFound` when that slot is not
        there yet.

        A request with `to` says that all slots up to that one are wanted in turn; `following` of
        the answer then lists some of the assignments behind `body`.
        """
        wanted = base.int("at-slot", -1) + 1
        last = request.int("to", wanted)
        held = base.private.get(_AHEAD)
        known: dict[int, Message] = held if isinstance(held, dict) else {}
        # Whoever goes on with `following` comes back some slots later.
        ahead = {slot: one for slot, one in known.items() if slot >= wanted}
        if wanted not in ahead:
            ahead = await self._read_ahead(wanted, last, base, context)
        elif wanted + len(ahead) <= min(last, wanted + FEW_AHEAD):
            ahead |= await self._read_behind(wanted + len(ahead), last, base, context)
        assignment = ahead.pop(wanted, None)
        if assignment is None:
            reason = "Requested slot not yet available in schedule."
            raise NotFound(reason, details={"reason": reason, "slot": wanted})
        state = base.with_private(**{_AHEAD: ahead or None})
        answer: dict[str, Value] = {"body": assignment, "state": state}
        if ahead:
            answer["following"] = [ahead[slot] for slot in sorted(ahead)]
        return Message.of(answer)

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base: there is nothing to prepare."""
        return base

    @key
    async def checkpoint(self, base: Message, request: Message, context: Context) -> Value:
        """The base: a schedule needs no snapshots."""
        return base

    @key
    async def location(self, base: Message, request: Message, context: Context) -> Value:
        """`location@1.0` under its older name: GET gives `{body: record}` of `address`."""
        records = Message.of({"device": b"location@1.0"})
        if request.text("method", "GET").upper() == "POST":
            name = b"node" if context.node.operator in request.caller.signers else b"known"
            return await context.resolve(records, request.set_values({"path": name}))
        address = request.text("address", context.node.address)
        return Message.of({"body": await context.resolve(records, address)})

    # POST.

    async def _post(self, base: Message, request: Message, context: Context) -> Message:
        subject = await subject_of(base, request, context)
        message = subject.message
        target = await target_of(base, request, message, context)
        check(subject, context.config.verify_assignments)
        scheduler = self._schedules.running(target.process, context)
        if scheduler is None:
            found = await self._schedules.find(target, base, message, context)
            if isinstance(found.place, Elsewhere):
                return await _pass_on(found, found.place, subject, request, context)
            scheduler = await self._schedules.start(found, found.place, context)
        # The path of a request that is the message itself only says how it got here.
        path = DEFAULT_PATH if subject.flat else path_of(message)
        return await scheduler.assign(message, path)

    # GET.

    async def _get(self, base: Message, request: Message, context: Context) -> Value:
        target = await target_of(base, request, None, context)
        first, last = _slot(request, "from") or 0, _slot(request, "to")
        current = await self._schedules.newest(target.process, context)
        if current < 0:
            found = await self._schedules.find(target, base, None, context)
            if isinstance(found.place, Elsewhere):
                return await self._page_elsewhere(found, found.place, first, last, request, context)
        page = page_of(first, last, current)
        slots = slots_of(target.process, context)
        block = context.node.timestamps.now()
        if not wants_aos2(request.text("accept", None)):
            listed = await slots.listed(page.slots())
            return schedule_answer(target.process, listed, page.continues, block)
        whole = await slots.read_many(page.slots())
        return await aos2_answer(target.process, whole, page.continues, block)

    async def _page_elsewhere(
        self,
        found: Found,
        place: Elsewhere,
        first: int,
        last: int | None,
        request: Message,
        context: Context,
    ) -> Value:
        if not context.config.scheduler_follow_redirects:
            return place.redirect()
        page = await self._schedules.remote_page(found, place, first, last, context)
        if not wants_aos2(request.text("accept", None)):
            return page
        whole = [one for one in page.message("assignments").values() if isinstance(one, Message)]
        continues = page.get("continues") is True
        return await aos2_answer(found.process, whole, continues, context.node.timestamps.now())

    async def _read_behind(
        self, first: int, last: int, base: Message, context: Context
    ) -> dict[int, Message]:
        """Assignments that are not needed yet; what is wrong with one its own turn will tell."""
        target = await target_of(base, Message.of({}), None, context)
        try:
            return await self._schedules.read_ahead(target.process, first, last, context)
        except HyperbeamError:
            return {}

    async def _read_ahead(
        self, wanted: int, last: int, base: Message, context: Context
    ) -> dict[int, Message]:
        target = await target_of(base, Message.of({}), None, context)
        ahead = await self._schedules.read_ahead(target.process, wanted, last, context)
        if ahead:
            return ahead
        return await self._schedules.read_remote(target, base, wanted, context)


def _slot(request: Message, name: str) -> int | None:
    """A slot number that a request gives; an empty one is as good as none."""
    return None if request.get(name) == b"" else request.int(name, None)


async def _slot_elsewhere(found: Found, place: Elsewhere, context: Context) -> Message:
    if not context.config.scheduler_follow_redirects:
        return place.redirect()
    return await remote_slot(place, found.process, await found.schedulers(context), context)


async def _pass_on(
    found: Found, place: Elsewhere, subject: Subject, request: Message, context: Context
) -> Message:
    """The assignment of another node: its clients can't repeat a POST themselves (spec/08 §2)."""
    wrapper = request.caller if subject.covered else None
    schedulers = await found.schedulers(context)
    return await remote_assign(place, found.process, subject.message, wrapper, schedulers, context)
