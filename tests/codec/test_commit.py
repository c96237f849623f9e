"""Committing by httpsig@1.0, and what holds afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned, verify
from hyperbeam_trio.codec.components import bases
from hyperbeam_trio.codec.httpsig import decode, encode
from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.encoding import commitment_id, from_base64
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from tests import vectors
from tests.codec.test_ids import EXAMPLES

SIGNED = "n-httpsig_signed.json"
EXAMPLE = Message({"a": "1", "b": 2, "body": "hello", "path": "/x/y", "zed": "q"})
BASE = b"""\
"a": 1
"ao-types": b="integer"
"b": 2
"content-digest": sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:
"path": /x/y
"zed": q
"@signature-params": ("a" "ao-types" "b" "content-digest" "@path" "zed")\
;alg="hmac-sha256";keyid="constant:ao\""""


def only(message: Message) -> Commitment:
    (commitment,) = message.commitments.values()
    return commitment


# The peer's own signatures and bases.


def sound(case):
    return "commitments" in case and "note" not in case


@vectors.each(SIGNED, sound)
def test_bases_are_the_peers_to_the_byte(case):
    child = case["extra"].get("child")
    message = vectors.message({**case["message"], **({"body": child} if child else {})})
    for id, entry in case["commitments"].items():
        fields = vectors.message(entry["commitment"])
        commitment = Commitment.from_message(id, fields)
        base = next(bases(message, commitment))
        assert base == vectors.tabm(entry["signature_base"])
        assert verify(message, commitment)


@vectors.each(SIGNED, sound)
def test_an_unsigned_commitment_is_the_peers(case):
    extra = case["extra"]
    if "child" in extra or extra["mode"].startswith("committed="):
        return
    bundle = "bundle=true" in extra["mode"]
    ours = only(commit_unsigned(vectors.message(case["message"]), bundle=bundle))
    expected = vectors.message(case["commitments"][case["unsigned_id"]]["commitment"])
    assert ours == Commitment.from_message(case["unsigned_id"], expected)


# The worked examples of spec/02 §14.


@pytest.mark.parametrize(("plain", "id"), [e for e in EXAMPLES if isinstance(e[0], dict)])
def test_the_unsigned_commitment_has_the_unsigned_id(plain, id):
    committed = commit_unsigned(Message(plain))
    assert only(committed).id == unsigned_id(committed) == unsigned_id(Message(plain)) == id
    assert failing_commitments(committed) == []


def test_example_1_an_empty_message():
    base = b'\n"@signature-params": ();alg="hmac-sha256";keyid="constant:ao"'
    assert only(commit_unsigned(Message())).evidence.base == base


def test_example_2_scalars_path_and_body():
    committed = commit_unsigned(EXAMPLE)
    assert only(committed).evidence.base == BASE
    encoded = encode(committed, bundle=False)
    headers = dict(encoded.headers)
    assert encoded.body == b"hello"
    assert headers["signature-input"] == (
        b"comm-lzrykkacrtbbdznr6eol5pk-tjdjguisrafjpxhoukk="
        b'("a" "ao-types" "b" "content-digest" "path" "zed");alg="hmac-sha256";keyid="constant:ao"'
    )
    assert headers["content-digest"] == b"sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"


def test_example_2_in_the_forms_of_june_and_may_2025():
    for id in (
        "jALOI0p1t9Aqv-d5ffyrx6dgo4hW_Ts9PYF_lZvbgbk",
        "5PF2urPT_8BM9vhJc3zucxpzCo3BsjZ6d-fE0KUAsS8",
    ):
        ours = only(commit_unsigned(EXAMPLE))
        older = replace(ours, id=id, signature=from_base64(id), keyid="ao", evidence=None)
        assert verify(EXAMPLE, older)


