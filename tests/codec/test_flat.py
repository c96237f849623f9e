"""flat@1.0: paths to binaries."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.flat import FLAT, flatten, read_text, unflatten, write_text
from hyperbeam_trio.codec.structured import to_tabm
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from tests import vectors


@vectors.each("flat.json", lambda case: "flat_back_to_tabm" in case)
def test_a_message_flattens_and_comes_back(case):
    tabm = vectors.tabm(case["tabm"])
    if not any(key != key.lower() and len(key) != 43 for key in case["message"]):
        assert to_tabm(vectors.value(case["message"]), bundle=True) == tabm
    assert flatten(tabm) == vectors.tabm(case["flat"])
    assert unflatten(flatten(tabm)) == vectors.tabm(case["flat_back_to_tabm"])


@vectors.each("flat.json", lambda case: case["name"].startswith("from: "))
def test_paths_with_empty_parts(case):
    assert unflatten(vectors.tabm(case["flat"])) == vectors.tabm(case["tabm"])


@vectors.each("flat.json", lambda case: case["name"] == "deserialize")
def test_lines_with_one_separator_are_entries(case):
    assert FLAT.from_bytes(case["text"].encode()) == vectors.message(case["message"])


@vectors.each("flat.json", lambda case: case["name"] == "serialize: simple")
def test_entries_are_lines_sorted_by_path(case):
    text = FLAT.to_bytes(vectors.message(case["message"]), bundle=False)
    assert text == case["serialized"].encode()


def test_nested_messages_are_links_unless_bundled():
    message = Message(a={"b": "1"})
    assert FLAT.to_bytes(message, bundle=True) == b"a/b: 1\n"
    # The id of spec/02 §14, not that of the older form in the vectors.
    assert FLAT.to_bytes(message, bundle=False).startswith(b"a+link: ")


def test_maps_win_over_values_on_their_way():
    assert unflatten({"a": b"1", "a/b": b"2"}) == {"a": {"b": b"2"}}


@pytest.mark.parametrize("value", [b"a\nb", b"a: b"])
def test_what_a_line_cannot_hold_is_refused(value):
    with pytest.raises(BadRequest, match="'k'"):
        write_text({"k": value})


def test_paths_are_bounded():
    with pytest.raises(BadRequest, match="257 keys"):
        unflatten({"a/" * 257: b""})
    with pytest.raises(BadRequest, match="0 keys"):
        unflatten({"///": b""})
    with pytest.raises(BadRequest, match="UTF-8"):
        read_text(b"\xff: x")
