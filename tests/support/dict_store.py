"""A store in a dictionary: the least that a third party's store has to do, and a fault to plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import trio

from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.store import Store, check_key


class DictStore(Store):
    """Keeps everything in `values`.

    `stop_after` counts down with every item written; at zero the store fails for good, in the
    middle of a batch if it comes to that. `reads` lists the keys that were read.
    """

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.puts = 0
        self.stop_after: int | None = None

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        return cls()

    async def get(self, key: str) -> bytes | None:
        check_key(key)
        self.reads.append(key)
        await trio.lowlevel.checkpoint()
        return self.values.get(key)

    async def put(self, items: Mapping[str, bytes]) -> None:
        await trio.lowlevel.checkpoint()
        self.puts += 1
        for key, value in items.items():
            check_key(key)
            if self.stop_after is not None:
                if self.stop_after == 0:
                    raise StoreError("dict store: it has stopped, as was asked for.")
                self.stop_after -= 1
            self.values[key] = value

    async def create(self, key: str, value: bytes) -> bool:
        won = self.values.setdefault(key, value) is value
        await trio.lowlevel.checkpoint()
        return won

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        found = [key for key in self.values if key.startswith(prefix) and key > after]
        return sorted(found)[:limit]

    async def delete(self, keys: Sequence[str]) -> None:
        await trio.lowlevel.checkpoint()
        for key in keys:
            self.values.pop(key, None)

    async def close(self) -> None:
        self.values = {}


class RemoteDictStore(DictStore):
    """The same, as if it were far away: every read takes a second, and `most` ran at once."""

    scope = "remote"

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._reading = 0

    async def get(self, key: str) -> bytes | None:
        self._reading += 1
        self.most = max(self.most, self._reading)
        try:
            await trio.sleep(1)
            return await super().get(key)
        finally:
            self._reading -= 1
