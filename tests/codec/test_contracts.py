"""Every codec, run through the contract."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.flat import FLAT
from hyperbeam_trio.codec.httpsig import HTTPSIG, decode, encode
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.codec.structured import STRUCTURED
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.errors import BadRequest, NotAcceptable, TooLarge
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.testing.codec import CodecContract
from hyperbeam_trio.testing.messages import BINARIES, KEYS, TEXTS, messages


class TestHttpsig(CodecContract):
    codec = HTTPSIG


class TestJson(CodecContract):
    codec = JSON
    binaries = TEXTS


class TestFlat(CodecContract):
    """It carries single lines, and nothing without a binary inside."""

    codec = FLAT
    binaries = BINARIES.filter(lambda value: b"\n" not in value and b": " not in value)

    def messages(self) -> st.SearchStrategy[Message]:
        return messages(self.binaries, KEYS, nested=False)


def test_structured_has_no_bytes():
    with pytest.raises(NotAcceptable, match=r"json@1\.0"):
        STRUCTURED.to_bytes(Message(), bundle=True)
    with pytest.raises(BadRequest, match=r"json@1\.0"):
        STRUCTURED.from_bytes(b"")


# Commitments under change.


def in_any_order(message):
    """Commitments without the order of their keys: in a body it is that of the parts."""
    return [replace(c, committed=tuple(sorted(c.committed))) for c in message.commitments.values()]


@settings(max_examples=80, deadline=None)
@given(message=messages(), bundle=st.booleans())
@example(message=Message.of({"content-type": b" padded "}), bundle=True)
def test_a_commitment_travels_with_its_message(message, bundle):
    committed = commit_unsigned(message, bundle=bundle)
    sent = encode(committed, bundle=True)
    received = decode(sent.headers, sent.body)
    assert received == message
    assert in_any_order(received) == in_any_order(committed)
    if not bundle:
        assert failing_commitments(received) == []
    bare = [replace(c, evidence=None) for c in received.commitments.values()]
    again = received.with_commitments(bare)
    assert (failing_commitments(again) == []) or bundle


def changed(value: Value, place: int) -> Value:
    """The value with one byte, or one unit, changed."""
    if isinstance(value, bytes) and value:
        place %= len(value)
        return value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
    if isinstance(value, Message | list):
        return Message.of({"changed": value})
    if isinstance(value, int) and not isinstance(value, bool):
        return value + 1
    return b"changed"


@settings(max_examples=100, deadline=None)
@given(message=messages().filter(bool), bundle=st.booleans(), data=st.data())
def test_a_change_of_any_committed_value_is_noticed(message, bundle, data):
    committed = commit_unsigned(message, bundle=bundle)
    key = data.draw(st.sampled_from(sorted(message)))
    other = changed(message[key], data.draw(st.integers(0, 5000)))
    tampered = Message.of({**message, key: other}).with_commitments(committed.commitments.values())
    (commitment,) = committed.commitments.values()
    if key in commitment.committed:
        assert failing_commitments(tampered) == [commitment]
    assert fresh_id(tampered) != fresh_id(message)


@settings(max_examples=100, deadline=None)
@given(message=messages(), data=st.data())
def test_signed_headers_that_are_damaged_never_speak_for_other_values(message, data):
    committed = commit_unsigned(message)
    sent = encode(committed, bundle=False)
    headers = [(name, bytearray(value)) for name, value in sent.headers]
    body = bytearray(sent.body or b"")
    victim = data.draw(st.sampled_from([value for _, value in headers] + [body]))
    place = data.draw(st.integers(0, len(victim)))
    victim[place : place + 1] = data.draw(st.binary(max_size=2))
    try:
        received = decode(
            [(name, bytes(value)) for name, value in headers],
            None if sent.body is None else bytes(body),
        )
    except (BadRequest, TooLarge):
        return
    original = decode(sent.headers, sent.body)
    for id in received.commitments.keys() & committed.commitments.keys():
        if received.commitments[id] not in failing_commitments(received):
            for key in received.commitments[id].committed:
                assert received.get(key) == original.get(key)
