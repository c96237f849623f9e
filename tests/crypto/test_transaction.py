"""Arweave transactions."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import orjson
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import hash_id, human_id, to_base64url
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.transaction import Transaction
from hyperbeam_trio.errors import BadRequest, ConfigError
from tests import vectors
from tests.crypto.refusal import value_or_refusal

EXAMPLE = Transaction(
    owner=b"\1" * 512,
    target=sha256(b"t").digest(),
    quantity=1000,
    reward=2000,
    anchor=(7).to_bytes(48, "big"),
    tags=((b"App", b"x"), (b"B", b"")),
    data_size=4,
    data_root=vectors.unbase64("PtFB_UjWohdPYNrrsVgzUVEVBIRRPBN5EtZWvOGUXD0"),
)

pointers = st.sampled_from([b""]) | st.binary(min_size=32, max_size=32)
tag_lists = st.lists(
    st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9)), max_size=3
)
transactions = st.builds(
    Transaction,
    format=st.sampled_from([1, 2]),
    anchor=st.sampled_from([b"", b"a" * 32, b"a" * 48]),
    tags=tag_lists.map(tuple),
    target=pointers,
    quantity=st.integers(0, 10**20),
    data=st.binary(max_size=20),
    data_size=st.integers(0, 99),
    data_root=pointers,
    reward=st.integers(0, 10**20),
    denomination=st.integers(0, 2),
)


def test_the_signed_bytes_of_known_fields():
    assert EXAMPLE.signed_bytes().hex() == (
        "a4a8a2d9bb6483da9740e55b5c865e264c46b268d293c81fdc419f25e90c82f1093748cad40141171f04f570330b379d"
    )


def test_data_has_its_root_and_size():
    made = Transaction.with_data(
        b"data",
        owner=EXAMPLE.owner,
        target=EXAMPLE.target,
        quantity=1000,
        reward=2000,
        anchor=EXAMPLE.anchor,
        tags=EXAMPLE.tags,
    )
    assert made == replace(EXAMPLE, data=b"data")
    assert made.signed_bytes() == EXAMPLE.signed_bytes()


def test_the_unsigned_id_does_not_depend_on_the_signer(rsa_wallet):
    signed = EXAMPLE.sign(rsa_wallet)
    zero = replace(EXAMPLE, owner=bytes(512)).signed_bytes()
    assert signed.unsigned_id == EXAMPLE.unsigned_id == human_id(sha256(zero).digest())


@pytest.mark.parametrize("format_", [1, 2])
@pytest.mark.parametrize("denomination", [0, 1])
@pytest.mark.parametrize("wallet", ["rsa_wallet", "secp256k1_wallet"])
def test_a_signed_transaction_verifies_and_survives_json(request, wallet, format_, denomination):
    made = Transaction.with_data(b"data", format=format_, denomination=denomination, reward=7)
    signed = made.sign(request.getfixturevalue(wallet))
    assert signed.verify()
    read = Transaction.from_json(signed.to_json())
    assert read == signed
    assert read.id == hash_id(signed.signature)
    assert orjson.loads(signed.to_json())["id"] == signed.id


def test_rsa_signers_are_known_by_their_modulus(rsa_wallet):
    signed = EXAMPLE.sign(rsa_wallet)
    assert (signed.scheme, signed.address) == ("rsa-pss-sha256", rsa_wallet.address)
    assert EXAMPLE.sign(rsa_wallet).verify()


def test_ecdsa_signers_are_recovered_from_the_signature(secp256k1_wallet):
    signed = EXAMPLE.sign(secp256k1_wallet)
    public = secp256k1_wallet.public
    compressed = bytes((2 + public[64] % 2,)) + public[1:33]
    assert (signed.scheme, signed.owner) == ("ecdsa-secp256k1-sha256", b"")
    assert signed.address == hash_id(compressed)


def test_format_1_signs_its_fields_in_a_row():
    made = replace(EXAMPLE, format=1, data=b"data")
    row = EXAMPLE.owner + EXAMPLE.target + b"data" + b"1000" + b"2000" + EXAMPLE.anchor + b"AppxB"
    assert made.signed_bytes() == row


def test_json_is_that_of_the_arweave_api():
    written = orjson.loads(replace(EXAMPLE, quantity=10**20, denomination=2).to_json())
    assert written == {
        "format": 2,
        "id": "",
        "last_tx": to_base64url(EXAMPLE.anchor),
        "owner": to_base64url(EXAMPLE.owner),
        "tags": [{"name": "QXBw", "value": "eA"}, {"name": "Qg", "value": ""}],
        "target": to_base64url(EXAMPLE.target),
        "quantity": "100000000000000000000",
        "data": "",
        "data_size": "4",
        "data_tree": [],
        "data_root": "PtFB_UjWohdPYNrrsVgzUVEVBIRRPBN5EtZWvOGUXD0",
        "reward": "2000",
        "signature": "",
        "denomination": "2",
    }
    assert "denomination" not in orjson.loads(EXAMPLE.to_json())


@given(transactions)
def test_any_transaction_survives_json(transaction):
    assert Transaction.from_json(transaction.to_json()) == transaction


CHANGES = [
    {"target": b"T" * 32},
    {"quantity": 1001},
    {"reward": 1},
    {"anchor": b""},
    {"tags": ()},
    {"data_size": 5},
    {"data_root": b"r" * 32},
    {"denomination": 1},
    {"format": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
@pytest.mark.parametrize("wallet", ["rsa_wallet", "secp256k1_wallet"])
def test_a_changed_field_is_noticed(request, wallet, change):
    signed = EXAMPLE.sign(request.getfixturevalue(wallet))
    changed = replace(signed, **change)
    assert not changed.verify() or changed.address != signed.address


def test_data_that_is_not_that_of_the_root_is_noticed(rsa_wallet):
    signed = Transaction.with_data(b"x" * 262145, "fixed").sign(rsa_wallet)
    assert signed.verify()
    assert replace(signed, data=b"").verify()
    assert not replace(signed, data=b"y" * 262145).verify()


def test_nobody_pays_himself(rsa_wallet):
    own = sha256(rsa_wallet.public).digest()
    assert not Transaction(target=own, quantity=1).sign(rsa_wallet).verify()


def test_an_unsigned_transaction_does_not_verify():
    assert not EXAMPLE.verify()
    assert not Transaction().verify()
    assert Transaction().address is None


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"format": 3}, "format: 3, expected 1 or 2"),
        ({"anchor": b"x"}, "anchor: 1 bytes"),
        ({"owner": b"x"}, "owner: 1 bytes"),
        ({"target": b"x"}, "target: 1 bytes"),
        ({"data_root": b"x"}, "data_root: 1 bytes"),
        ({"signature": b"x"}, "signature: 1 bytes"),
        ({"quantity": -1}, "quantity: is negative"),
        ({"denomination": -1}, "denomination: is negative"),
        ({"tags": ((b"", b""),)}, "tag 1 name: is empty"),
    ],
)
def test_fields_that_can_not_be_are_refused(fields, problem):
    with pytest.raises(InvalidField, match=problem):
        Transaction(**fields)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"quantity": "1e3"}, "quantity: '1e3' is not an integer"),
        ({"quantity": "01"}, "quantity: '01' is not"),
        ({"quantity": "9" * 5000}, "quantity: '9999"),
        ({"reward": True}, "reward: 'True' is not"),
        ({"owner": 1}, "owner: is not text"),
        ({"owner": "é"}, "owner: owner is not base64"),
        ({"tags": {}}, "tags: is not a list"),
        ({"tags": ["x"]}, "tags: is not a list of objects"),
        ({"tags": [{"name": "!"}]}, "name: name is not base64"),
        ({"tags": [{"name": "YQ"}] * 129}, "tags: 129 of them, at most 128"),
        ({"signature": to_base64url(bytes(512)), "id": "x"}, "id: is not that of the signature"),
    ],
)
def test_json_that_can_not_be_is_refused_by_member(members, problem):
    with pytest.raises(InvalidField, match=problem):
        Transaction.from_json(orjson.dumps({"format": 2, **members}))


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    read = value_or_refusal(Transaction.from_json, text)
    assert isinstance(read, BadRequest) or Transaction.from_json(read.to_json()) == read


def test_an_ed25519_wallet_signs_no_transactions(ed25519_wallet):
    with pytest.raises(ConfigError, match="kind ed25519 can't sign transactions"):
        EXAMPLE.sign(ed25519_wallet)


async def test_a_transaction_is_signed_beside_the_event_loop(rsa_wallet):
    signed = await EXAMPLE.sign_async(rsa_wallet, limiter=trio.CapacityLimiter(1))
    assert signed.verify()