SIGNATURE = (
    "THMIIuIK3XJHn1OvQAKzOSFfV+Tl9OsMFl2J91G++YnczyPp/EaQWJUYSWqyajnl3IROwa4qBQr6YedlLwViRH2QJ0XR"
    "6uKz+ey9+ynyUh8ZfBrPZZkwkhXkmtA0kpAAKcfQfhMRIvNEN2TEneEuN04EkdkWxV3aRcdjNwKBZKOVcmnVcm8zfcZr"
    "8D2tBw5blNc+NOWpVF3PqPCaZx+2UfMY5sicMatkdvOwUym8vXDzfpkbez51pqJFOshcM4mu15PAkcHkAd9Wi4Id6uEU"
    "TF2EcxzEJI8EgYKf8NU/qfIJQkJE6fhw3Mw6F8ysb8kS9EIpSTFKWDaKHGz3t4fFVO7ppnvsSKWHMUZF+UkF7jJdkOiY"
    "w5IGq2NfBki6zJ8cAA5BSW9I1c4F/j78BCkMgClgSVRUP0WvgokkIxN8phC0NSPfGxPCfQHC8SKoUt2FmEUxn7FGcVVf"
    "hLe0HFq1n2HPW50B4PmR10spCwhW2KTCU1t3LPe7oZcG5iLDvJhUC2cABY/3FxR+HFFm2hgzvLmlFeDJVg7nST7IVjrw"
    "edPZtjlEWEu7bTYkJya/xtILjlP8wKwX5j0jOMO+D91OT6vsrhdVQREevs7MTsEwE4akuRDAt6NEQROg9zTIOaTGJ+mb"
    "jNK+H7tuO1k0J/MuCEWjo8xm3tvyAMaMsE5Q8bA="
)
MODULUS = (
    "q/jZpJ8i4nb4Z7sXuBjENj2WmyhsJVwjvYNqmhIbOXUY1DLpyexsJxAAPSYd0ZFmYd/OTpjeLpjaHdoWLcJPCa3J9f7j"
    "rxXm0oKgd/DVbVihzeYyxKCoR/3t2UiQmxtX95g2tPDPE/ZPGz+aPpDSBFSy5FeNqgsm2MyWPVclhQlucqOZQdsw+ZL7"
    "F83+jfYhHMpKEQtDEArNOCnRvxVvivaIGqvfdDl18pxc6gVgMnjkQTCq989iuJegor+5PnKG+q4livmbkfZXIXsvnCWQ"
    "gWw87Ujwa9VHitzfhFW9kTNK+2tPYoESiWco5NbAx5i4MdJh5r0Xpt1zuRev5a643+ckFsP1crDpy2MGGThsN+rpETyu"
    "rLhbAh4y4Pn8EO+3qhQNVyzNM8CFH27eC+UOQ5kLHVYAHoVN3EyoSwAnvALFHi3Z/nhomAgWB+pa12MeOu0PymVDNeLG"
    "bY5dXEvj/9oHqTJXK3g1HpKZ1VPfrPY5MBPz4L35B+nKUeLImqymJ3q8yDoDB4wQAyZAM2Jzuww9dSZyF9Cm6KQHvh/g"
    "wDWAJW1et0c60TF+KcXbMfwElRgmSyMx2qcO+OS4dfAq6J6dzQUWI9IwL5WYnxBXA+o4ijpfqBnyaChE/Ku8Dg5mF+Kt"
    "kT/c+wFTq8ZeDdBcvE1pp/Oq0X8ZzAwjgRODnj0="
)


