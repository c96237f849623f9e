"""Which file holds the value of which key, in the order of the keys; all in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hyperbeam_trio.stores.bundle_files import Segment
from hyperbeam_trio.stores.bundle_items import Change, Kept


class Place(NamedTuple):
    """Where a value lies."""

    segment: Segment
    kept: Kept


class KeyIndex:
    """Keys and the places of their values."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._sorted: list[str] = []
        self._added: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> Place | None:
        """Where the value of a key lies now."""
        return self._places.get(key)

    def apply(self, segment: Segment, changes: Iterable[Change]) -> None:
        """What a file changes, in its order."""
        for key, kept in changes:
            if kept is None:
                self._places.pop(key, None)
                continue
            if key not in self._places:
                self._added.append(key)
            self._places[key] = Place(segment, kept)

    def move(self, old: Segment, new: Segment, changes: Iterable[Change]) -> None:
        """The values that still lie in `old` lie in `new` from now on, by the last of `changes`."""
        for key, kept in dict(changes).items():
            place = self._places.get(key)
            if place is not None and kept is not None and place.segment is old:
                self._places[key] = Place(new, kept)

    def list(self, prefix: str, after: str, limit: int | None) -> Sequence[str]:
        """Keys that start with `prefix`, in byte order, from behind `after`, at most `limit`."""
        keys = self._in_order()
        place = max(bisect_left(keys, prefix), bisect_right(keys, after) if after else 0)
        found: list[str] = []
        while place < len(keys) and (limit is None or len(found) < limit):
            key = keys[place]
            if not key.startswith(prefix):
                break
            if key in self._places and (not found or found[-1] != key):
                found.append(key)
            place += 1
        return found

    def _in_order(self) -> Sequence[str]:
        """All keys in order; deleted ones may still be among them, and some twice."""
        if self._added:
            # Two sorted runs: the sort merges them in one pass.
            self._sorted += sorted(self._added)
            self._sorted.sort()
            self._added = []
        return self._sorted
