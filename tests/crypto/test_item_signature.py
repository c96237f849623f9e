"""What the signature types of data items accept."""

from __future__ import annotations

import pytest

from hyperbeam_trio.crypto import secp256k1
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.item_signature import address_of, signature_type, verify_item
from tests import vectors

ORDER = secp256k1.ORDER


@pytest.mark.parametrize(
    ("number", "name"), [(5, "injectedAptos"), (6, "multiAptos"), (101, "kyve")]
)
def test_types_that_others_know_are_refused_by_name(number, name):
    with pytest.raises(InvalidField, match=rf"{number} \({name}\) is not supported, only 1, 2, 3"):
        signature_type(number)


def test_an_ethereum_address_has_the_mixed_case_of_eip_55(secp256k1_wallet):
    listed = vectors.load("arbundles-items.json")["keys"]["ethereum"]["address"]
    address = address_of(3, secp256k1_wallet.public)
    assert address.lower() == listed
    assert address != listed


def test_a_solana_address_is_the_owner_in_base58():
    owner = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    assert address_of(4, owner) == "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF"


def test_the_other_half_of_an_ecdsa_signature_is_refused(secp256k1_wallet):
    item = DataItem.create(b"x").sign(secp256k1_wallet)
    r, s, v = item.signature[:32], int.from_bytes(item.signature[32:64], "big"), item.signature[64]
    mirrored = r + (ORDER - s).to_bytes(32, "big") + bytes((55 - v,))
    assert verify_item(3, item.owner, item.signature, item.digest)
    assert not verify_item(3, item.owner, mirrored, item.digest)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_the_recovery_number_is_that_of_ethereum(secp256k1_wallet, v):
    item = DataItem.create(b"x").sign(secp256k1_wallet)
    assert not verify_item(3, item.owner, item.signature[:64] + bytes((v,)), item.digest)


@pytest.mark.parametrize("owner", [b"0x" + b"g" * 40, bytes(42), b"0X" + b"a" * 40])
def test_an_owner_that_is_no_address_verifies_nothing(secp256k1_wallet, owner):
    item = DataItem.create(b"x").sign(secp256k1_wallet, 7)
    assert not verify_item(7, owner, item.signature, item.digest)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_a_signature_of_rubbish_is_refused(number):
    type_ = signature_type(number)
    for byte in (b"\1", b"\x1b", b"\xff"):
        owner, signature = byte * type_.owner_bytes, byte * type_.signature_bytes
        assert not verify_item(number, owner, signature, bytes(48))
