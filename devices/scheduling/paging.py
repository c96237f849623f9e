"""Which slots one answer to a range of slots holds (spec/05 §4.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STEP: Final = 1000
"""The last slot of a page is at most so far behind its first: a page has up to 1001 slots."""


@dataclass(frozen=True, slots=True)
class Page:
    """The slots from `first` to `last`, both included; none where `last` lies before `first`.

    `continues` says that there are more slots in the range that was asked for.
    """

    first: int
    last: int
    continues: bool

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)

    def slots(self) -> range:
        """The slots of the page."""
        return range(self.first, self.last + 1)


def page_of(first: int, last: int | None, current: int) -> Page:
    """The page at the beginning of a range, of a schedule whose newest slot is `current`.

    `last` is `None` for all there are. The range is cut at `current` first, so that `continues`
    never promises slots that do not exist.
    """
    first = max(first, 0)
    last = current if last is None else min(last, current)
    if last - first > STEP:
        return Page(first, first + STEP, True)
    return Page(first, last, False)