def test_example_3_an_rsa_signature():
    signature = from_base64(SIGNATURE)
    commitment = replace(
        only(commit_unsigned(EXAMPLE)),
        id=commitment_id(signature),
        type="rsa-pss-sha512",
        signature=signature,
        keyid="publickey:" + MODULUS,
        committer="hzKu9y0bS7AsgNI7ZrYVePTsy1AzkgC-xKRKw0H8NTg",
        evidence=None,
    )
    assert commitment.id == "u2X15_8ssMAjTZc4oZOOb6EcENn5c-WSKN2r-ZEp_8o"
    assert commitment.committed == ("a", "ao-types", "b", "body", "path", "zed")
    assert verify(EXAMPLE, commitment)
    assert not verify(EXAMPLE.set(zed="Q"), commitment)
    sent = encode(EXAMPLE.with_commitments([commitment]), bundle=False)
    assert b"comm-u2x15-8ssmajtzc4ozoob6ecenn5c-wskn2r-zep-8o=" in dict(sent.headers)["signature"]
    received = decode(sent.headers, sent.body)
    assert received.commitments == {commitment.id: commitment}


def test_example_5_a_bundle_in_parts():
    message = Message(
        {"top": "t", "em": {}, "list": [1, "two", 3.0, [4]], "sub": {"k": "v", "n": 1}}
    )
    encoded = encode(message, bundle=True)
    assert b'ao-types: empty-message\r\ncontent-disposition: form-data;name="em"' in encoded.body
    assert decode(encoded.headers, encoded.body) == message
    committed = commit_unsigned(Message(zed="1", sub={"k": "v"}), bundle=True)
    assert only(committed).id == "jXI6kn186j0F83xnl9POJqMk9Y7eBky545ufHyVVEew"


def test_example_8_a_secret():
    committed = commit_unsigned(Message(a="q"), secret=b"hunter2")
    made = only(committed)
    assert made.keyid == "secret:9S-9MrKzuG_4jvbEkGKChfSCrxXdyylUH5S89Saj9sc"
    assert made.committer == "9S-9MrKzuG_4jvbEkGKChfSCrxXdyylUH5S89Saj9sc"
    assert made.id == "U20UpehfNk3idbx6G8zpFsAnYvEI-lA8a_zyMjrdHCQ"
    assert verify(committed, made, secret=b"hunter2")
    assert not verify(committed, made, secret=b"hunter3")
    assert not verify(committed, made)


def test_a_signature_does_not_speak_for_another_committer():
    case = vectors.cases(SIGNED, lambda c: c["name"] == "two-signers")[0]
    message = vectors.message(case["message"])
    one, two = (
        Commitment.from_message(id, vectors.message(entry["commitment"]))
        for id, entry in case["commitments"].items()
        if "committer" in entry["commitment"]
    )
    assert verify(message, one)
    assert not verify(message, replace(one, committer=two.committer))
    assert not verify(message, replace(one, id=two.id))


# Signing.


@pytest.mark.parametrize("kind", ["key_1", "ed25519"])
async def test_a_signed_message_verifies_here_and_after_travelling(kind, request, limiter):
    wallet = request.getfixturevalue(kind)
    signed = await commit_signed(EXAMPLE, wallet, limiter=limiter)
    assert signed == EXAMPLE
    assert signed.signers == [wallet.address]
    assert unsigned_id(signed) == unsigned_id(EXAMPLE)
    assert failing_commitments(signed) == []
    bare = [replace(c, evidence=None) for c in signed.commitments.values()]
    assert failing_commitments(signed.with_commitments(bare)) == []
    sent = encode(signed, bundle=False)
    received = decode(sent.headers, sent.body)
    assert received.commitments == signed.commitments
    assert failing_commitments(received) == []


async def test_signatures_stack_and_share_one_unsigned_commitment(key_1, ed25519, limiter):
    once = await commit_signed(EXAMPLE, key_1, limiter=limiter)
    twice = await commit_signed(once, ed25519, limiter=limiter)
    assert set(twice.signers) == {key_1.address, ed25519.address}
    assert len(twice.commitments) == 3
    assert once.commitments.items() <= twice.commitments.items()
    assert signed_id(twice) not in twice.commitments
    assert failing_commitments(twice) == []


