"""Ids of binaries, lists and messages."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec import ids
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message
from tests import vectors


@vectors.each("n-ids.json", lambda case: case["kind"] == "binary")
def test_a_binary_is_called_by_its_hash(case):
    assert ids.message_id(vectors.value(case["message"])) == case["hashpath"]


@vectors.each("n-ids.json", lambda c: c["kind"] == "unsigned" and "33 members" not in c["name"])
def test_unsigned_ids(case):
    value = vectors.value(case["message"])
    assert ids.unsigned_id(value) == case["unsigned_id"]
    assert ids.message_id(value) == case["unsigned_id"]


@vectors.each("n-ids.json", lambda case: case["kind"] == "combination")
def test_several_ids_combine_to_their_sum(case):
    assert ids.combine_ids(case["ids"]) == case["combined"]


@vectors.each("n-httpsig_encode.json", lambda case: "note" not in case)
def test_unsigned_ids_of_diverse_messages(case):
    assert ids.unsigned_id(vectors.value(case["message"])) == case["unsigned_id"]


@vectors.each("n-ids.json", lambda case: case["kind"] == "committed")
def test_ids_of_messages_that_carry_commitments(case):
    message = vectors.message(case["message"])
    assert ids.unsigned_id(message) == case["id"]["committers none"]
    assert ids.signed_id(message) == case["id"]["committers all"]
    assert ids.fresh_id(message) == case["id"]["commitment-ids unknown"]


@vectors.each("n-httpsig_signed.json", lambda case: "commitments" in case)
def test_ids_of_signed_messages(case):
    fields = {id: entry["commitment"] for id, entry in case["commitments"].items()}
    message = vectors.message({**case["message"], "commitments": fields})
    assert ids.signed_id(message) == case["signed_id"]
    assert ids.unsigned_id(message) == case["unsigned_id"]


# The worked examples of spec/02 §14 that need no signature.

EXAMPLES = [
    ({}, "TWaabU6nSWpn7zPaiWSd9gQkfNwa1t3onrDRNB-bFiI"),
    (
        {"a": "1", "b": 2, "body": "hello", "path": "/x/y", "zed": "q"},
        "XrOXIGatEtv9RSBXsRHnfEtpizQzLw6FNqArw0R-7Jw",
    ),
    ({"zed": "1", "sub": {"k": "v"}}, "Yz7xl2eEu3f6HfFBWbosc2ZDACYLAyLowSG7PuB0f1Y"),
    ({"a": "1", "big": "A" * 4097}, "dnFBPyPGdO0RH_2Q6kaxIQAz9DpSk5ZPgm6J-9SoSZo"),
    ({"a": "1", "big": "A" * 4097, "body": "q"}, "bO7YWYTerLwn3QQblfb105M_9ak1E4y-RW0IesKELqI"),
    ({"a": "1", "big": "A" * 4097, "data": "q"}, "MJE68C-h4T7F18F8vBfkBneD_ogsuvRb58yUqKegdNI"),
    ({"a": "1"}, "z3vwVvCE7AFo58_pb6AkT5VCNON3r4Y_6aiRg46otN4"),
    ({"a": 1}, "Fw6WjtgZ_dz5YcW1hMFCwE98adFvWtAOyVbl6K3CrDA"),
    ({"a": "1", "b": 2}, "EP5D9LtwRAfUbHjvCoDay5PQONWO1hnQuFSuGSwCyzg"),
    ({"k": "v", "n": 1}, "E5BJ4hoXsP8WuiOONJ100LjcmX4fzSv1BeWPxVmVPPQ"),
    ([1, "two", 3.0, [4]], "dLBsVuvJIhCpWVzCYzPoCif8FHUyVAw3c8xjG5XHKYs"),
    ({"a": "1", "data": "q", "z": "2"}, "yNeC2ShC6pOTZ7zm9v_hPFrXdFYv502R0PwxydpjRD8"),
    (
        {"vcaPe4JWnrSOCktDHBgXge-zWUb6JRkqbom5w9t7i-4": "val", "AbC": "2"},
        "EMoHJbkjNSEQ_QuccAn2C_yddFJC_xacJM9jbRPchoE",
    ),
    ({"body": "q", "cat": "1", "bee": "2"}, "BIXUrUlZ2gD0A_HBF9JVsZiCju73kLjITh6M8Xvhwk0"),
    ({"a": "1", "body": ""}, "RvG4RATOVwX4-z_poO8jRfR1pDUHbWqPKJoSdoP-_Io"),
    ([], "KPzA9jjXbcmApVKFmxQSWQ2jjgAr1RhaDISQsL2etsg"),
    ([4], "A8zeGlOqb0T79lBWRzuqMGtIdicPeFjty8xVmGM2HdQ"),
]


@pytest.mark.parametrize(("plain", "id"), EXAMPLES)
def test_worked_examples(plain, id):
    assert ids.message_id(Message({"value": plain})["value"]) == id


def test_a_link_is_called_by_its_target():
    assert ids.message_id(Link("z3vwVvCE7AFo58_pb6AkT5VCNON3r4Y_6aiRg46otN4")).startswith("z3vw")


@pytest.mark.parametrize("value", [1, 1.5, True, None])
def test_scalars_have_no_id(value):
    with pytest.raises(BadRequest, match="have ids"):
        ids.message_id(value)


def test_a_nested_message_is_hashed_once():
    child = Message(k="v")
    parent = Message(zed="1", sub=child)
    assert ids.unsigned_id(parent) == EXAMPLES[2][1]
    assert child._id == "rcDzQV_uLcM7tx6Bb77vlumFw_h5q8Trx8FD5G8mzcs"
    assert ids.unsigned_id(parent.set(zed="1")) == EXAMPLES[2][1]
    assert ids.unsigned_id(parent.set(zed="2")) != EXAMPLES[2][1]
