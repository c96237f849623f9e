"""The durable queue of a tier that is written later: `~writeback/TARGET/TIME-RANDOM` -> keys.

A note is put into a near, durable tier in the same batch as the items it names, so neither is
without the other after a crash. Draining sends the current values of the noted keys, oldest note
first, and then removes the notes; sending twice is harmless. Several processes may drain one queue.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from hashlib import sha256

import orjson
import trio

from hyperbeam_trio.errors import Busy, CorruptData
from hyperbeam_trio.stores.tier import TROUBLES, Tier

HIDDEN = "~writeback/"
"""Keys below it are not listed: they are no data."""
MAX_NOTES = 100_000
BATCH_NOTES = 64
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0


class WriteBack:
    """Copies what is written to tier `queue` into tier `target`, in the background.

    `waiting` is the number of notes, `stuck` of those that can't be sent because they or what they
    name is damaged, `failures` of attempts that failed; `last_error` says why.
    """

    def __init__(self, target: Tier, queue: Tier) -> None:
        self._target = target
        self._queue = queue
        self._prefix = f"{HIDDEN}{sha256(target.place.encode()).hexdigest()[:16]}/"
        self._more = trio.Event()
        self._drained = trio.Event()
        self.waiting = 0
        self.stuck = 0
        self.failures = 0
        self.last_error = ""

    async def count(self) -> None:
        """Find out how much an earlier process left behind."""
        notes = await self._queue.store.list(self._prefix, limit=MAX_NOTES)
        self.waiting = len(notes)

    def note(self, keys: Sequence[str], *, deleted: bool = False) -> tuple[str, bytes]:
        """The item to put in one batch with `keys`; `Busy` when the queue is full."""
        if self.waiting >= MAX_NOTES:
            raise Busy(
                f"store {self._target.place}: {self.waiting} writes wait for it "
                f"({self.last_error or 'nobody drains the queue'}).",
                retry_after=10,
            )
        self.waiting += 1
        # Times order the notes well enough: what is sent is the value that the key has then.
        name = f"{self._prefix}{time.time_ns():020}-{secrets.token_hex(4)}"
        return name, orjson.dumps({"deleted": deleted, "keys": list(keys)})

    def wake(self) -> None:
        """There is a new note."""
        self._more.set()

    async def flush(self) -> None:
        """Return when the queue is empty; somebody must `serve`. Raises what can't be sent."""
        while await self._queue.store.list(self._prefix, limit=1):
            self._drained = trio.Event()
            self.wake()
            await self._drained.wait()
            if self.stuck:
                raise CorruptData(f"store {self._target.place}: {self.last_error}")

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drain the queue as long as the task lives; a failing target is tried again and again."""
        task_status.started()
        pause = FIRST_PAUSE
        while True:
            self._more = trio.Event()
            try:
                await self._drain()
            except TROUBLES as error:
                self._count_failure(error)
                await trio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                self._drained.set()
                await self._more.wait()

    async def _drain(self) -> None:
        """Send all notes once, oldest first; those that are damaged stay and are reported."""
        after = ""
        self.stuck = 0
        while names := await self._queue.store.list(self._prefix, after=after, limit=BATCH_NOTES):
            after = names[-1]
            await self._send(names)
        self.waiting = self.stuck

    async def _send(self, names: Sequence[str]) -> None:
        sent: list[str] = []
        values: dict[str, bytes] = {}
        gone: list[str] = []
        for name in names:
            try:
                await self._gather(name, values, gone)
                sent.append(name)
            except CorruptData as error:
                self.stuck += 1
                self._count_failure(error)
        if values:
            await self._target.call(lambda target: target.put(values))
        if gone:
            await self._target.call(lambda target: target.delete(gone))
        await self._queue.store.delete(sent)
        self.waiting = max(0, self.waiting - len(sent))

    async def _gather(self, name: str, values: dict[str, bytes], gone: list[str]) -> None:
        store = self._queue.store
        note = orjson.loads(await store.get(name) or b'{"deleted":false,"keys":[]}')
        for key in note["keys"]:
            value = await store.get(key)
            if value is not None:
                values[key] = value
            elif note["deleted"]:
                gone.append(key)

    def _count_failure(self, error: Exception) -> None:
        self.failures += 1
        self.last_error = str(error)
