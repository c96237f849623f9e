"""Messages as mappings, small and large, and what changes leave of their commitments."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import SHARED_ABOVE, Message

SIZES = (0, 3, SHARED_ABOVE, 4 * SHARED_ABOVE)


async def signed(message: Message) -> Message:
    wallet = Ed25519Wallet(bytes([7]) * 32)
    return await commit_signed(message, wallet, limiter=trio.CapacityLimiter(1))


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_walked_like_a_dictionary_whatever_its_size(size):
    plain = {f"key-{number}": b"%d" % number for number in range(size)}
    message = Message.of(dict(plain)).set(more="x").without("more")
    assert dict(message.items()) == plain
    assert set(message.keys()) == set(plain)
    assert sorted(message.values()) == sorted(plain.values())
    assert message.keys() == Message.of(dict(plain)).keys()


@pytest.mark.parametrize("size", SIZES[1:])
async def test_keys_beside_what_was_signed_change_nothing_of_it(size):
    message = await signed(Message({f"key-{number}": number for number in range(size)}))
    beside = message.beside({"host": b"node.example", "slot": 5})
    assert beside["slot"] == 5
    assert beside.commitments == message.commitments
    assert beside.hashpath is None
    assert verify_message(beside, commitment_ids="all")
    again = beside.without_beside(["host", "slot", "absent"])
    assert again == message
    assert again.commitments == message.commitments
    assert message.without_beside(["host"]) is message


async def test_a_change_drops_only_the_commitments_that_cover_it():
    message = await signed(Message(a="1", b=2))
    assert message.set(a="1").commitments == message.commitments
    assert message.set(c="3").commitments == message.commitments
    assert not message.set(a="2").commitments
    assert not message.set(c=3).commitments, "a new integer changes the types that were signed"
    assert not message.without("b").commitments
