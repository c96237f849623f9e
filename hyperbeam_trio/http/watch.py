"""One task that ends the connections whose time is up."""

from __future__ import annotations

from math import inf
from typing import Protocol

import trio

from hyperbeam_trio.http.limits import Limits

TICK_SECONDS = 1.0


class Watched(Protocol):
    """A connection with a time, in Trio's clock, by which its present wait must end."""

    due: float

    def expire(self) -> None:
        """End the present wait: its time is up."""
        ...


class Watch:
    """Looks at all connections once a tick, since moving a deadline of Trio's costs 3 µs each.

    `now` is the time of the last tick, good enough to reckon a due time from: what is due ends
    within two ticks. A tick is a second, or a quarter of the shortest limit.
    """

    def __init__(self, limits: Limits) -> None:
        shortest = min(limits.idle_seconds, limits.head_seconds, limits.body_seconds)
        self.tick = min(TICK_SECONDS, shortest / 4, limits.write_seconds / 4)
        self.now = -inf
        self._watched: set[Watched] = set()

    def add(self, watched: Watched) -> None:
        """Watch from now on."""
        self._watched.add(watched)

    def remove(self, watched: Watched) -> None:
        """Watch no more."""
        self._watched.discard(watched)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        self.now = trio.current_time()
        task_status.started()
        while True:
            await trio.sleep(self.tick)
            self.now = now = trio.current_time()
            for watched in [each for each in self._watched if each.due < now]:
                watched.expire()
