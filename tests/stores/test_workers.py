"""Blocking calls in threads that stand ready."""

import threading

import pytest
import trio
import trio.testing

from hyperbeam_trio.stores.workers import Workers


@pytest.fixture
def workers():
    return Workers(4)


async def test_calls_are_answered_with_and_without_serving(workers):
    assert await workers.run(lambda: 1) == 1
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.serve)
        assert await workers.run(lambda: 2) == 2
        nursery.cancel_scope.cancel()
    assert await workers.run(lambda: 3) == 3


async def test_an_error_reaches_its_caller(workers, nursery):
    await nursery.start(workers.serve)
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)
    assert await workers.run(lambda: 1) == 1


async def test_no_more_calls_run_at_once_than_there_are_threads(workers, nursery):
    await nursery.start(workers.serve)
    running = threading.Semaphore(4)
    answers = []

    def call() -> int:
        assert running.acquire(blocking=False)
        threading.Event().wait(0)
        running.release()
        return 1

    async def ask() -> None:
        answers.append(await workers.run(call))

    async with trio.open_nursery() as asking:
        for _ in range(100):
            asking.start_soon(ask)
    assert answers == [1] * 100


async def test_calls_made_before_the_end_are_answered_after_it(workers):
    gate = threading.Event()
    answers = []

    async def ask(number: int) -> None:
        answers.append(await workers.run(lambda: gate.wait(10) and number))

    async with trio.open_nursery() as asking, trio.open_nursery() as serving:
        await serving.start(workers.serve)
        for number in range(1, 11):
            asking.start_soon(ask, number)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        serving.cancel_scope.cancel()
    assert sorted(answers) == list(range(1, 11))


async def test_no_thread_is_left_behind(workers):
    before = threading.active_count()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.serve)
        nursery.cancel_scope.cancel()
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.serve)
        nursery.cancel_scope.cancel()
    assert await workers.run(lambda: 1) == 1
    assert threading.active_count() <= before + 4 + 1
