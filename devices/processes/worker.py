"""The worker of one process: computes its slots in their order and stays warm (spec/05 §2.10).

Those who want a state wait for its slot; the computation is the worker's, so that somebody who goes
away takes nothing along. A state is durable before anybody is told of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.execution import (
    begin,
    execute,
    next_assignment,
    resume,
    take_snapshot,
)
from hyperbeam_trio.devices.processes.states import States
from hyperbeam_trio.errors import (
    CorruptData,
    HyperbeamError,
    InfiniteRecursion,
    NecessaryMessageNotFound,
    NodeError,
    StateLost,
    StoreError,
)
from hyperbeam_trio.message import Link, Message

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.processes")

GROUP: Final = 32
"""States that are written in one durable step while nobody waits for one of them."""
WORTH: Final = 3
"""How much longer computing takes than the snapshot that saves doing it again."""
REST: Final = 1.0
"""Seconds without work after which there is time for a snapshot."""


class WorkerStopped(NodeError):
    """The worker has ended; start it again."""

    status = 503


class _Waiter:
    """Those who wait for one slot."""

    __slots__ = ("done", "error", "state")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.state: Message | None = None
        self.error: Exception | None = None

    def outcome(self) -> Message:
        if self.state is None:
            # One error may be the outcome of many: each gets its own traceback.
            raise self.error.with_traceback(None) if self.error else WorkerStopped("It has ended.")
        return self.state


class Worker:
    """Computes one process; `compute` may be called from many tasks at once.

    `weight` is the size of what its guest held at the last snapshot, in bytes.
    """

    def __init__(self, node: Node, process: Process, on_idle: Callable[[], None]) -> None:
        self.process = process
        self.closed = False
        self._node = node
        self._context = node.context().internal()
        self._states = States(node.cache, process.id)
        self._on_idle = on_idle
        self._waiting: dict[int, _Waiter] = {}
        self._work = trio.Event()
        self._state: Message | None = None
        self._unsaved: dict[int, Message] = {}
        self._savers: trio.Nursery
        self._saved = trio.Event()
        self._saved.set()
        self._not_saved: Exception | None = None
        self._snapshot_slot = -1
        self._snapshot_time = trio.current_time()
        self._snapshot_took = 0.0
        self._snapshots_made = 0
        self._worked = 0.0
        self.weight = 0
        self._needs: set[Worker] = set()

    @property
    def idle(self) -> bool:
        """Whether nobody waits for a slot."""
        return not self._waiting

    async def compute(self, slot: int) -> Message:
        """The public state after a slot; -1 is the state before slot 0.

        Raises what the scheduler or the execution device raised, `InfiniteRecursion` when the
        computation asks for what waits for it, and `WorkerStopped`.
        """
        if self.closed:
            raise WorkerStopped(f"The worker of {self.process.id} has ended.")
        asker = _current.get()
        if asker is not None and self._leads_to(asker):
            raise InfiniteRecursion(f"Process {self.process.id} needs its own outcome.")
        waiter = self._waiting.setdefault(slot, _Waiter())
        self._work.set()
        if asker is None:
            await waiter.done.wait()
            return waiter.outcome()
        asker._needs.add(self)
        try:
            await waiter.done.wait()
        finally:
            asker._needs.discard(self)
        return waiter.outcome()

    async def current(self) -> Message:
        """The newest state with its live guest, for one question about it (spec/05 §2.7)."""
        newest = await self._states.newest(self._at if self._at >= 0 else None)
        await self.compute(-1 if newest is None else newest)
        state = self._state
        if state is None:
            raise WorkerStopped(f"The worker of {self.process.id} has ended.")
        return state

    def _leads_to(self, other: Worker) -> bool:
        return self is other or any(worker._leads_to(other) for worker in self._needs)

    # The task.

    async def run(self, task_status: trio.TaskStatus[Worker]) -> None:
        """Compute until cancelled or idle for long; ready once the definition is verified."""
        _current.set(self)
        try:
            self.process = await self.process.verified(self._context)
            async with trio.open_nursery() as self._savers:
                task_status.started(self)
                while await self._has_work():
                    await self._work_off()
        finally:
            self._close()

    def _close(self) -> None:
        self.closed = True
        self._state = None
        self._fail_all(WorkerStopped(f"The worker of {self.process.id} stopped."))

    async def _has_work(self) -> bool:
        if self._waiting:
            return True
        self._on_idle()
        limit = self._node.config.process_worker_max_idle / 1000
        if not await self._asked_within(min(REST, limit)):
            await self._snapshot_at_rest()
            await self._asked_within(max(limit - REST, 0))
        if not self._waiting:
            # No await up to the end of the task: nobody can begin to wait in between.
            self.closed = True
        return bool(self._waiting)

    async def _snapshot_at_rest(self) -> None:
        try:
            await self._snapshot_if_due(at_target=True, rested=True)
        except HyperbeamError as error:
            # Nobody waits for it; who asks next computes again what was lost.
            log.warning("Process %s is not saved: %s", self.process.id, error.text)

    async def _asked_within(self, seconds: float) -> bool:
        with trio.move_on_after(seconds):
            while not self._waiting:
                self._work = trio.Event()
                await self._work.wait()
        return bool(self._waiting)

    async def _work_off(self) -> None:
        """Compute up to the lowest slot that is wanted."""
        slot, begun = min(self._waiting), trio.current_time()
        try:
            await self._reach(slot)
            self._worked += trio.current_time() - begun
        except HyperbeamError as error:
            await self._broken(error)
        except Exception as error:
            log.error("Computing %s failed", self.process.id, exc_info=error)
            fault = NodeError(f"Process {self.process.id} failed: {type(error).__name__}.")
            fault.__cause__ = error
            await self._broken(fault)
        else:
            await self._snapshot_if_due(at_target=not self._waiting)

    async def _broken(self, error: HyperbeamError) -> None:
        """Whatever is wanted lies behind the slot that failed; what came before it is kept."""
        try:
            await self._save()
        except HyperbeamError as failure:
            error = failure
        self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            waiter.error = error
            waiter.done.set()

    async def _reach(self, slot: int) -> None:
        kept = await self._states.read(slot) if self._at > slot else None
        if kept is not None:
            self._tell(slot, kept)
            return
        state = await self._starting_at(slot)
        while (at := state.int("at-slot")) < slot:
            state = await self._step(state, self._run_up_to(at + 1, slot))
            if at + 1 in self._waiting:
                await self._save()
            elif len(self._unsaved) >= GROUP:
                await self._save_behind()
            await self._snapshot_if_due(at_target=False)
        self._tell(slot, state.reset())

    @property
    def _at(self) -> int:
        return -2 if self._state is None else self._state.int("at-slot")

    def _run_up_to(self, slot: int, last: int) -> int:
        """The last slot of those that can be computed in one go: a snapshot ends them."""
        every = self._node.config.process_snapshot_slots
        return last if not every else min(last, -(-slot // every) * every)

    async def _step(self, state: Message, last: int) -> Message:
        assignment, state = await next_assignment(self.process, state, last, self._context)
        state = await execute(state, assignment, self._context)
        self._unsaved[assignment.int("slot")] = state
        self._state = state
        return state

    def _tell(self, slot: int, state: Message) -> None:
        waiter = self._waiting.pop(slot, None)
        if waiter is not None:
            waiter.state = state
            waiter.done.set()

    async def _save(self) -> None:
        """Make all durable that was computed."""
        await self._settled()
        unsaved, self._unsaved = self._unsaved, {}
        if unsaved:
            await self._keep(unsaved)

    async def _save_behind(self) -> None:
        """Begin to make durable what was computed; the next slots are computed meanwhile."""
        await self._settled()
        unsaved, self._unsaved = self._unsaved, {}
        self._saved = trio.Event()
        self._savers.start_soon(self._keep_behind, unsaved)

    async def _settled(self) -> None:
        """Wait for what is being saved; raises what prevented it."""
        await self._saved.wait()
        failure, self._not_saved = self._not_saved, None
        if failure is not None:
            self._lose()
            raise failure

    async def _keep_behind(self, unsaved: dict[int, Message]) -> None:
        try:
            await self._keep(unsaved)
        except Exception as failure:
            self._not_saved = failure
        finally:
            self._saved.set()

    async def _keep(self, unsaved: dict[int, Message]) -> None:
        try:
            await self._states.keep(unsaved)
        except BaseException:
            self._lose()
            raise
        for slot, state in unsaved.items():
            self._tell(slot, state.reset())

    def _lose(self) -> None:
        """What is not durable was not computed, nor was what came after it."""
        self._state = None
        self._unsaved.clear()

    # Starting, and snapshots.

    async def _starting_at(self, slot: int) -> Message:
        """The live state if it is not beyond a slot, else the nearest one that can be had."""
        if self._state is None or self._at > slot:
            self._state = await self._restored(slot)
        return self._state

    async def _restored(self, limit: int) -> Message:
        async with aclosing(self._states.snapshots(limit)) as slots:
            async for slot in slots:
                state = await self._resumed(slot)
                if state is not None:
                    self._snapshot_slot = slot
                    return state
        return await begin(self.process, self._context)

    async def _resumed(self, slot: int) -> Message | None:
        """The state after a slot with its guest, from its snapshot; `None` if that is spoilt."""
        try:
            found = await self._states.read_snapshot(slot)
            if found is None:
                return None
            self.weight = await self._weight_of(found[1])
            return await resume(self.process, *found, self._context)
        except (StateLost, CorruptData, NecessaryMessageNotFound) as error:
            known = self.process.id, slot, error.text
            log.warning("The snapshot of %s at slot %d does not do: %s", *known)
            return None

    async def _snapshot_if_due(self, *, at_target: bool, rested: bool = False) -> None:
        """Keep a snapshot if options say so; of a slot that was a target, if that is worth it.

        That is when computing what it saves has taken longer, by `WORTH`, than the snapshot before
        took, or when there is nothing else to do.
        """
        state = self._state
        if state is None or (slot := self._at) < 0 or slot == self._snapshot_slot:
            return
        config = self._node.config
        every, seconds = config.process_snapshot_slots, config.process_snapshot_time
        late = seconds is not None and trio.current_time() - self._snapshot_time > seconds
        worth = rested or self._worked >= WORTH * self._snapshot_took
        forced = at_target and worth and not (every is seconds is None)
        if not (forced or late or (every is not None and slot % every == 0)):
            return
        await self._save()
        begun = trio.current_time()
        try:
            snapshot = await take_snapshot(state, self._context)
            await self._states.keep_snapshot(slot, snapshot)
        except HyperbeamError as error:
            log.warning("No snapshot of %s at slot %d: %s", self.process.id, slot, error.text)
            return
        self._snapshot_slot, self._snapshot_time = slot, trio.current_time()
        self._snapshot_took, self._worked = self._snapshot_time - begun, 0.0
        self.weight = await self._weight_of(snapshot)
        await self._drop_snapshots(slot)

    async def _drop_snapshots(self, newest: int) -> None:
        """Let go of old snapshots: with the first of a worker, then each time it made as many."""
        kept = self._node.config.process_snapshots_kept
        if kept is None or 0 < self._snapshots_made < kept:
            self._snapshots_made += 1
            return
        self._snapshots_made = 1
        try:
            await self._states.drop_snapshots(newest, kept)
        except StoreError as error:
            log.info("Old snapshots of %s stay: %s", self.process.id, error.text)

    async def _weight_of(self, snapshot: Message) -> int:
        """Bytes of the memories in a snapshot, none of which is loaded."""
        weight = 0
        for value in snapshot.values():
            if isinstance(value, Link) and value.kind == "message":
                value = await self._context.load(value)
            if isinstance(value, Message):
                weight += await self._weight_of(value)
            elif isinstance(value, Link):
                weight += value.size
            elif isinstance(value, bytes):
                weight += len(value)
        return weight


_current: ContextVar[Worker | None] = ContextVar("hyperbeam_trio_process_worker", default=None)
"""The worker whose computation the present task belongs to."""
