"""Ranges of slots, cut into pages: every slot once, and no promise of what is not there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.scheduling.paging import STEP, Page, page_of


@pytest.mark.parametrize(
    ("asked", "current", "page"),
    [
        ((0, None), -1, Page(0, -1, False)),
        ((0, None), 4, Page(0, 4, False)),
        ((0, None), 1010, Page(0, 1000, True)),
        ((1001, None), 1010, Page(1001, 1010, False)),
        ((0, 1000), 1010, Page(0, 1000, False)),
        ((0, 1001), 1010, Page(0, 1000, True)),
        ((1008, 5000), 1010, Page(1008, 1010, False)),
        ((-5, 2), 10, Page(0, 2, False)),
        ((7, 3), 10, Page(7, 3, False)),
        ((20, None), 10, Page(20, 10, False)),
    ],
)
def test_pages(asked, current, page):
    assert page_of(*asked, current) == page


def test_a_page_that_ends_before_it_begins_is_empty():
    assert len(page_of(20, None, 10)) == 0
    assert list(page_of(20, None, 10).slots()) == []


@given(st.integers(-10, 4000), st.none() | st.integers(-10, 9000), st.integers(-1, 3000))
def test_following_the_pages_reads_every_slot_of_the_range_once(first, last, current):
    seen: list[int] = []
    page = page_of(first, last, current)
    seen += page.slots()
    while page.continues:
        page = page_of(page.last + 1, last, current)
        assert 0 < len(page) <= STEP + 1
        seen += page.slots()
    end = current if last is None else min(last, current)
    assert seen == list(range(max(first, 0), end + 1))
