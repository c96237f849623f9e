"""Names of this process: one owner each."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.errors import Busy, Conflict
from hyperbeam_trio.service.names import NameService


def test_a_name_has_one_owner() -> None:
    names = NameService()
    names.register("p", "first")

    with pytest.raises(Conflict, match="'p' is in use") as caught:
        names.register("p", "second")

    assert caught.value.status == 409
    assert names.lookup("p") == "first"


def test_only_the_owner_gives_a_name_back() -> None:
    names = NameService()
    owner = object()
    names.register("p", owner)

    assert not names.unregister("p", object())
    assert names.lookup("p") is owner
    assert names.unregister("p", owner)
    assert names.lookup("p") is None
    assert not names.unregister("p", owner)


def test_a_name_may_be_owned_by_nothing() -> None:
    names = NameService()
    names.register("p", None)

    with pytest.raises(Conflict):
        names.register("p", None)


def test_names_are_bounded() -> None:
    names = NameService(limit=2)
    names.register("a", 1)
    names.register("b", 2)

    with pytest.raises(Busy, match="2 names") as caught:
        names.register("c", 3)

    assert caught.value.status == 503
    assert names.names() == ["a", "b"]


async def test_of_many_tasks_one_wins() -> None:
    names = NameService()
    winners: list[int] = []

    async def contend(number: int) -> None:
        await trio.lowlevel.checkpoint()
        try:
            names.register("p", number)
        except Conflict:
            return
        winners.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(contend, number)

    assert len(winners) == 1
    assert names.lookup("p") == winners[0]


async def test_a_task_that_dies_leaves_no_name() -> None:
    names = NameService()

    async def hold(task_status: trio.TaskStatus[None]) -> None:
        with names.registered("p", "task"):
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        assert names.lookup("p") == "task"
        nursery.cancel_scope.cancel()

    assert names.lookup("p") is None


async def test_names_are_forgotten_when_the_service_stops() -> None:
    names = NameService()

    async with trio.open_nursery() as nursery:
        await nursery.start(names.run)
        names.register("p", "owner")
        nursery.cancel_scope.cancel()

    assert names.names() == []
