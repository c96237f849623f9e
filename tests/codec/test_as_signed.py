"""Messages that are sent as they were signed: the same headers as if they were laid out anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from hyperbeam_trio.codec.as_signed import signed_headers
from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.messages import messages


def laid_out(message: Message):
    """The encoding of the same message, when nobody remembers what was signed."""
    forgotten = [replace(c, evidence=None) for c in message.commitments.values()]
    return encode(message.with_commitments(forgotten), bundle=False)


@given(messages())
def test_a_signed_message_has_the_headers_that_it_would_be_given(message):
    committed = commit_unsigned(message)
    assert encode(committed, bundle=False) == laid_out(committed)


def test_a_plain_message_is_not_laid_out_again():
    message = Message({"slot": 5, "path": "compute", "body": Link("A" * 43), "process": "p"})
    committed = commit_unsigned(message)
    ready = signed_headers(committed)
    assert ready is not None
    headers, body = ready
    assert body is None
    assert dict(encode(committed, bundle=False).headers).items() >= headers.items()
    assert headers == {
        "ao-types": b'slot="integer"',
        "body+link": b"A" * 43,
        "path": b"compute",
        "process": b"p",
        "slot": b"5",
    }


@pytest.mark.parametrize(
    "message",
    [
        Message(body="a body", a=1),
        Message(data="another"),
        Message({"body": "typed", "content-type": "text/plain"}),
        Message(body=False),
    ],
)
def test_a_body_is_sent_as_it_was_signed(message):
    committed = commit_unsigned(message)
    ready = signed_headers(committed)
    assert ready is not None
    assert ready[1] == encode(message, bundle=False).body
    assert encode(committed, bundle=False) == laid_out(committed)


def test_an_empty_body_is_signed_by_a_digest_that_is_not_sent():
    committed = commit_unsigned(Message(a="1", body=""))
    ready = signed_headers(committed)
    assert ready == ({"a": b"1"}, b"")
    assert encode(committed, bundle=False) == laid_out(committed)


@pytest.mark.parametrize(
    "message",
    [
        Message(body="one part", long=b"x" * 5000),
        Message(long=b"x" * 5000),
    ],
)
def test_a_body_of_several_parts_is_laid_out(message):
    committed = commit_unsigned(message)
    assert signed_headers(committed) is None
    assert encode(committed, bundle=False) == laid_out(committed)


@pytest.mark.parametrize(
    "message",
    [
        Message(a="control \x01"),
        Message(a=" space before"),
        Message(a="space behind "),
        Message(a="", b="1"),
        Message({"A": "upper case"}),
        Message({"X" * 43: "as long as an id"}),
        Message(a="line\nfeed"),
    ],
)
def test_what_is_no_plain_header_is_laid_out(message):
    committed = commit_unsigned(message)
    assert signed_headers(committed) is None
    assert encode(committed, bundle=False) == laid_out(committed)


def test_a_message_with_more_than_was_signed_is_laid_out():
    committed = commit_unsigned(Message(a="1", b="2"), committed=["a"])
    assert signed_headers(committed) is None
    changed = commit_unsigned(Message(a="1")).set(b="2")
    assert signed_headers(changed) is None
    assert signed_headers(Message(a="1")) is None