async def test_the_hashpath_is_the_tag_unless_one_is_given(ed25519, limiter):
    message = Message(a="1").with_hashpath("x/y")
    tags = {
        c.extra.get("tag")
        for c in (await commit_signed(message, ed25519, limiter=limiter)).commitments.values()
    }
    assert tags == {None, b"x/y"}
    other = await commit_signed(message, ed25519, limiter=limiter, tag="z")
    assert {c.extra.get("tag") for c in other.commitments.values()} == {None, b"z"}
    sent = encode(other, bundle=False)
    assert failing_commitments(decode(sent.headers, sent.body)) == []


async def test_nested_messages_are_signed_by_their_ids_or_whole(ed25519, limiter):
    message = Message(a={"b": 1}, l=[{"c": "x"}], body="q")
    linked = await commit_signed(message, ed25519, limiter=limiter)
    whole = await commit_signed(message, ed25519, limiter=limiter, bundle=True)
    for signed in (linked, whole):
        for bundle in (False, True):
            sent = encode(signed, bundle=bundle)
            received = decode(sent.headers, sent.body)
            # What was signed whole can't be checked where only ids arrive.
            assert (failing_commitments(received) == []) == (bundle or signed is linked)


async def test_a_part_of_the_keys_may_be_signed(ed25519, limiter):
    signed = await commit_signed(EXAMPLE, ed25519, limiter=limiter, committed=["a", "body"])
    assert {c.committed for c in signed.commitments.values()} == {("a", "body")}
    changed = signed.set(zed="other")
    assert changed.commitments == signed.commitments
    assert failing_commitments(changed) == []
    assert signed.set(a="2").commitments == {}


def test_keys_that_are_not_there_can_not_be_signed():
    with pytest.raises(BadRequest, match="'nope'"):
        commit_unsigned(EXAMPLE, committed=["a", "nope"])


def test_a_body_key_of_ones_own_can_not_be_signed():
    with pytest.raises(BadRequest, match="ao-body-key"):
        commit_unsigned(Message({"a": "1", "foo": "x", "ao-body-key": "foo"}))


def test_the_same_keyid_replaces_and_another_adds():
    once = commit_unsigned(commit_unsigned(EXAMPLE), keyid="constant:ao")
    assert len(once.commitments) == 1
    assert len(commit_unsigned(once, keyid="constant:other").commitments) == 2
    with pytest.raises(BadRequest, match="needs a secret"):
        commit_unsigned(EXAMPLE, keyid="secret:x")


# What does not hold.


def test_evidence_speaks_for_its_own_values_only():
    committed = commit_unsigned(EXAMPLE)
    other = EXAMPLE.set(zed="changed").with_commitments(committed.commitments.values())
    assert failing_commitments(other) == list(committed.commitments.values())
    absent = EXAMPLE.without("zed").with_commitments(committed.commitments.values())
    assert failing_commitments(absent) == list(committed.commitments.values())


def test_evidence_does_not_speak_for_other_commitments_inside():
    committed = commit_unsigned(Message(a={"b": "c"}), bundle=True)
    forged = Message(b="c").with_commitments([only(commit_unsigned(Message(x="y")))])
    other = Message(a=forged).with_commitments(committed.commitments.values())
    assert failing_commitments(other) == list(committed.commitments.values())


@pytest.mark.parametrize(
    "change",
    [
        {"keyid": None},
        {"keyid": "constant:other"},
        {"keyid": "pubkey:x"},
        {"keyid": "publickey:!!"},
        {"type": "rsa-pss-sha512"},
        {"type": "ed25519"},
        {"type": ""},
        {"signature": b""},
        {"signature": b"x" * 32},
        {"id": "x" * 43},
        {"committer": "vcaPe4JWnrSOCktDHBgXge-zWUb6JRkqbom5w9t7i-4"},
        {"committed": ("a", "nope")},
        {"committed": ("a",)},
        {"bundle": True},
        {"extra": {"created": 5}},
        {"extra": {"tag": b"x"}},
    ],
)
def test_a_commitment_that_was_changed_does_not_hold(change):
    commitment = replace(only(commit_unsigned(EXAMPLE)), evidence=None)
    assert verify(EXAMPLE, commitment)
    assert not verify(EXAMPLE, replace(commitment, **change))


