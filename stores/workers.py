"""Threads for blocking calls that come by the thousand: half the price of a thread hop each.

While a task is in `serve`, that many threads stand ready, each awaited by a child of that task;
answers that arrive together are handed over together. Without it, calls go through
`trio.to_thread` one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar, cast

import outcome
import trio

T = TypeVar("T")
Answer = outcome.Outcome[object]
Job = tuple[trio.lowlevel.Task, Callable[[], object]]


class Workers:
    """At most `count` blocking calls at once. A call that has begun can't be cancelled."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._limiter = trio.CapacityLimiter(count)
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._answers: deque[tuple[trio.lowlevel.Task, Answer]] = deque()
        self._delivering = False
        self._serving = False

    async def run(self, call: Callable[[], T]) -> T:
        """`call()` in a thread."""
        if not self._serving:
            return await trio.to_thread.run_sync(call, limiter=self._limiter)
        await trio.lowlevel.checkpoint_if_cancelled()
        self._jobs.put((trio.lowlevel.current_task(), call))
        return cast(T, await trio.lowlevel.wait_task_rescheduled(_never))

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the threads ready until cancelled; calls already made are still answered."""
        limiter = trio.CapacityLimiter(self._count)
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            for _ in range(self._count):
                nursery.start_soon(self._work_in_thread, token, limiter)
            self._serving = True
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._serving = False
                for _ in range(self._count):
                    self._jobs.put(None)

    async def _work_in_thread(
        self, token: trio.lowlevel.TrioToken, limiter: trio.CapacityLimiter
    ) -> None:
        # Shielded, so that it starts in any case: each thread takes one of the end marks.
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._work, token, limiter=limiter)

    def _work(self, token: trio.lowlevel.TrioToken) -> None:
        while (job := self._jobs.get()) is not None:
            task, call = job
            self._answers.append((task, outcome.capture(call)))
            # Set after the answer is there and cleared before it is taken: none is left behind.
            if not self._delivering:
                self._delivering = True
                token.run_sync_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        while self._answers:
            task, answer = self._answers.popleft()
            trio.lowlevel.reschedule(task, answer)


def _never(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
