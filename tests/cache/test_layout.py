"""Any text, of any length, has a store key of its own, and can be listed by its beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache.layout import common_prefix, escape, unescape
from hyperbeam_trio.store import check_key

ODD_TEXT = st.text(st.characters() | st.sampled_from("/.%~"), max_size=40)
LONG_TEXT = st.builds(lambda text, times: text * times, ODD_TEXT, st.integers(1, 40))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("computed/abc/slot/1", "computed/abc/slot/1"),
        ("local-name@1.0/alice", "local-name@1.0/alice"),
        ("two words", "two%20words"),
        ("", "%"),
        ("a//b/", "a/%/b/%"),
        ("../etc", "%2E%2E/etc"),
        ("100%", "100%25"),
    ],
)
def test_escaped_texts_stay_readable(text: str, escaped: str) -> None:
    assert escape(text) == escaped
    assert unescape(escaped) == text


@given(ODD_TEXT | LONG_TEXT)
def test_every_text_fits_the_store(text: str) -> None:
    check_key("result/" + escape(text))
    assert unescape(escape(text)) in (text, None)


@given(ODD_TEXT | LONG_TEXT, ODD_TEXT)
def test_no_two_texts_share_a_key(text: str, other: str) -> None:
    assert (escape(text) == escape(other)) == (text == other)
    assert escape(text + other) != escape(text) or not other


@given(ODD_TEXT | LONG_TEXT, ODD_TEXT | LONG_TEXT)
def test_texts_with_one_beginning_have_keys_with_one_beginning(start: str, rest: str) -> None:
    assert escape(start + rest).startswith(common_prefix(start))


def test_long_texts_end_in_a_hash() -> None:
    escaped = escape("long/" * 1000)
    assert escaped.startswith("long/long/")
    assert len(escaped) < 300
    assert unescape(escaped) is None
