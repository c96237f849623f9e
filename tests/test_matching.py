"""Comparing messages."""

from __future__ import annotations

import pytest

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.matching import ANY, Mismatch, diff, match, mismatch
from hyperbeam_trio.message import Message


@pytest.mark.parametrize(
    ("left", "right", "modes"),
    [
        ({}, {}, "strict primary only_present"),
        ({"a": 1}, {"a": 1}, "strict primary only_present"),
        ({"a": 1}, {"a": 1.0}, ""),
        ({"a": 1}, {"a": "1"}, ""),
        ({"a": 1}, {"a": 1, "b": 2}, "primary only_present"),
        ({"a": 1, "b": 2}, {"a": 1}, "only_present"),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, "primary only_present"),
        ({"a": [1, 2]}, {"a": {"1": 1, "2": 2}}, "strict primary only_present"),
        ({"a": ANY}, {"a": {"b": 1}}, "strict primary only_present"),
        ({"a": 1}, {"a": ANY}, "strict primary only_present"),
        ({"a": ANY}, {}, "only_present"),
        ({"a": 1, "priv": 1}, {"a": 1, "content-digest": "x"}, "strict primary only_present"),
        (
            {"a": 1, "content-type": "x"},
            {"a": 1, "ao-body-key": "y"},
            "strict primary only_present",
        ),
        ({"a": {"content-type": "x"}}, {"a": {}}, "only_present"),
        ({"a": 1, "target": ""}, {"a": 1, "quantity": 0}, "strict primary only_present"),
        ({"a": 1, "target": "x"}, {"a": 1}, "only_present"),
    ],
)
def test_matching_by_mode(left, right, modes):
    for mode in ("strict", "primary", "only_present"):
        assert match(Message(left), Message(right), mode) == (mode in modes.split())


def test_a_mismatch_says_where():
    found = mismatch(Message(a={"b": 1}), Message(a={"b": 2}))
    assert found == Mismatch("value", ("a", "b"), 1, 2)
    assert mismatch(Message(a=1), Message()) == Mismatch("keys", ("a",), 1, None)


def test_other_modes_are_refused():
    with pytest.raises(BadRequest, match="only_present, primary, strict"):
        match(Message(), Message(), "loose")


def test_diff_is_what_has_to_change():
    left = Message(same="x", n=5, f=1.5, m={"a": 1, "b": 2}, gone="z", t="1")
    right = Message(same="x", n=7, f=2.0, m={"a": 1, "b": 5}, new="y", t=2)
    assert diff(left, right) == Message(n=2, f=0.5, m={"b": 3}, new="y", t=2)
