"""The clock that ends guests which run too long (spec/06 §7.5)."""

from __future__ import annotations

import threading

import trio
import wasmtime

TICK_SECONDS = 0.01


class Epochs:
    """Counts ticks of 10 ms for a group of engines; `now` is the number of the present one.

    The ticks come from a thread that a Trio task waits for, not from the task itself: a guest may
    be running in the Trio thread, and that is the one that has to be ended.
    """

    __slots__ = ("_engines", "_running", "now")

    def __init__(self) -> None:
        self.now = 0
        self._engines: list[wasmtime.Engine] = []
        self._running = False

    def add(self, engine: wasmtime.Engine) -> None:
        """Let `engine` hear the ticks."""
        self._engines.append(engine)

    def tick(self) -> None:
        """Let one tick pass."""
        for engine in self._engines:
            engine.increment_epoch()
        self.now += 1

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tick until cancelled; meant for `nursery.start`. Only one task may run it."""
        if self._running:
            raise RuntimeError("the epochs of this engine are running already")
        self._running = True
        stop = threading.Event()
        limiter = trio.CapacityLimiter(1)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_when_cancelled, stop)
                await trio.to_thread.run_sync(self._tick_until, stop, task_status, limiter=limiter)
        finally:
            self._running = False

    def _tick_until(self, stop: threading.Event, task_status: trio.TaskStatus[None]) -> None:
        # Not before the thread is there: the next thing to run may be a guest in the Trio thread.
        trio.from_thread.run_sync(task_status.started)
        while not stop.wait(TICK_SECONDS):
            self.tick()


async def _stop_when_cancelled(stop: threading.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        stop.set()
