"""A store that fails on demand, to prove what is built on stores."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Literal, Self, TypeVar

import trio

from hyperbeam_trio.errors import CorruptData, StoreError
from hyperbeam_trio.store import Scope, Store, StoreSpec, open_store

T = TypeVar("T")

Fault = Literal["refuse", "lose-answer", "torn", "full", "delay", "corrupt", "short"]
FAULTS: tuple[Fault, ...] = ("refuse", "lose-answer", "torn", "full", "delay", "corrupt", "short")


class FaultyStore(Store):
    """Passes calls on to `inner`, except those that meet a fault.

    Each call takes one entry of `faults`; `None`, or an empty queue, is no fault. `broken` refuses
    every call. What the faults do:

    - `refuse`: a `StoreError`, nothing done.
    - `lose-answer`: the call is done, then a `StoreError`.
    - `torn`: only the first half of a batch is done, then a `StoreError` (reads: like `refuse`).
    - `full`: a `StoreError` that says the disk is full, nothing done (reads: no fault).
    - `delay`: the call waits `delay` seconds first.
    - `corrupt`: a read raises `CorruptData` (changes: no fault).
    - `short`: a read gives the first half of the value, silently (changes: no fault).
    """

    def __init__(self, inner: Store, *, scope: Scope | None = None, delay: float = 60.0) -> None:
        self.inner = inner
        self.scope = scope or inner.scope
        self.durable = inner.durable
        self.writable = inner.writable
        self.faults: deque[Fault | None] = deque()
        self.broken = False
        self.calls = 0
        self._delay = delay

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Wrap the store whose URI is `location`."""
        spec = StoreSpec.parse(location)
        return cls(await open_store(StoreSpec(spec.scheme, spec.location, options)))

    async def get(self, key: str) -> bytes | None:
        return await self._read(key, lambda: self.inner.get(key))

    async def get_current(self, key: str) -> bytes | None:
        return await self._read(key, lambda: self.inner.get_current(key))

    async def put(self, items: Mapping[str, bytes]) -> None:
        first = dict(islice(items.items(), len(items) // 2))
        await self._change(lambda: self.inner.put(items), lambda: self.inner.put(first))

    async def create(self, key: str, value: bytes) -> bool:
        return await self._change(lambda: self.inner.create(key, value))

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        fault = await self._next()
        if fault in ("refuse", "lose-answer", "torn"):
            raise _refused(fault)
        return await self.inner.list(prefix, after=after, limit=limit)

    async def delete(self, keys: Sequence[str]) -> None:
        first = keys[: len(keys) // 2]
        await self._change(lambda: self.inner.delete(keys), lambda: self.inner.delete(first))

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.inner.serve(task_status)

    async def close(self) -> None:
        await self.inner.close()

    def describe(self) -> str:
        return f"faulty {self.inner.describe()}"

    async def _next(self) -> Fault | None:
        self.calls += 1
        if self.broken:
            raise _refused("refuse")
        fault = self.faults.popleft() if self.faults else None
        if fault == "delay":
            await trio.sleep(self._delay)
        return fault

    async def _read(self, key: str, call: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        fault = await self._next()
        if fault in ("refuse", "lose-answer", "torn"):
            raise _refused(fault)
        if fault == "corrupt":
            raise CorruptData(f"store faulty: the record of {key!r} is damaged, as was asked for.")
        value = await call()
        return value[: len(value) // 2] if fault == "short" and value is not None else value

    async def _change(
        self,
        whole: Callable[[], Awaitable[T]],
        half: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        fault = await self._next()
        if fault == "full":
            raise StoreError("store faulty: the disk is full, as was asked for.")
        if fault == "lose-answer":
            await whole()
        if fault == "torn" and half is not None:
            await half()
        if fault in ("refuse", "lose-answer", "torn"):
            raise _refused(fault)
        return await whole()


def _refused(fault: str) -> StoreError:
    return StoreError(f"store faulty: the call failed ({fault}), as was asked for.")
