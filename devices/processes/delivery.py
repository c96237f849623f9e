"""Following the messages of a slot from process to process (spec/05 §7.4).

Nothing here recurses: every slot that a message caused is a visit of its own, and visits run side
by side, so that a slow chain holds up nobody but itself. All entries of one outbox are scheduled,
in their order, before any of their slots is visited.
"""

from __future__ import annotations

import logging
from copy import copy
from dataclasses import dataclass, field
from typing import Final

import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.processes.definition import PROCESS_DEVICE, Process, read_process
from hyperbeam_trio.devices.processes.downstream import push_at, pusher_of
from hyperbeam_trio.devices.processes.outbox import Sender, Sent, entries_of
from hyperbeam_trio.devices.processes.records import Records
from hyperbeam_trio.errors import Busy, DeadlineExceeded, HyperbeamError
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Message, Value

log = logging.getLogger("hyperbeam_trio.processes")

SIDE_BY_SIDE: Final = 8
"""Visits of one push that run at once."""
DEEPEST_ANSWER: Final = 32
"""Levels of visits that an answer shows; a codec can't nest without end."""

SKIPPED: Final = b"skipped"


@dataclass(slots=True)
class Entry:
    """What became of one message of an outbox."""

    key: str
    answer: Message
    sent: Sent | None = None
    visit: Visit | None = None


@dataclass(slots=True)
class Visit:
    """One slot of one process: its results, and the messages that they caused.

    `left` is how many further levels may be computed, `shown` at how many of them results are part
    of the answer; `once`: what was sent is not sent again.
    """

    process: Process
    slot: int
    left: int
    shown: int
    once: bool = False
    level: int = 0
    results: Message = field(default_factory=Message)
    entries: list[Entry] = field(default_factory=list)
    done: bool = False

    def answer(self) -> Message:
        """The answer for this visit and all that it caused."""
        items: dict[str, Value] = dict(self.results) if self.shown > 0 else {}
        for entry in self.entries:
            items[entry.key] = _entry_answer(entry, self.level)
        items["slot"] = self.slot
        items["process"] = self.process.id.encode()
        return Message.of(items)


def _entry_answer(entry: Entry, level: int) -> Message:
    if entry.sent is None:
        return entry.answer
    visit = entry.visit
    if visit is None or not visit.done or level >= DEEPEST_ANSWER:
        return entry.answer.set_values({"resulted-in": SKIPPED})
    return entry.answer.set_values({"resulted-in": visit.answer()})


class Delivery:
    """One push: from one slot to all that its messages cause."""

    def __init__(self, identities: Identities, context: Context) -> None:
        self._identities = identities
        self._context = context
        self._limiter = trio.CapacityLimiter(SIDE_BY_SIDE)
        self._records = Records(context.cache)
        self._messages = 0
        self._deadline = trio.current_time() + context.config.push_time_limit / 1000

    async def deliver(self, first: Visit) -> Message:
        """Push the outbox of a slot; the answer of spec/05 §7.2.

        What is not reached within the option `push-time-limit` has `resulted-in: skipped`. Raises
        what computing the first slot raises, with which slot it was, as `class` and `reason` say
        too; failures further on stand in the answer.
        """
        await self._visit(first)
        with trio.move_on_at(self._deadline):
            async with trio.open_nursery() as nursery:
                self._follow(first, nursery)
        return first.answer()

    def _follow(self, visit: Visit, nursery: trio.Nursery) -> None:
        for entry in visit.entries:
            if entry.sent is not None and visit.left > 0:
                nursery.start_soon(self._go_on, visit, entry, entry.sent, nursery)

    async def _go_on(self, from_: Visit, entry: Entry, sent: Sent, nursery: trio.Nursery) -> None:
        async with self._limiter:
            try:
                entry.visit = await self._next(from_, entry, sent)
            except HyperbeamError as error:
                log.warning("Push of %s to %s: %s", sent.id, sent.target, error.text)
                _settle(entry, _failure(error, target=sent.target))
        if entry.visit is not None:
            self._follow(entry.visit, nursery)

    async def _next(self, from_: Visit, entry: Entry, sent: Sent) -> Visit | None:
        """The visit that a message causes here; `None` if another node has pushed its slot."""
        left, shown = from_.left - 1, from_.shown - 1
        elsewhere = await pusher_of(sent.target, sent.slot, self._context)
        if elsewhere is not None:
            further = await push_at(elsewhere, left, shown, from_.once, self._context)
            _settle(entry, further)
            return None
        process = await read_process(sent.target, self._context)
        visit = Visit(process, sent.slot, left, shown, from_.once, from_.level + 1)
        await self._visit(visit)
        return visit

    async def _visit(self, visit: Visit) -> None:
        """Compute a slot, and give the messages of its outbox their slots."""
        try:
            results = await self._results(visit)
        except HyperbeamError as error:
            raise _pushing_failed(visit, error) from error
        if isinstance(results, Message):
            visit.results = results.uncommitted().reset()
        sender = Sender(visit.process, self._identities, self._context)
        for key, message in await entries_of(visit.results, self._context):
            visit.entries.append(await self._entry(visit, sender, key, message))
        visit.done = True

    async def _results(self, visit: Visit) -> Value:
        base = visit.process.definition.uncommitted().set_values(
            {"device": PROCESS_DEVICE, "process": visit.process.definition}
        )
        asked = Message.of({"path": b"compute", "slot": visit.slot})
        state = await self._context.resolve(base, asked)
        return await self._context.view(state, "results") if isinstance(state, Message) else None

    async def _entry(self, visit: Visit, sender: Sender, key: str, message: Value) -> Entry:
        try:
            sent = await self._sent(visit, sender, key, message)
        except HyperbeamError as error:
            return Entry(key, _failure(error, outbox_index=key))
        return Entry(key, sent.to_message(), sent)

    async def _sent(self, visit: Visit, sender: Sender, key: str, message: Value) -> Sent:
        process, slot = visit.process.id, visit.slot
        known = await self._records.find(process, slot, key) if visit.once else None
        if known is not None:
            return known
        most = self._context.config.push_max_messages
        if self._messages >= most:
            raise Busy(f"This push has sent {most} messages (option push-max-messages).")
        if trio.current_time() > self._deadline:
            raise DeadlineExceeded("This push has taken too long (option push-time-limit).")
        self._messages += 1
        sent = await sender.send(key, message)
        if visit.once:
            await self._records.keep(process, slot, key, sent)
        return sent


def _settle(entry: Entry, outcome: Message) -> None:
    """There is nothing further to do about a message: it resulted in `outcome`."""
    entry.sent, entry.answer = None, entry.answer.set_values({"resulted-in": outcome})


def _pushing_failed(visit: Visit, error: HyperbeamError) -> HyperbeamError:
    """The error with which slot and process it was; it keeps its class, status and details.

    Another one, since others who want the same slot have the same error.
    """
    failed = copy(error)
    failed.text = (
        f"Pushing slot {visit.slot} failed on process `{visit.process.id}` with error: {error.text}"
    )
    failed.args = (failed.text,)
    known = {"class": "error", "reason": error.text}
    failed.details = {**known, **error.details}
    return failed


def _failure(error: HyperbeamError, **where: str) -> Message:
    named = {name.replace("_", "-"): text for name, text in where.items()}
    return Message({"response": "error", "status": error.status, "reason": error.text, **named})
