"""`memory:` — a dictionary: for tests, for throw-away nodes, and as a near tier that is bounded.

With the option `capacity` (bytes) it is a cache: when full, the keys used longest ago are dropped.
Without it nothing is ever dropped. Nothing survives the process.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import trio

from hyperbeam_trio.errors import ConfigError, StoreError
from hyperbeam_trio.store import Store, check_key, check_value
from hyperbeam_trio.store_options import StoreOptions

Keys = list[str]

ENTRY_BYTES = 200
"""What an entry costs beside its key and value, about."""


class MemoryStore(Store):
    """A store in this process's memory. See `Store` for the methods."""

    durable = False

    def __init__(self, capacity: int = 0) -> None:
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._sorted: list[str] = []
        self._added: list[str] = []
        self._capacity = capacity
        self._size = 0
        self._closed = False

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """`memory:` or `memory:?capacity=64MiB`; there is no location."""
        if location:
            raise ConfigError(f"store memory: it has no location, but {location!r} was given.")
        read = StoreOptions("memory", options)
        capacity = read.size("capacity", 0)
        read.done()
        return cls(capacity)

    async def get(self, key: str) -> bytes | None:
        return self.get_nowait(key)

    def get_nowait(self, key: str) -> bytes | None:
        value = self._values.get(key)
        if value is None:
            self._check_open()
            check_key(key)
        elif self._capacity:
            self._values.move_to_end(key)
        return value

    def peek(self) -> Callable[[str], bytes | None]:
        # With a capacity a read counts as a use.
        return self.get_nowait if self._capacity else self._values.get

    async def put(self, items: Mapping[str, bytes]) -> None:
        self._check_open()
        for key, value in items.items():
            check_key(key)
            check_value(key, value)
        await trio.lowlevel.checkpoint()
        self._check_open()
        for key, value in items.items():
            self._set(key, value)
        self._evict()

    async def create(self, key: str, value: bytes) -> bool:
        self._check_open()
        check_key(key)
        check_value(key, value)
        await trio.lowlevel.checkpoint()
        self._check_open()
        if key in self._values:
            return False
        self._set(key, value)
        self._evict()
        return True

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        self._check_open()
        await trio.lowlevel.checkpoint()
        keys = self._in_order()
        start = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        found: Keys = []
        for index in range(start, len(keys)):
            key = keys[index]
            if not key.startswith(prefix) or (limit is not None and len(found) >= limit):
                break
            if key in self._values and (not found or found[-1] != key):
                found.append(key)
        return found

    async def delete(self, keys: Sequence[str]) -> None:
        self._check_open()
        for key in keys:
            check_key(key)
        await trio.lowlevel.checkpoint()
        self._check_open()
        self._drop(keys)

    async def be_alone(self) -> bool:
        return True

    async def close(self) -> None:
        self._closed = True
        self._values.clear()
        self._sorted, self._added = [], []

    def describe(self) -> str:
        return "memory"

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("store memory: it is closed.")

    def _set(self, key: str, value: bytes) -> None:
        old = self._values.get(key)
        if old is None:
            self._added.append(key)
            self._size += len(key) + ENTRY_BYTES
        else:
            self._size -= len(old)
        self._values[key] = bytes(value)
        self._values.move_to_end(key)
        self._size += len(value)

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            value = self._values.pop(key, None)
            if value is not None:
                self._size -= len(key) + len(value) + ENTRY_BYTES

    def _evict(self) -> None:
        while self._capacity and self._size > self._capacity and self._values:
            self._drop([next(iter(self._values))])
        # Dropped keys linger in the order; rebuild it before they outweigh the living.
        if len(self._sorted) + len(self._added) > 2 * len(self._values) + 1000:
            self._sorted, self._added = sorted(self._values), []

    def _in_order(self) -> Keys:
        """All keys in order; dropped ones may still be among them, and some twice."""
        if self._added:
            # Two sorted runs: the sort merges them in one pass.
            self._sorted += sorted(self._added)
            self._sorted.sort()
            self._added = []
        return self._sorted
