"""Errors as answers."""

from __future__ import annotations

from hyperbeam_trio.errors import BadRequest, KeyNotFound
from hyperbeam_trio.http.outgoing import error_message
from hyperbeam_trio.message import Atom, Message


def test_an_error_is_a_message_with_its_details():
    error = BadRequest("No.", details={"reason": "none", "count": 3})
    expected = Message(reason="none", count=3, status=400, body="No.")
    assert error_message(error, 100) == expected


def test_details_are_cut_where_they_are_too_long():
    error = BadRequest("No.", details={"a": "x" * 60, "b": b"y" * 60, "n": 10**30, "c": "z"})
    answer = error_message(error, 100)
    assert (answer["a"], answer["b"], answer["c"]) == (b"x" * 60, b"y" * 40, b"")
    assert answer["n"] == 10**30


def test_an_absent_key_is_an_atom():
    assert error_message(KeyNotFound("not_found"), 0)["body"] == Atom("not_found")
