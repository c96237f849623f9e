"""Group commit without a task: the first waiting writer commits for all that wait (spec/09 §4).

There is no timer: what arrives while a commit runs is the next batch. The leader commits exactly
one batch, its own write among them, in one thread hop, and then appoints the writer that waits
longest. Leading is not cancellable, so a batch is never lost with its leader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, Literal, TypeVar

import trio
from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled

from hyperbeam_trio.errors import Busy, StoreError

MAX_BATCH_BYTES = 64 << 20
MAX_PENDING_BYTES = 256 << 20

K = TypeVar("K")

Kind = Literal["put", "create", "claim", "delete"]


class _State(Enum):
    WAITING = 1
    LEADING = 2
    COMMITTING = 3
    DONE = 4


class Write(Generic[K]):
    """One change on its way: `pairs` of key and value (a delete has empty values).

    The commit function sets `created` of a create or claim: how many of `pairs` were. A claim puts
    `content` first. `error` is what its caller will see.
    """

    __slots__ = ("content", "created", "error", "kind", "pairs", "size", "state", "task")

    def __init__(
        self,
        kind: Kind,
        pairs: Sequence[tuple[K, bytes]],
        content: Sequence[tuple[K, bytes]] = (),
    ) -> None:
        self.kind = kind
        self.pairs = pairs
        self.content = content
        self.size = 512 + sum(len(value) for part in (pairs, content) for _, value in part)
        self.created = 0
        self.error: Exception | None = None
        self.state = _State.WAITING
        self.task: Task | None = None

    @property
    def is_group(self) -> bool:
        """Whether it is worth a commit of its own, and need not wait for company."""
        return self.kind == "claim" and len(self.pairs) > 1


class _Quiet(Write[K]):
    """Runs a function in the event loop while no commit is under way."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__("put", ())
        self.call = call


class GroupCommit(Generic[K]):
    """Collects writes of one event loop into batches for `commit`.

    `commit(writes)` runs in a thread, one at a time, and writes all of them durably or raises.
    `recover(error)` runs in the event loop while no commit is under way, and says whether the
    same batch is worth another try. Errors that `commit` raises reach every writer of the batch
    through `translate`.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Write[K]]], None],
        *,
        translate: Callable[[Exception], Exception],
        recover: Callable[[Exception], bool] = lambda error: False,
    ) -> None:
        self._commit = commit
        self._translate = translate
        self._recover = recover
        self._queue: deque[Write[K]] = deque()
        self._pending_bytes = 0
        self._led = False
        self._idle: trio.Event | None = None
        self._closed = False
        self._limiter = trio.CapacityLimiter(1)

    async def submit(self, write: Write[K]) -> None:
        """Return when `write` is durable; raise what its commit raised.

        Cancelled before its commit began, the write is withdrawn. Raises `Busy` when more than
        `MAX_PENDING_BYTES` wait, `StoreError` after `aclose`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._admit(write)
        if self._led:
            await self._wait(write)
        if write.state is not _State.DONE:
            self._led = True
            await self._lead()
        if write.error is not None:
            raise write.error

    async def quietly(self, call: Callable[[], None]) -> None:
        """Run `call` in the event loop at a moment without a commit."""
        await self.submit(_Quiet(call))

    async def aclose(self) -> None:
        """Refuse new writes and wait, whatever is cancelled, until the pending ones are durable."""
        self._closed = True
        if self._led:
            if self._idle is None:
                self._idle = trio.Event()
            with trio.CancelScope(shield=True):
                await self._idle.wait()

    def statistics(self) -> dict[str, int]:
        """How many writes and bytes wait for their commit now."""
        return {"writes": len(self._queue), "bytes": self._pending_bytes}

    def _admit(self, write: Write[K]) -> None:
        if self._closed:
            raise StoreError("store: it is closed; this write was not done.")
        if self._pending_bytes and self._pending_bytes + write.size > MAX_PENDING_BYTES:
            raise Busy(
                f"store: {len(self._queue)} writes ({self._pending_bytes} bytes) wait for the disk."
            )
        self._pending_bytes += write.size
        self._queue.append(write)

    async def _wait(self, write: Write[K]) -> None:
        def withdraw(_: object) -> Abort:
            if write.state is not _State.WAITING:
                return Abort.FAILED
            self._queue.remove(write)
            self._pending_bytes -= write.size
            return Abort.SUCCEEDED

        write.task = current_task()
        await wait_task_rescheduled(withdraw)

    async def _lead(self) -> None:
        if not self._queue[0].is_group:
            # One round of the scheduler lets all writers that the last commit woke join in.
            await trio.lowlevel.cancel_shielded_checkpoint()
        batch = self._take()
        try:
            with trio.CancelScope(shield=True):
                await self._commit_batch(batch)
        except Exception as error:
            self._fail(batch, error)
        except BaseException as error:
            self._fail(batch, error)
            raise
        finally:
            self._finish(batch)

    def _fail(self, batch: Sequence[Write[K]], error: BaseException) -> None:
        """Each writer gets an exception of its own: a shared one would mix up tracebacks."""
        for write in batch:
            if isinstance(error, Exception):
                write.error = self._translate(error)
            else:
                write.error = StoreError(f"store: the commit was interrupted ({error!r}).")
            write.error.__cause__ = error

    async def _commit_batch(self, batch: Sequence[Write[K]]) -> None:
        first = batch[0]
        if isinstance(first, _Quiet):
            first.call()
            return
        while True:
            try:
                await trio.to_thread.run_sync(self._commit, batch, limiter=self._limiter)
            except Exception as error:
                if not self._recover(error):
                    raise
            else:
                return

    def _take(self) -> list[Write[K]]:
        """The next batch: at most `MAX_BATCH_BYTES`, and a quiet call always by itself."""
        batch: list[Write[K]] = []
        size = 0
        while self._queue:
            write = self._queue[0]
            size += write.size
            if batch and (size > MAX_BATCH_BYTES or isinstance(write, _Quiet)):
                break
            write.state = _State.COMMITTING
            batch.append(self._queue.popleft())
            if isinstance(write, _Quiet):
                break
        return batch

    def _finish(self, batch: Sequence[Write[K]]) -> None:
        for write in batch:
            self._pending_bytes -= write.size
            write.state = _State.DONE
            if write.task is not None and write.task is not current_task():
                reschedule(write.task)
        if self._queue:
            self._appoint(self._queue[0])
        else:
            self._led = False
            if self._idle is not None:
                self._idle.set()

    def _appoint(self, write: Write[K]) -> None:
        write.state = _State.LEADING
        if write.task is not None:
            reschedule(write.task)