def test_a_typed_content_type_beside_a_long_body_verifies_without_its_evidence():
    # The multipart form takes the header's place, and so its type out of what is signed.
    committed = commit_unsigned(Message({"content-type": 5, "big": "A" * 5000}))
    (commitment,) = committed.commitments.values()
    assert verify(committed, replace(commitment, evidence=None))


# Variant C: components in the order of the committed keys (spec/02 §9.1).

UNORDERED = Message(body="q", cat="1", bee="2")


def test_variant_c_has_the_body_where_its_key_is():
    committed = commit_unsigned(UNORDERED, order="committed")
    assert only(committed).committed == ("bee", "body", "cat")
    listed = dict(encode(committed, bundle=False).headers)["signature-input"]
    assert b'("bee" "content-digest" "cat")' in listed
    assert unsigned_id(committed) == "3Y8887EycWgDxFA-FLxcgChbCTZRI4xbK51Py36tuRo"
    assert commit_unsigned(UNORDERED).commitments.keys() != committed.commitments.keys()


@pytest.mark.parametrize(
    "message",
    [
        UNORDERED,
        Message(z="1", data="d", a=2),
        Message({"n": Message(k="v"), "body": "b", "list": [1, "x"], "X" * 43: "id"}),
        Message(zed=b"z" * 5000, body="b", alpha="1"),
    ],
)
@pytest.mark.parametrize("bundle", [False, True])
@pytest.mark.parametrize("remembered", [True, False])
async def test_variant_c_holds_wherever_it_goes(message, bundle, remembered, ed25519, limiter):
    keys = sorted(message, reverse=True)
    signed = await commit_signed(
        message, ed25519, limiter=limiter, bundle=bundle, order="committed", committed=keys
    )
    assert failing_commitments(signed) == []
    if not remembered:
        forgotten = [replace(c, evidence=None) for c in signed.commitments.values()]
        signed = signed.with_commitments(forgotten)
        assert failing_commitments(signed) == []
    encoded = encode(signed, bundle=bundle)
    received = decode(encoded.headers, encoded.body)
    assert received.signers == [ed25519.address]
    assert failing_commitments(received) == []


# More than 32 members: the peer's own order, which is not sorted (spec/02 §9.4).


@vectors.each(SIGNED, lambda case: case["name"] in ("many-keys", "many-typed-keys"))
def test_many_keys_hold_in_the_order_of_the_peer_and_go_on_in_it(case):
    message = vectors.message(case["message"])
    for id, entry in case["commitments"].items():
        commitment = Commitment.from_message(id, vectors.message(entry["commitment"]))
        assert vectors.tabm(entry["signature_base"]) in bases(message, commitment)
        assert verify(message, commitment)
        sent = encode(message.with_commitments([commitment]), bundle=False)
        received = decode(sent.headers, sent.body)
        assert set(received.commitments) == {id}
        assert failing_commitments(received) == []


async def test_what_could_be_said_by_another_message_too_holds_for_neither(ed25519, limiter):
    said = Message({"a": 'x\n"b": give Mallory 9', "b": "V"})
    signed = await commit_signed(said, ed25519, limiter=limiter)
    commitment = next(c for c in signed.commitments.values() if c.committer)
    forged = Message({"a": "x", "b": 'give Mallory 9\n"b": V'}).with_commitments([commitment])
    assert unsigned_id(forged.uncommitted()) == unsigned_id(said)
    assert not verify(forged, commitment)
    assert not verify(signed, commitment)


async def test_values_of_several_lines_hold(ed25519, limiter):
    said = Message({"a": 'x\n"c": y\n', "b": "V\n\n"})
    signed = await commit_signed(said, ed25519, limiter=limiter)
    assert failing_commitments(signed) == []
