"""tx@1.0: transactions as messages and messages as transactions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyperbeam_trio.codec.tx import TX, commit_tx, read_transaction, verify_tx, write_transaction
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.transaction import Transaction
from hyperbeam_trio.crypto.wallet import Secp256k1Wallet
from hyperbeam_trio.errors import BadRequest, ConfigError
from hyperbeam_trio.message import Message

TARGET = "JvUVR_iZb6JXTgNMSPZMMbNR-KS8ohTkcHGFCBUjRvk"
TRANSFER = Message(
    {"target": TARGET, "quantity": "1000", "reward": "2000", "app": "x", "n": 5, "data": "hello"}
)


@pytest.fixture(scope="session")
def secp256k1():
    return Secp256k1Wallet(bytes([1]) * 32)


def bare(message):
    return message.with_commitments(replace(c, evidence=None) for c in message.commitments.values())


def test_fields_are_keys_and_keys_are_fields():
    transaction = write_transaction(TRANSFER)
    assert to_base64url(transaction.target) == TARGET
    assert (transaction.quantity, transaction.reward) == (1000, 2000)
    assert transaction.tags == ((b"ao-types", b'n="integer"'), (b"app", b"x"), (b"n", b"5"))
    assert transaction.data == b"hello"
    read = read_transaction(transaction)
    root = to_base64url(transaction.data_root)
    assert read == TRANSFER.set({"data_size": "5", "data_root": root})


def test_values_that_fit_no_field_are_tags():
    transaction = write_transaction(Message(target="someone", quantity="a lot", reward="-1"))
    assert [name for name, _ in transaction.tags] == [b"quantity", b"reward", b"target"]
    assert transaction.quantity == transaction.reward == 0


@pytest.mark.parametrize("kind", ["key_1", "secp256k1"])
async def test_a_signed_transaction_verifies_here_and_elsewhere(kind, request, limiter):
    wallet = request.getfixturevalue(kind)
    signed = await commit_tx(TRANSFER, wallet, limiter=limiter)
    (commitment,) = signed.commitments.values()
    assert commitment.committed == (
        "data", "ao-types", "app", "n", "quantity", "reward", "target", "data_root", "data_size",
    )  # fmt: skip
    assert commitment.extra["field-quantity"] == b"1000"
    assert failing_commitments(signed) == []
    assert failing_commitments(bare(signed)) == []
    received = TX.from_bytes(TX.to_bytes(signed, bundle=False))
    assert received == signed
    assert received.commitments == signed.commitments
    assert TX.to_bytes(bare(received), bundle=False) == TX.to_bytes(signed, bundle=False)


@pytest.mark.parametrize("key", ["target", "quantity", "reward", "app", "n", "data"])
async def test_a_change_of_a_committed_value_is_noticed(key, key_1, limiter):
    signed = await commit_tx(TRANSFER, key_1, limiter=limiter)
    (commitment,) = signed.commitments.values()
    for changed in (signed.set({key: "1"}), signed.without(key)):
        assert not verify_tx(changed, commitment)
        assert not verify_tx(changed, replace(commitment, evidence=None))


async def test_a_commitment_does_not_speak_for_another_signer(key_1, limiter):
    signed = await commit_tx(TRANSFER, key_1, limiter=limiter)
    (commitment,) = signed.commitments.values()
    stranger = replace(commitment, committer="x" * 43, evidence=None)
    assert not verify_tx(signed, stranger)


async def test_original_names_of_tags_are_kept(key_1, limiter):
    transaction = Transaction.with_data(b"", tags=((b"App-Name", b"x"), (b"a", b"1"))).sign(key_1)
    message = read_transaction(transaction)
    assert message.text("app-name") == "x"
    assert failing_commitments(bare(message)) == []
    assert write_transaction(bare(message)) == transaction


async def test_a_wallet_without_such_signatures_is_refused(ed25519, limiter):
    with pytest.raises(ConfigError, match="can't sign transactions"):
        await commit_tx(TRANSFER, ed25519, limiter=limiter)


async def test_two_commitments_are_not_one_transaction(key_1, limiter):
    signed = await commit_tx(TRANSFER, key_1, limiter=limiter)
    (one,) = signed.commitments.values()
    with pytest.raises(BadRequest, match="2 commitments"):
        write_transaction(signed.with_commitments([one, replace(one, id="x" * 43)]))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}x", b'{"tags": 5}', b'{"format": 3}', b'{"target": "!"}']
)
def test_what_is_no_transaction_is_refused(text):
    with pytest.raises(BadRequest):
        TX.from_bytes(text)
