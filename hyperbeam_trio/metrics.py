"""What a node counts and times, for the metrics page (spec/07 §14).

Counting is adding to plain numbers, since it is done for every request; how they are shown is the
business of whoever shows them. Each process of a node has numbers of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from time import monotonic
from typing import Final, TypeAlias

BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Upper bounds of the buckets of all histograms, in seconds."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
"""Methods that are told apart; a client may think of any number of others."""


Door: TypeAlias = Callable[[], Mapping[str, int]]


class Histogram:
    """How many things took how long, in seconds."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one thing that took `seconds`."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Each bound, with infinity as the last, and how many took no longer."""
        return zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True)


class Exchanges:
    """Requests and their answers, by method and status, and the bytes that came and went."""

    __slots__ = ("_by_kind", "downloaded", "uploaded")

    def __init__(self) -> None:
        self._by_kind: dict[tuple[str, int], Histogram] = {}
        self.downloaded = 0
        self.uploaded = 0

    def add(self, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered with `status` after `seconds`."""
        kind = (method if method in METHODS else "OTHER", status // 100)
        found = self._by_kind.get(kind)
        if found is None:
            found = self._by_kind[kind] = Histogram()
        found.add(seconds)

    def by_class(self) -> Mapping[tuple[str, str], Histogram]:
        """The histogram of each method and class of statuses: `2xx`, `4xx`…"""
        return {(method, f"{digit}xx"): found for (method, digit), found in self._by_kind.items()}


class Metrics:
    """The numbers of one node.

    `served` and `encoding` (by status) are about answers of its own, `hits` and `misses` about
    steps that were found in the store and that were executed, `kept` about answers that were there
    as bytes already.
    """

    __slots__ = ("_doors", "begun", "encoding", "hits", "kept", "misses", "served")

    def __init__(self) -> None:
        self.begun = monotonic()
        self.served = Exchanges()
        self.encoding: dict[int, Histogram] = {}
        self.hits = self.misses = self.kept = 0
        self._doors: list[Door] = []

    @contextmanager
    def counting(self, door: Door) -> Iterator[None]:
        """Meanwhile a door is open; `door` gives the numbers of it by name."""
        self._doors.append(door)
        try:
            yield
        finally:
            self._doors.remove(door)

    def doors(self) -> Mapping[str, int]:
        """The numbers of all doors that are open, added."""
        total: Counter[str] = Counter()
        for door in self._doors:
            total.update(door())
        return total

    def encoded(self, status: int, seconds: float) -> None:
        """Count an answer that took `seconds` to be encoded and signed."""
        found = self.encoding.get(status)
        if found is None:
            found = self.encoding[status] = Histogram()
        found.add(seconds)
