"""Named tasks: one of a name, started on demand."""

from __future__ import annotations

from contextvars import ContextVar

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import Busy
from hyperbeam_trio.service.registry import TaskRegistry

mark: ContextVar[str] = ContextVar("mark", default="none")


class Service:
    """Runs until it is cancelled, and knows what was marked where it runs."""

    def __init__(self) -> None:
        self.starts = 0

    async def run(self, task_status):
        self.starts += 1
        task_status.started(mark.get())
        await trio.sleep_forever()


@pytest.fixture
async def registry(nursery):
    return TaskRegistry(nursery, "test", limit=2)


async def test_many_who_ask_at_once_start_it_once(registry):
    service = Service()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(registry.ensure, "a", service.run)
    assert service.starts == 1
    assert registry.names() == ["a"]


async def test_a_task_that_is_stopped_starts_again_when_it_is_asked_for(registry):
    service = Service()
    await registry.ensure("a", service.run)
    registry.stop("a")
    await trio.testing.wait_all_tasks_blocked()
    assert registry.names() == []
    await registry.ensure("a", service.run)
    assert service.starts == 2


async def test_only_so_many_run_at_once(registry):
    for name in ("a", "b"):
        await registry.ensure(name, Service().run)
    with pytest.raises(Busy):
        await registry.ensure("c", Service().run)


async def test_a_task_takes_nothing_along_of_the_one_that_started_it(registry):
    mark.set("mine")
    assert await registry.ensure("a", Service().run) == "none"


async def test_what_a_service_raises_before_it_is_ready_is_raised(registry):
    async def broken(task_status):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await registry.ensure("a", broken)
    assert registry.names() == []
