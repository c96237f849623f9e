"""Threads that sign, behind the event loop: slow signatures must not keep requests waiting.

A signature by RSA holds a core for more than a millisecond. These threads stay for a node's life,
take one job after another without the loop between them, and on Linux yield the processor to it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar, TypeVarTuple

import outcome
import trio

from hyperbeam_trio.errors import NodeError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NICENESS: Final = 10
"""How far the threads stand back; the loop, which needs little, then goes first at once."""


class _Job:
    """A call to be made, and the task that waits for it; no task once that was cancelled."""

    __slots__ = ("call", "result", "task")

    def __init__(self, call: Callable[[], Any], task: trio.lowlevel.Task) -> None:
        self.call = call
        self.task: trio.lowlevel.Task | None = task
        self.result: outcome.Outcome[Any] | None = None


class Signers:
    """At most `count` threads; the first job starts them, and leaving `run` ends them for good.

    The queue holds one job for each task that waits, and so has no bound of its own.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._finished: deque[_Job] = deque()
        self._token: trio.lowlevel.TrioToken | None = None
        self._ends: list[trio.Event] = []
        self._closed = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be there for everything in this Trio run that signs, until cancelled."""
        _LIVE.set((*_LIVE.get(), self))
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            _LIVE.set(tuple(other for other in _LIVE.get() if other is not self))
            await self._end()

    async def _end(self) -> None:
        self._closed = True
        for _ in self._ends:
            self._jobs.put(None)
        with trio.CancelScope(shield=True):
            for end in self._ends:
                await end.wait()

    async def call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """What `function` gives, called in one of the threads; may be cancelled any time.

        Raises `NodeError` (503) once `run` has been left: there is no thread any more, nor will be.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._closed:
            raise NodeError("The node is stopping: its signing threads have ended.", status=503)
        if not self._ends:
            self._start()
        job = _Job(lambda: function(*args), trio.lowlevel.current_task())

        def abandon(_: object) -> trio.lowlevel.Abort:
            job.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._jobs.put(job)
        result: T = await trio.lowlevel.wait_task_rescheduled(abandon)
        # With what is left to do for a signed answer: the round that delivered it was the first.
        await trio.lowlevel.checkpoint()
        return result

    def _start(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        for place in range(self._count):
            end = trio.Event()
            # A daemon, so that a Trio run that breaks down does not keep the process from ending.
            threading.Thread(
                target=self._work, args=(self._token, end), name=f"signer {place}", daemon=True
            ).start()
            self._ends.append(end)

    def _work(self, token: trio.lowlevel.TrioToken, end: trio.Event) -> None:
        _stand_back()
        while (job := self._jobs.get()) is not None:
            if job.task is not None:
                job.result = outcome.capture(job.call)
                self._finished.append(job)
                token.run_sync_soon(self._deliver, idempotent=True)
        token.run_sync_soon(end.set)

    def _deliver(self) -> None:
        while self._finished:
            job = self._finished.popleft()
            if job.task is not None and job.result is not None:
                trio.lowlevel.reschedule(job.task, job.result)


_LIVE: Final[trio.lowlevel.RunVar[tuple[Signers, ...]]] = trio.lowlevel.RunVar("signers", ())


def _stand_back() -> None:
    """Let other threads go first; only on Linux is this a matter of one thread."""
    if sys.platform == "linux":
        current = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, min(19, current + NICENESS))


async def make_way() -> None:
    """Let all tasks go first that have become ready; for what waits for a slow signature anyway.

    Work for it that is done in pieces of a tenth of a millisecond, with this in between, keeps
    nobody waiting for longer than one of them. It takes two rounds of Trio's loop: the first one
    finds who is ready, but runs them and us in any order.
    """
    await trio.lowlevel.checkpoint()
    await trio.lowlevel.checkpoint()


async def call_aside(function: Callable[[*Ts], T], *args: *Ts, limiter: trio.CapacityLimiter) -> T:
    """What `function` gives, called by the signers of this Trio run.

    Where there are none, as in tools that open no node, in a thread of Trio's under `limiter`.
    """
    live = _LIVE.get()
    if live:
        return await live[-1].call(function, *args)
    return await trio.to_thread.run_sync(function, *args, limiter=limiter)
