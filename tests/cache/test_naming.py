"""Keys in a record: sorted for messages, in their order for lists, and read back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache.naming import SHORT, block_of, named, names_in

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(st.lists(ANY_TEXT, unique=True))
def test_keys_of_a_message_are_sorted_and_come_back(keys):
    ordered, raws, block = named(keys, is_list=0)
    assert ordered == tuple(sorted(keys))
    assert block == block_of(raws)
    assert tuple(names_in(block)) == ordered


def test_keys_of_a_list_stay_in_their_order():
    keys = [str(number) for number in range(1, 12)]
    assert named(keys, is_list=1)[0] == tuple(keys)


@pytest.mark.parametrize("length", [SHORT // 2, SHORT])
def test_long_keys_are_not_kept_and_come_out_the_same(length):
    keys = ("b" * length, "a" * length)
    ordered, _, block = named(keys, is_list=0)
    assert ordered == tuple(sorted(keys))
    assert tuple(names_in(block)) == ordered
