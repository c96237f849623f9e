"""Commitments as they come back from a store (spec/02 §2, spec/04 §6.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.staging import encode_commitment
from hyperbeam_trio.cache.vouching import Covered, commitment_of, note_of, stored_commitment
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Message

KEY = "commitments/x/y"


async def _signed(**keys) -> tuple[Message, Commitment]:
    wallet = Ed25519Wallet(bytes(32))
    message = await commit_signed(Message(keys), wallet, limiter=trio.CapacityLimiter(1))
    return message, next(c for c in message.commitments.values() if c.committer is not None)


def _stored(commitment: Commitment, **items) -> bytes:
    id = commitment.id.encode()
    return record.encode(KEY, {"id": id, "commitment": encode_commitment(commitment), **items})


async def test_a_commitment_and_what_was_signed_come_back_as_they_were():
    message, commitment = await _signed(a="1", n=2)
    base, values = commitment.evidence.base, [key.encode() for key in commitment.evidence.values]
    found = stored_commitment(KEY, _stored(commitment, base=base, values=values), message)
    assert found == commitment
    assert found.evidence.base == base
    assert found.evidence.covers(message)
    assert not found.evidence.covers(message.set(n=3))


async def test_commitments_that_differ_in_their_signature_only_stay_apart():
    for value in ("1", "2"):
        message, commitment = await _signed(a=value)
        assert stored_commitment(KEY, _stored(commitment), message) == commitment


async def test_one_of_a_kind_is_decoded_as_a_whole():
    message, commitment = await _signed(a="1")
    special = replace(commitment, extra={"tag": b"mine"})
    data = _stored(special)
    assert stored_commitment(KEY, data, message) == special
    assert commitment_of(KEY, note_of(KEY, data), message) == special


async def test_what_was_signed_does_not_speak_for_a_message_without_its_keys():
    message, commitment = await _signed(a="1", b="2")
    data = _stored(commitment, base=commitment.evidence.base)
    assert stored_commitment(KEY, data, message.without("b")).evidence is None


@pytest.mark.parametrize("items", [{}, {"id": b"x"}, {"id": b"x", "commitment": b"y"}])
def test_a_record_that_holds_no_commitment_is_refused(items):
    with pytest.raises(CorruptData):
        stored_commitment(KEY, record.encode(KEY, items), Message())


async def test_damage_is_noticed():
    message, commitment = await _signed(a="1")
    data = bytearray(_stored(commitment))
    data[-20] ^= 1
    with pytest.raises(CorruptData):
        stored_commitment(KEY, bytes(data), message)


def test_covered_values_are_a_mapping_of_the_named_keys():
    items = {"a": b"1", "b": b"2", "c": b"3"}
    covered = Covered(items, ("a", "b"))
    assert dict(covered) == {"a": b"1", "b": b"2"}
    assert "c" not in covered
    assert covered.of(items)
    moved = covered.moved({"a": b"4", "b": b"5"})
    assert (moved["a"], len(moved), moved.of(items)) == (b"4", 2, False)
