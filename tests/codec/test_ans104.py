"""ans104@1.0: items as messages and messages as items."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from hyperbeam_trio.codec.ans104 import ANS104, commit_ans104, read_item, verify_ans104, write_item
from hyperbeam_trio.codec.httpsig import decode, encode
from hyperbeam_trio.codec.ids import link_id, signed_id, unsigned_id
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.codec import CodecContract
from hyperbeam_trio.testing.messages import BINARIES, KEYS, messages
from tests import vectors

ITEMS = "n-ans104.json"


def named(name):
    return lambda case: case["name"].startswith(name)


def raw(text):
    return vectors.unbase64(text)


def linked(notation):
    """A notation whose links are values again."""
    return vectors.notation(vectors.message(notation), commitments=True)


@vectors.each(ITEMS, named("item: "))
def test_items_are_read_as_the_peer_reads_them(case):
    data = raw(case["signed_serialized_b64u"])
    message = ANS104.from_bytes(data)
    assert ANS104.to_bytes(message, bundle=False) == data
    assert ANS104.to_bytes(without_evidence(message), bundle=False) == data
    unsigned = ANS104.from_bytes(raw(case["unsigned_serialized_b64u"]))
    assert unsigned == message
    assert unsigned.signers == []
    assert vectors.notation(message, commitments=True) == linked(case["as_message"])
    assert signed_id(message) == case["message_signed_id"]
    if len(message) <= 32:  # behind that the peer's order is its own (spec/02 §9.4)
        assert unsigned_id(message) == case["message_unsigned_id"]
    assert failing_commitments(message) == []


@vectors.each(ITEMS, named("bundle: "))
def test_bundles_are_read_as_the_peer_reads_them(case):
    data = raw(case["signed_serialized_b64u"])
    message = ANS104.from_bytes(data)
    assert vectors.notation(message, commitments=True) == linked(case["as_message"])
    assert ANS104.to_bytes(message, bundle=True) == data
    for value in [message, *message.values()]:
        if isinstance(value, Message):
            assert failing_commitments(value) == []
    # The list has its bundle tags behind others, which only the raw item remembers.
    again = ANS104.to_bytes(without_evidence(message), bundle=True)
    assert (again == data) == (case["name"] == "bundle: map")


def without_evidence(message):
    """The message as it may come by another way, also inside."""
    items = {
        key: without_evidence(value) if isinstance(value, Message) else value
        for key, value in message.items()
    }
    bare = [replace(c, evidence=None) for c in message.commitments.values()]
    return Message.of(items).with_commitments(bare)


@vectors.each(ITEMS, lambda case: named("message: ")(case) and "note" not in case)
def test_messages_become_the_peers_items_to_the_byte(case):
    message = vectors.message(case["message"])
    assert write_item(message).to_bytes() == raw(case["unsigned_serialized_b64u"])
    signed = vectors.message(case["signed_message"])
    assert write_item(signed).to_bytes() == raw(case["signed_serialized_b64u"])
    assert failing_commitments(signed) == []


@vectors.each(ITEMS, named("message: "))
def test_signed_messages_are_read_back(case):
    message = ANS104.from_bytes(raw(case["signed_serialized_b64u"]))
    assert vectors.notation(message, commitments=True) == linked(case["signed_message"])
    assert signed_id(message) == case["signed_id"]
    assert (failing_commitments(message) == []) == case["verifies"]


# June 2025: other keys for fields, and the same items.


@vectors.each("ans104.json", lambda case: isinstance(case.get("signed_serialized_b64u"), str))
def test_items_of_june_2025_are_read_and_verified(case):
    data = raw(case["signed_serialized_b64u"])
    message = ANS104.from_bytes(data)
    assert ANS104.to_bytes(message, bundle=True) == data
    assert (failing_commitments(message) == []) == (case["verifies"] is True)


# Clients.


@vectors.each("aoconnect-mainnet.json", lambda c: any("data_item" in r for r in c["requests"]))
def test_requests_of_aoconnect_are_read_and_verified(case):
    for request in case["requests"]:
        if "data_item" not in request:
            continue
        item = request["data_item"]
        message = ANS104.from_bytes(raw(request["body"]))
        assert failing_commitments(message) == []
        assert message.signers == ["vcaPe4JWnrSOCktDHBgXge-zWUb6JRkqbom5w9t7i-4"]
        assert signed_id(message) == item["id"]
        for tag in item["tags"]:
            assert message.text(tag["name"].lower()) == tag["value"]
        forwarded = encode(message, bundle=True)
        received = decode(forwarded.headers, forwarded.body)
        assert failing_commitments(received) == []
        assert ANS104.to_bytes(received, bundle=True) == raw(request["body"])


@vectors.each("arbundles-items.json", lambda case: case["signature_type"] != 6, member="items")
def test_items_of_all_signature_types_verify(case):
    message = ANS104.from_bytes(raw(case["item_base64url"]))
    assert failing_commitments(message) == []
    assert signed_id(message) == case["id"]
    assert ANS104.to_bytes(message, bundle=True) == raw(case["item_base64url"])


# Committing.


@pytest.mark.parametrize("kind", ["key_1", "ed25519"])
@vectors.each(ITEMS, lambda c: named("message: ")(c) and len(c["message"]) > 1)
async def test_a_committed_message_verifies_here_and_elsewhere(kind, case, request, limiter):
    message = vectors.message(case["message"])
    wallet = request.getfixturevalue(kind)
    signed = await commit_ans104(message, wallet, limiter=limiter)
    assert signed.signers == [wallet.address]
    assert failing_commitments(signed) == []
    assert failing_commitments(without_evidence(signed)) == []
    received = ANS104.from_bytes(ANS104.to_bytes(signed, bundle=False))
    assert failing_commitments(received) == []
    assert received.commitments == signed.commitments


async def test_a_bundle_signs_what_is_inside(ed25519, limiter):
    message = Message(a="1", sub={"k": "v", "n": 1}, list=[1, "two"], body="b", long="x" * 5000)
    signed = await commit_ans104(message, ed25519, limiter=limiter, bundle=True)
    received = ANS104.from_bytes(ANS104.to_bytes(signed, bundle=True))
    assert received == message
    assert failing_commitments(received) == failing_commitments(without_evidence(signed)) == []
    changed = received.set(sub={"k": "V", "n": 1}).with_commitments(received.commitments.values())
    assert len(failing_commitments(changed)) == 1


async def test_a_second_commitment_replaces_the_first(ed25519, limiter):
    once = await commit_ans104(Message(a="1"), ed25519, limiter=limiter)
    twice = await commit_ans104(once.set(b="2"), ed25519, limiter=limiter)
    assert len(twice.commitments) == 1
    with pytest.raises(BadRequest, match="not there: b"):
        await commit_ans104(once, ed25519, limiter=limiter, committed=["a", "b"])


def test_two_commitments_are_not_one_item():
    case = vectors.cases(ITEMS, named("message: "))[0]
    signed = vectors.message(case["signed_message"])
    (one,) = signed.commitments.values()
    with pytest.raises(BadRequest, match="2 commitments"):
        write_item(signed.with_commitments([one, replace(one, id="x" * 43)]))


def test_example_9d_a_bundle_map():
    item = write_item(Message(a="1", sub={"k": "v"}), bundle=True)
    assert (b"bundle-map", b"W__x_EiSztaLo9mz4CDFKY4xH_iYo_Gik8aWrlbp8Hs") in item.tags
    assert item.data.nbytes == 2348


# Tampering.


@vectors.each(ITEMS, lambda case: named("message: ")(case) and "note" not in case)
def test_a_change_of_a_committed_value_is_noticed(case):
    signed = vectors.message(case["signed_message"])
    (commitment,) = signed.commitments.values()
    for key in set(signed) & set(commitment.committed):
        value = signed[key]
        other = value + b"x" if isinstance(value, bytes) else b"other"
        changed = signed.set({key: other}).with_commitments([commitment])
        assert not verify_ans104(changed, commitment)
        assert not verify_ans104(signed.without(key), commitment)


def test_tags_as_they_were_do_not_stand_for_other_values():
    case = vectors.cases(ITEMS, lambda c: c["name"] == "item: tags-order-case")[0]
    message = vectors.message(case["as_message"])
    (commitment,) = message.commitments.values()
    assert verify_ans104(message, commitment)
    assert not verify_ans104(message.set(action="Other"), commitment)


@vectors.each("n-ids.json", lambda case: "ans104" in case["name"])
def test_httpsig_and_ans104_commitments_beside_each_other(case):
    message = vectors.message(case["message"])
    assert failing_commitments(message) == []


@vectors.each(ITEMS, lambda c: c["name"] == "item: target-anchor")
def test_an_item_does_not_speak_for_another_signer(case):
    message = vectors.message(case["as_message"])
    (commitment,) = message.commitments.values()
    assert verify_ans104(message, commitment)
    for claim in ({"committer": "x" * 43}, {"committer": None}, {"id": "x" * 43}, {"keyid": None}):
        assert not verify_ans104(message, replace(commitment, **claim))


# What is lost and what is not.


def test_names_that_come_twice_are_one_list_of_texts():
    item = DataItem.create(b"", [(b"a", b"1"), (b"A", b'2"'), (b"b", b"x")])
    assert read_item(item) == Message(a='"1", "2\\""', b="x")


@pytest.mark.parametrize(
    "tags",
    [
        [(b"\xff", b"x")],
        [(b"ao-types", b"=")],
        [(b"ao-types", b'a="integer"'), (b"a", b"x")],
        [(b"ao-types", b'.="list"'), (b"a", b"x")],
        [(b"a+link", b"x")],
        [(b"bundle-format", b"binary"), (b"bundle-version", b"2.0.0")],
    ],
)
def test_items_that_are_no_messages_are_refused(tags):
    with pytest.raises(BadRequest):
        ANS104.from_bytes(DataItem.create(b"data", tags).to_bytes())


class TestAns104(CodecContract):
    codec = ANS104
    keys = KEYS.filter(lambda key: len(key) < 12)


@settings(max_examples=60, deadline=None)
@given(message=messages(BINARIES, KEYS))
def test_an_item_links_what_it_does_not_hold(message):
    read = read_item(write_item(message))
    assert read == Message.of(
        {k: Link(link_id(v)) if isinstance(v, Message | list) else v for k, v in message.items()}
    )
