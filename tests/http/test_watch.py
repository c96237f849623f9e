"""The task that ends overdue waits."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
from trio import open_nursery
from trio.testing import MockClock

from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.watch import Watch


@dataclass(eq=False)
class Wait:
    """A wait that notes when it was ended."""

    due: float
    ended: list[float] = field(default_factory=list)

    def expire(self) -> None:
        self.ended.append(trio.current_time())
        self.due = float("inf")


async def test_what_is_overdue_ends_within_two_ticks(autojump_clock: MockClock) -> None:
    watch = Watch(Limits())
    early, late, gone = Wait(10), Wait(20), Wait(10)
    async with open_nursery() as nursery:
        await nursery.start(watch.run)
        for wait in (early, late, gone):
            watch.add(wait)
        watch.remove(gone)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert len(early.ended) == len(late.ended) == 1
    assert 10 <= early.ended[0] <= 12
    assert 20 <= late.ended[0] <= 22
    assert gone.ended == []


async def test_a_due_time_can_be_put_off(autojump_clock: MockClock) -> None:
    watch = Watch(Limits())
    wait = Wait(10)
    async with open_nursery() as nursery:
        await nursery.start(watch.run)
        watch.add(wait)
        for _ in range(10):
            await trio.sleep(5)
            wait.due = watch.now + 10
        assert wait.ended == []
        nursery.cancel_scope.cancel()
