"""A nursery whose tasks may finish for a while after its block was cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_draining_nursery(grace_seconds: float) -> AsyncIterator[trio.Nursery]:
    """A nursery that outlives the end of its block by up to `grace_seconds`.

    A cancellation from outside ends the block at once, but reaches the nursery's tasks only when
    the grace is over; an exception of such a task ends the block.
    """
    closing = trio.Event()

    async def hold(task_status: trio.TaskStatus[trio.Nursery]) -> None:
        # Under the shield nobody could end a start that was cancelled already.
        await trio.lowlevel.checkpoint_if_cancelled()
        async with trio.open_nursery() as tasks:
            tasks.cancel_scope.shield = True
            task_status.started(tasks)
            await closing.wait()

    async with trio.open_nursery() as outer:
        tasks: trio.Nursery | None = None
        try:
            tasks = await outer.start(hold)
            yield tasks
        finally:
            # A cancellation during the start leaves a shielded task behind that waits for this.
            if tasks is not None:
                tasks.cancel_scope.deadline = trio.current_time() + grace_seconds
            closing.set()
