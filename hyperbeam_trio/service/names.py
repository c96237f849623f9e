"""The name service: who answers to a name in this process (spec/03 §10)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from hyperbeam_trio.errors import Busy, Conflict

MAX_NAMES: Final = 100_000


class NameService:
    """Names and their owners, any objects; nothing is stored.

    There is no await in any of its steps: of many who register a name at once, one wins.
    """

    def __init__(self, limit: int = MAX_NAMES) -> None:
        self._owners: dict[str, object] = {}
        self._limit = limit

    def register(self, name: str, owner: object) -> None:
        """Give `name` to `owner`; `Conflict` if another has it, `Busy` if there are too many."""
        if name in self._owners:
            raise Conflict(f"The name {name!r} is in use.", details={"name": name})
        if len(self._owners) >= self._limit:
            raise Busy(f"{self._limit} names are registered; no more can be now.")
        self._owners[name] = owner

    def lookup(self, name: str) -> object | None:
        """The owner of a name, or `None`."""
        return self._owners.get(name)

    def unregister(self, name: str, owner: object) -> bool:
        """Take `name` from `owner`; whether `owner` had it."""
        held = name in self._owners and self._owners[name] is owner
        if held:
            del self._owners[name]
        return held

    @contextmanager
    def registered(self, name: str, owner: object) -> Iterator[None]:
        """`name` is `owner`'s as long as the block runs, however it ends."""
        self.register(name, owner)
        try:
            yield
        finally:
            self.unregister(name, owner)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._owners)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then nobody has a name any more."""
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self._owners.clear()
