"""The scheduler of one process: a task that gives messages their slots (spec/05 §4.5).

A message waits in the queue, gets a draft (its slot, its place in the chain), is signed together
with others, and is written with those that were signed by then in one durable step. Only then is
its sender answered. The chain needs the ids of messages, not those of assignments, so drafts need
not wait for signatures.

The store decides who has a slot. When another node or process has taken one that was drafted here,
the drafts behind it are thrown away, and their messages get new ones behind what is there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.devices.scheduling.assignment import Draft, Notary, Tip
from hyperbeam_trio.devices.scheduling.entry import Entry, Stopped
from hyperbeam_trio.devices.scheduling.signing import DraftSigners, Order
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import Busy, DeadlineExceeded, HyperbeamError, NodeError
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

PATIENCE_SECONDS: Final = 10.0
"""How long a message waits for its turn before its sender is told to come again."""
IDLE_SECONDS: Final = 300.0
"""A scheduler without work ends after this time; the next message starts it again."""
WINDOW: Final = 64
"""Messages that have a draft but are not written yet."""
GROUP: Final = 16
"""Signed messages that need not wait for more before they are written."""
SMALL_GROUP: Final = 8
"""So many messages are written together in any case; of more only half, see `_signed_group`."""

Recover = Callable[[], Awaitable[None]]
"""Called once, by the scheduler itself, before it gives slots: what the last one left undone."""
Confirm = Callable[[Message], Awaitable[None]]
"""Called with a signed assignment before it is written; raises if it may not be."""
Announce = Callable[[], None]
"""Called when there are new slots; must not wait."""


class Scheduler:
    """Schedules for one process; `assign` may be called from many tasks at once."""

    def __init__(
        self,
        node: Node,
        notary: Notary,
        slots: Slots,
        *,
        recover: Recover | None = None,
        confirm: Confirm | None = None,
        announce: Announce = lambda: None,
    ) -> None:
        self.process = notary.process
        self.closed = False
        self._node = node
        self._notary = notary
        self._slots = slots
        self._recover = recover
        self._confirm = confirm
        self._announce = announce
        # With base-hashpath, or confirmations, a slot needs the one before it to be done.
        self._window = 1 if notary.with_base or confirm else WINDOW
        self._queue: deque[Entry] = deque()
        self._taken: deque[Entry] = deque()
        self._signers = DraftSigners(notary.sign, node.crypto_limiter)
        self._work = trio.Event()
        self._written = Tip()
        self._tip: Tip | None = None

    @property
    def addresses(self) -> list[str]:
        """Who signs the assignments."""
        return self._notary.addresses

    @property
    def newest(self) -> int:
        """A slot that is written for sure; other nodes may have written newer ones."""
        return self._written.slot

    def statistics(self) -> dict[str, int]:
        """Messages that wait for a draft, and that have one."""
        return {"queued": len(self._queue), "drafted": len(self._taken)}

    async def assign(self, message: Message, path: bytes) -> Message:
        """The signed assignment of `message`, durably written; `path` is the key that it calls.

        Raises `Busy` when the queue is full, `DeadlineExceeded` when its turn did not come in
        time, `Stopped`, and what the store raises. After `Busy` and `DeadlineExceeded` the
        message has no slot, and will not get one.
        """
        entry = self._admit(message, path)
        try:
            if entry.order is None:
                with trio.move_on_after(PATIENCE_SECONDS):
                    await entry.done.wait()
            if not entry.done.is_set():
                self._give_up(entry)
                await entry.done.wait()
        except trio.Cancelled:
            self._withdraw(entry)
            raise
        return entry.outcome()

    def _admit(self, message: Message, path: bytes) -> Entry:
        if self.closed:
            raise Stopped(f"The scheduler of {self.process} has ended.")
        limit = self._node.config.scheduler_max_queue
        if len(self._queue) >= limit:
            raise Busy(f"{limit} messages wait for slots of process {self.process} already.")
        entry = Entry(message, path)
        self._queue.append(entry)
        if self._tip is not None:
            self._draft()
        self._work.set()
        return entry

    def _give_up(self, entry: Entry) -> None:
        """A message that has a draft is as good as written; any other has waited in vain."""
        if self._withdraw(entry):
            raise DeadlineExceeded(
                f"The scheduler of {self.process} did not get to the message in "
                f"{PATIENCE_SECONDS:g} s; it has no slot.",
                details={"retry-after": 1},
            )

    def _withdraw(self, entry: Entry) -> bool:
        if entry in self._queue:
            self._queue.remove(entry)
            return True
        return False

    # The task.

    async def run(self, task_status: trio.TaskStatus[Scheduler]) -> None:
        """Serve until cancelled or idle for long; ready once the end of the schedule is known."""
        try:
            if self._recover is not None:
                await self._recover()
            await self._refresh()
            self._tip = None
            task_status.started(self)
            async with trio.open_nursery() as nursery:
                if self._notary.slow:
                    nursery.start_soon(self._signers.run)
                await self._write_in_turn()
                nursery.cancel_scope.cancel()
        finally:
            self._close()
            with trio.CancelScope(shield=True):
                await self._slots.end(self._written.slot)

    def _close(self) -> None:
        self.closed = True
        for entry in (*self._taken, *self._queue):
            entry.fail(Stopped(f"The scheduler of {self.process} stopped.", status=503))
        self._taken.clear()
        self._queue.clear()

    async def _write_in_turn(self) -> None:
        while await self._has_work():
            try:
                if not self._taken:
                    next_ones = islice(self._queue, self._window)
                    await self._slots.begin([entry.message for entry in next_ones])
                    await self._refresh()
                    self._draft()
                if self._taken:
                    await self._write(await self._signed_group())
                if not self._taken:
                    await self._slots.end(self._written.slot)
            except HyperbeamError as error:
                self._fail_taken(error)
                await self._slots.end(self._written.slot)

    async def _has_work(self) -> bool:
        with trio.move_on_after(IDLE_SECONDS) as idle:
            while not (self._taken or self._queue):
                self._tip = None
                self._work = trio.Event()
                await self._work.wait()
        if idle.cancelled_caught and not (self._taken or self._queue):
            # No await up to the end of the task: nobody can be admitted in between.
            self.closed = True
            return False
        return True

    async def _refresh(self) -> None:
        """Find the end of the schedule in the store, where others may have written meanwhile."""
        newest = await self._slots.newest(self._written.slot)
        if newest != self._written.slot:
            assignment = await self._slots.read(newest)
            if assignment is None:
                raise NodeError(f"Slot {newest} of process {self.process} is gone.", status=503)
            self._written = Tip.of(assignment)
        self._tip = self._written

    # Drafts and signatures.

    def _draft(self) -> None:
        """Give messages of the queue their slots, as many as may be under way."""
        block, now = self._node.timestamps.now(), time.time_ns() // 1_000_000
        while self._queue and len(self._taken) < self._window and self._tip is not None:
            entry = self._queue[0]
            draft = self._notary.draft(entry.message, entry.path, self._tip, block, now)
            entry.order = self._ordered(draft)
            self._tip = draft.tip
            self._taken.append(self._queue.popleft())
        if self._slots.in_turns:
            # What comes from now on is for the next turn, or there would be no end to this one.
            self._tip = None

    def _ordered(self, draft: Draft) -> Order:
        """The signatures of a draft: in a moment, or at once where they are quick."""
        if self._notary.slow:
            return self._signers.order(draft)
        return Order(draft, self._notary.sign(draft))

    async def _signed_group(self) -> list[Entry]:
        """The messages at the front that are signed, once that is half of those under way.

        A step of the store costs as much for one as for many; while they are written, the signers
        go on with the other half. Where signatures are quick, there is as much to do to take in
        and to answer messages: to write all that have come would leave that for afterwards.
        """
        half = (len(self._taken) + 1) // 2
        if not self._notary.slow and not self._slots.in_turns:
            return list(islice(self._taken, max(half, SMALL_GROUP)))
        for entry in list(islice(self._taken, min(half, GROUP))):
            await self._signers.signed(entry.ordered)
        return list(takewhile(Entry.is_signed, self._taken))

    # Writing.

    async def _write(self, group: Sequence[Entry]) -> None:
        assignments = [entry.finished(self._notary) for entry in group]
        if self._confirm is not None:
            for assignment in assignments:
                await self._confirm(assignment)
        first = assignments[0].int("slot")
        try:
            count = await self._slots.claim(first, assignments)
        except HyperbeamError as error:
            count = await self._count_ours(first, assignments, error)
        self._acknowledge(group[:count], assignments[:count])
        if count < len(group):
            await self._start_over()

    async def _count_ours(
        self, first: int, assignments: Sequence[Message], error: HyperbeamError
    ) -> int:
        """How many slots were taken by a step that failed; raises its error if it was none."""
        for count, assignment in enumerate(assignments):
            if await self._slots.id_of(first + count) != signed_id(assignment):
                break
        else:
            return len(assignments)
        if count == 0:
            raise error
        return count

    def _acknowledge(self, group: Sequence[Entry], assignments: Sequence[Message]) -> None:
        for entry, assignment in zip(group, assignments, strict=True):
            self._taken.popleft()
            tip = entry.ordered.draft.tip
            self._written = replace(tip, assignment=signed_id(assignment))
            entry.succeed(assignment)
        if assignments:
            self._announce()
        if self._window == 1 and not self._slots.in_turns:
            self._tip = self._written
        if self._tip is not None:
            self._draft()

    async def _start_over(self) -> None:
        """Somebody else has the slots that were drafted: draft anew, behind theirs."""
        for entry in reversed(self._taken):
            entry.order = None
            self._queue.appendleft(entry)
        self._taken.clear()
        self._signers.clear()
        self._tip = None
        await self._refresh()
        self._draft()

    def _fail_taken(self, error: HyperbeamError) -> None:
        """The store does not work: all that is under way has failed, the queue may try again."""
        failed = list(self._taken) or list(self._queue)
        for entry in failed:
            entry.order = None
            entry.fail(error)
            self._withdraw(entry)
        self._taken.clear()
        self._signers.clear()
        self._tip = None
