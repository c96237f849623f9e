"""json@1.0: natively typed, links or everything inside."""

from __future__ import annotations

import json

import pytest

from hyperbeam_trio.codec.json import JSON, read_json, write_json
from hyperbeam_trio.codec.structured import to_tabm
from hyperbeam_trio.commitments import failing_commitments, verify_message
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from tests import vectors


def loaded(notation):
    """The vectors name a list by its id where the peer had it in its store."""
    return {**notation, "l": [1, 2]} if isinstance(notation.get("l"), dict) else notation


@vectors.each("n-json_codec.json", lambda case: "json_bundled" in case)
def test_november_form_is_written(case):
    message = vectors.message(loaded(case["message"]))
    for bundle, name in ((False, "json_linked"), (True, "json_bundled")):
        if vectors.is_error(case[name]) and "note" not in case:
            with pytest.raises(BadRequest, match="UTF-8"):
                write_json(message, bundle=bundle)
        elif not vectors.is_error(case[name]):
            assert json.loads(write_json(message, bundle=bundle)) == json.loads(case[name])


@vectors.each("n-json_codec.json", lambda c: isinstance(c.get("json_bundled"), str))
def test_november_form_is_read_back(case):
    back = read_json(case["json_bundled"].encode())
    if vectors.is_error(case["back_from_bundled"]):
        assert vectors.notation(back) == vectors.normal(case["message"])
    else:
        assert vectors.notation(back) == vectors.normal(loaded(case["back_from_bundled"]))
    if "back_verifies" in case:
        assert verify_message(back, committers="all") == case["back_verifies"]
        assert failing_commitments(back) == []


# A lone literal has no TABM; and what the peer encodes but can't read, we read.
@vectors.each("n-json_codec.json", lambda case: "tabm" in case)
def test_json_that_others_write(case):
    text = case["json"].encode()
    if vectors.is_error(case["tabm"]):
        with pytest.raises(BadRequest, match="JSON"):
            read_json(text)
        return
    value = read_json(text)
    if isinstance(value, bytes):
        assert value == vectors.tabm(case["tabm"])
    else:
        assert to_tabm(value) == vectors.tabm(case["tabm"])


@vectors.each("json_codec.json", lambda case: "tabm" not in case and isinstance(case["json"], str))
def test_june_form_is_read(case):
    back = read_json(case["json"].encode())
    # It writes keys in lower case, but for those that are as long as an id.
    given = {key if len(key) == 43 else key.lower(): v for key, v in case["message"].items()}
    assert vectors.notation(back) == vectors.normal(given)


def test_of_equal_members_the_first_counts():
    assert read_json(b'{"a":1,"a":2,"b":{"c":"x","c":"y"}}') == Message(a=1, b={"c": "x"})
    assert read_json(b'{"a":"\\\\","a":2}') == Message(a="\\")


def test_integers_of_any_length():
    text = b'{"n":%d}' % 10**40
    assert read_json(text) == Message(n=10**40)
    assert write_json(Message(n=10**40), bundle=True) == text


def test_a_list_is_a_numbered_message():
    assert JSON.from_bytes(b'["a", 2]') == Message({"1": "a", "2": 2})


def test_links_inside_of_lists_keep_their_place():
    value = read_json(b'{"l":["a",[1]]}')
    linked = write_json(value["l"], bundle=False)
    assert read_json(linked)[0] == b"a"
    assert json.loads(linked)["ao-types"] == '.="list"'


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{bad",
        b"5",
        b"null",
        b"true",
        b'"text"',
        b"[" * 2000,
        b"[" * 400 + b"]" * 400,
        b'{"a":' * 400 + b"1" + b"}" * 400,
        b'{"n":1e999}',
        b'{"n":' + b"9" * 5000 + b"}",
        b'{"n":NaN}',
        b'{"n":Infinity, "l":1111111111111111111111111}',
        b'{"s":"\\ud800"}',
        b'{"a+link":"short"}',
        b'{"ao-types":"a=\\"integer\\"","a":"x"}',
        b'{"ao-types":".=\\"list\\"","a":"x"}',
        b'{"commitments":[]}',
        b'{"commitments":{"x":5}}',
        b'{"commitments":{"x":{"signature":"!"}}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_refused(text):
    with pytest.raises(BadRequest):
        JSON.from_bytes(text)
