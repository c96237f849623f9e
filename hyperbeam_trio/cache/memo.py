"""A bounded memory of what was used last, for facts that can be asked again."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """The last `limit` to `2 * limit` entries that were set or found again.

    Two dictionaries instead of an order: when the young one is full it becomes the old one, and
    what is found only in the old one moves over. A look-up costs one or two dictionary reads.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What was set under `key`, unless it is forgotten."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.set(key, found)
        return found

    def set(self, key: K, value: V) -> None:
        """Remember `value`; it must not be `None`."""
        self._young[key] = value
        if len(self._young) > self._limit:
            self._old, self._young = self._young, {}

    def discard(self, key: K) -> None:
        """Forget one entry."""
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
