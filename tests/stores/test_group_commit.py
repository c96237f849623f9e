"""Many writers, one commit; nobody's write is lost with somebody else's cancellation."""

import threading
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import Busy, StoreError
from hyperbeam_trio.stores import group_commit
from hyperbeam_trio.stores.group_commit import GroupCommit, Write


class Log:
    """A commit function that records its batches and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, writes: Sequence[Write[str]]) -> None:
        assert self.gate.wait(10)
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append([key for write in writes for key, _ in write.pairs])


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def commits(log):
    return GroupCommit(log, translate=lambda error: StoreError(str(error)))


def write(key: str, size: int = 1) -> Write[str]:
    return Write("put", [(key, b"x" * size)])


async def test_writers_that_start_together_share_a_commit(log, commits):
    async with trio.open_nursery() as nursery:
        for key in "abc":
            nursery.start_soon(commits.submit, write(key))
    assert [sorted(batch) for batch in log.batches] == [["a", "b", "c"]]


async def test_a_group_of_claims_does_not_wait_for_company(log, commits):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("later"))
        await commits.submit(Write("claim", [("one", b"1"), ("two", b"2")]))
    assert log.batches == [["one", "two"], ["later"]]


async def test_what_arrives_during_a_commit_is_the_next_batch(log, commits):
    log.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("first"))
        await trio.testing.wait_all_tasks_blocked()
        for key in "abc":
            nursery.start_soon(commits.submit, write(key))
        await trio.testing.wait_all_tasks_blocked()
        assert commits.statistics()["writes"] == 3
        log.gate.set()
    assert [sorted(batch) for batch in log.batches] == [["first"], ["a", "b", "c"]]
    assert commits.statistics() == {"writes": 0, "bytes": 0}


async def test_a_cancelled_waiter_is_withdrawn(log, commits):
    log.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("leader"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.submit, write("stays"))
        with trio.CancelScope() as scope:
            scope.cancel()
            await commits.submit(write("never"))
        async with trio.open_nursery() as doomed:
            doomed.start_soon(commits.submit, write("withdrawn"))
            await trio.testing.wait_all_tasks_blocked()
            doomed.cancel_scope.cancel()
        log.gate.set()
    assert log.batches == [["leader"], ["stays"]]


async def test_a_cancelled_leader_finishes_its_commit(log, commits):
    log.gate.clear()
    ended = []

    async def lead() -> None:
        await commits.submit(write("leader"))
        ended.append("leader")

    scope = trio.CancelScope()

    async def cancellable() -> None:
        with scope:
            await lead()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancellable)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.submit, write("follower"))
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        log.gate.set()
    assert ended == ["leader"]
    assert log.batches == [["leader"], ["follower"]]


async def test_a_failed_commit_fails_all_its_writers_and_no_other(log, commits):
    log.errors.append(OSError("disk gone"))
    failed = []

    async def submit(key: str) -> None:
        try:
            await commits.submit(write(key))
        except StoreError as error:
            failed.append((key, error))

    async with trio.open_nursery() as nursery:
        for key in "ab":
            nursery.start_soon(submit, key)
    await commits.submit(write("c"))
    assert sorted(key for key, _ in failed) == ["a", "b"]
    assert len({id(error) for _, error in failed}) == 2
    assert log.batches == [["c"]]


async def test_a_recovered_commit_is_tried_again(log):
    recovered = []

    def recover(error: Exception) -> bool:
        recovered.append(str(error))
        return True

    commits = GroupCommit(log, translate=lambda error: error, recover=recover)
    log.errors += [OSError("full"), OSError("still full")]
    await commits.submit(write("a"))
    assert recovered == ["full", "still full"]
    assert log.batches == [["a"]]


async def test_too_much_waiting_is_refused_as_busy(log, commits, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_PENDING_BYTES", 10_000)
    log.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("a", 9000))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Busy, match="wait for the disk"):
            await commits.submit(write("b", 9000))
        log.gate.set()
    await commits.submit(write("c", 90_000))
    assert log.batches == [["a"], ["c"]]


async def test_a_batch_is_bounded_in_bytes(log, commits, monkeypatch):
    monkeypatch.setattr(group_commit, "MAX_BATCH_BYTES", 2500)
    async with trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(commits.submit, write(f"{n}", 500))
    assert [len(batch) for batch in log.batches] == [2, 2, 2]


async def test_a_quiet_call_meets_no_commit(log, commits):
    log.gate.clear()
    seen = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.quietly, lambda: seen.append(len(log.batches)))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.submit, write("b"))
        await trio.testing.wait_all_tasks_blocked()
        assert not seen
        log.gate.set()
    assert seen == [1]
    assert log.batches == [["a"], ["b"]]


async def test_closing_waits_for_what_is_pending(log, commits):
    log.gate.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(commits.submit, write("a"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.submit, write("b"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(commits.aclose)
        await trio.testing.wait_all_tasks_blocked()
        log.gate.set()
    assert log.batches == [["a"], ["b"]]
    with pytest.raises(StoreError, match="closed"):
        await commits.submit(write("c"))
