"""ANS-104 data items."""

from __future__ import annotations

import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import from_base64
from hyperbeam_trio.crypto.field import InvalidField, TagLimits
from hyperbeam_trio.crypto.item_signature import SOLANA_TYPE, TYPED_ETHEREUM_TYPE
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet
from hyperbeam_trio.errors import ConfigError
from tests import vectors
from tests.crypto.refusal import value_or_refusal

WORKED = vectors.FOLDER.parent / "worked_examples.json"
SEED = bytes(range(32))
TARGET = vectors.unbase64("vcaPe4JWnrSOCktDHBgXge-zWUb6JRkqbom5w9t7i-4")
ANCHOR = b"0123456789abcdef0123456789abcdef"
TAGS = ((b"Data-Protocol", b"ao"), (b"Type", b"Message"), (b"Action", b"Ping"), (b"Empty", b"x"))

pointers = st.sampled_from([b""]) | st.binary(min_size=32, max_size=32)
tag_lists = st.lists(
    st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=20)), max_size=4
)
items = st.builds(DataItem.create, st.binary(max_size=100), tag_lists, pointers, pointers)


def _known(case) -> bool:
    return case["signature_type"] in (1, 2, 3, 4, 7)


@vectors.each("arbundles-items.json", _known, member="items")
def test_items_of_arbundles_are_read_and_verified(case):
    raw = vectors.unbase64(case["item_base64url"])
    item = DataItem.parse(raw)
    assert item.signature_type == case["signature_type"]
    assert item.data == vectors.unbase64(case["data_base64url"])
    assert item.target == vectors.unbase64(case["target"])
    assert item.anchor == case["anchor_text"].encode()
    assert [(n.decode(), v.decode()) for n, v in item.tags] == [
        (tag["name"], tag["value"]) for tag in case["tags"]
    ]
    assert item.tag_bytes == vectors.unbase64(case["tags_bytes_base64url"])
    assert item.digest == vectors.unbase64(case["deep_hash_base64url"])
    assert (item.id, item.size) == (case["id"], case["size"])
    assert item.owner == vectors.unbase64(case["owner"])
    assert item.signature == vectors.unbase64(case["signature"])
    assert item.to_bytes() == raw
    assert item.verify()


@vectors.each("arbundles-items.json", lambda case: not _known(case), member="items")
def test_signature_types_that_we_lack_are_refused_by_name(case):
    with pytest.raises(InvalidField, match=r"signature type: 6 \(multiAptos\) is not supported"):
        DataItem.parse(vectors.unbase64(case["item_base64url"]))


@vectors.each(
    "arbundles-items.json", lambda c: _known(c) and c["signature_deterministic"], member="items"
)
def test_the_same_key_makes_the_same_item(case, secp256k1_wallet):
    keys = vectors.load("arbundles-items.json")["keys"]
    seed = vectors.unbase64(keys["ed25519"]["seed_base64url"])
    ethereum = case["signature_type"] in (3, 7)
    wallet = secp256k1_wallet if ethereum else Ed25519Wallet(seed)
    made = DataItem.create(
        vectors.unbase64(case["data_base64url"]),
        [(tag["name"].encode(), tag["value"].encode()) for tag in case["tags"]],
        vectors.unbase64(case["target"]),
        case["anchor_text"].encode(),
    ).sign(wallet, case["signature_type"])
    if case["signature_type"] == TYPED_ETHEREUM_TYPE:
        # arbundles writes the address in lower case there; the owner is signed as it is written.
        assert made.owner.lower() == vectors.unbase64(case["owner"]).lower()
        assert made.verify()
    else:
        assert made.to_bytes() == vectors.unbase64(case["item_base64url"])


@vectors.each("arbundles-bundles.json", member="refused")
def test_items_that_arbundles_refuses_are_refused(case):
    item = value_or_refusal(DataItem.parse, vectors.unbase64(case["item_base64url"]))
    assert isinstance(item, DataItem) == (case["why"] == "signature does not match")
    assert isinstance(item, InvalidField) or not item.verify()


def _is_item(case) -> bool:
    return case["name"].startswith("item: ")


@vectors.each("ans104.json", _is_item)
def test_items_of_the_older_reference_are_read_and_verified(case):
    _check_reference_item(case)


@vectors.each("n-ans104.json", _is_item)
def test_items_of_the_reference_are_read_and_verified(case):
    _check_reference_item(case)


def _check_reference_item(case) -> None:
    signed = DataItem.parse(vectors.unbase64(case["signed_serialized_b64u"]))
    _check_fields(signed, case["signed"])
    assert signed.tag_bytes == vectors.unbase64(case["tags_avro_b64u"])
    assert signed.digest == vectors.unbase64(case["signature_data_sha384_b64u"])
    assert signed.address == case["owner_address"]
    assert signed.type_name == "rsa-pss-sha256"
    assert signed.verify()
    unsigned = DataItem.parse(vectors.unbase64(case["unsigned_serialized_b64u"]))
    _check_fields(unsigned, {**case["unsigned"], "id_b64u": unsigned.id})
    assert (unsigned.is_signed, unsigned.type_name) == (False, "unsigned-sha256")
    assert unsigned.address is None
    assert not unsigned.verify()
    made = DataItem.create(signed.data, signed.tags, signed.target, signed.anchor)
    assert made.to_bytes() == unsigned.to_bytes()


def _check_fields(item: DataItem, fields) -> None:
    assert item.data == vectors.unbase64(fields["data_b64u"])
    assert item.target == vectors.unbase64(fields["target_b64u"])
    assert item.anchor == vectors.unbase64(fields["anchor_b64u"])
    assert item.owner == vectors.unbase64(fields["owner_b64u"])
    assert item.signature == vectors.unbase64(fields["signature_b64u"])
    assert [(name, value) for name, value in item.tags] == [
        (name.encode(), value.encode()) for name, value in fields["tags"]
    ]
    assert (item.id, item.unsigned_id) == (fields["id_b64u"], fields["unsigned_id_b64u"])


def _has_bytes(case) -> bool:
    return isinstance(case.get("signed_serialized_b64u"), str) and not _is_item(case)


@vectors.each("ans104.json", _has_bytes)
def test_items_that_the_older_reference_made_of_messages_verify(case):
    _check_made_item(case)


@vectors.each("n-ans104.json", _has_bytes)
def test_items_that_the_reference_made_of_messages_verify(case):
    _check_made_item(case)


def _check_made_item(case) -> None:
    raw = vectors.unbase64(case["signed_serialized_b64u"])
    item = DataItem.parse(raw)
    _check_fields(item, case.get("signed_tx") or case["signed"])
    assert item.to_bytes() == raw
    assert item.verify() == case["verifies"]
    if "unsigned_tx" in case:
        unsigned = DataItem.parse(vectors.unbase64(case["unsigned_serialized_b64u"]))
        _check_fields(unsigned, {**case["unsigned_tx"], "id_b64u": unsigned.id})


def _sends_item(case) -> bool:
    return any("data_item" in request for request in case["requests"])


@vectors.each("aoconnect-mainnet.json", _sends_item)
def test_items_that_aoconnect_sends_verify(case):
    for request in case["requests"]:
        if "data_item" in request:
            expected = request["data_item"]
            item = DataItem.parse(vectors.unbase64(request["body"]))
            assert (item.id, item.signature_type) == (expected["id"], expected["signature_type"])
            assert item.digest == vectors.unbase64(expected["deep_hash_base64url"])
            assert item.verify()


def test_the_worked_example_with_ed25519():
    item = DataItem.create(b"hello", TAGS, TARGET, ANCHOR).sign(Ed25519Wallet(SEED))
    assert item.digest.hex() == (
        "35ecb0d327ce2b172168bd00635e3931201418b17c6037d49d979a027f84a095"
        "9b189782f0fca328ba17ab0f137b0866"
    )
    assert item.id == "F8rojekXgIOsFKqHSRvJ6t8AW8oNLtob3OYUaJyuIjw"
    assert item.to_bytes().hex() == (
        "02004a4f033ac46dd7aa911935c31d9baa4ac4a9a7d8f42279f5d4ce3ee1db931395b219dc6f5a589672b7043018"
        "7fa89d12891def0c00d0581ce43c61a2e88bbe0703a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc"
        "8664125531b801bdc68f7b82569eb48e0a4b431c181781efb35946fa25192a6e89b9c3db7b8bee01303132333435"
        "3637383961626364656630313233343536373839616263646566040000000000000034000000000000000"
        "81a446174612d50726f746f636f6c04616f08547970650e4d6573736167650c416374696f6e0850696e670a45"
        "6d70747902780068656c6c6f"
    )


def test_the_worked_example_with_rsa():
    known = json.loads(WORKED.read_text())
    owner, signature = from_base64(known["modulus"]), from_base64(known["item_signature"])
    raw = (
        b"\1\0"
        + signature
        + owner
        + DataItem.create(b"hello", TAGS, TARGET, ANCHOR).to_bytes()[1026:]
    )
    item = DataItem.parse(raw)
    assert item.digest.hex() == (
        "450d183043506f6bf3a80ff5f3916f80dfa6c8b07a4f666b35c21c1e3adcca61"
        "f50d2eeeb0ba961336e737eee58c9b80"
    )
    assert item.verify()
    assert item.id == "jya9Aosrva531nNTec1yGAhjH_ZaZcCYmZ67sLpXsjU"
    assert item.unsigned_id == "80tvof2z1ADQNoJTu2YWAZjlGn-GzAPtABF-maHYQKE"


def test_the_unsigned_id_of_typed_tags():
    tags = [(b"a", b"1"), (b"ao-types", b'b="integer"'), (b"b", b"2")]
    item = DataItem.create(b"hi", tags)
    assert item.unsigned_id == "gNFZm-h7Fas9mBxVlfavi1Cb--bX3XQRDmXgc5rCygs"


@pytest.mark.parametrize("number", [2, SOLANA_TYPE])
@settings(max_examples=20)
@given(item=items)
def test_an_item_survives_signing_and_reading(number, item):
    signed = item.sign(Ed25519Wallet(SEED), number)
    read = DataItem.parse(signed.to_bytes())
    assert read == signed
    assert read.unsigned_id == DataItem.parse(read.to_bytes()).unsigned_id
    assert read.verify()


@given(item=items, place=st.integers(0), bit=st.integers(0, 7))
def test_a_changed_bit_anywhere_is_noticed(item, place, bit):
    raw = bytearray(item.sign(Ed25519Wallet(SEED)).to_bytes())
    raw[place % len(raw)] ^= 1 << bit
    changed = value_or_refusal(DataItem.parse, bytes(raw))
    assert isinstance(changed, InvalidField) or not changed.verify()


@given(st.binary(max_size=400), st.sampled_from([b"", b"\2\0", b"\1\0", b"\3\0", b"\7\0"]))
def test_any_bytes_are_read_or_refused(raw, front):
    read = value_or_refusal(DataItem.parse, front + raw)
    assert isinstance(read, InvalidField) or read.to_bytes() == front + raw


@given(
    st.binary(min_size=66, max_size=66), st.integers(0, 3), st.integers(0), st.binary(max_size=99)
)
def test_any_tag_sizes_are_read_or_refused(start, count, size, rest):
    raw = b"\2\0" + bytes(96) + b"\0\0" + count.to_bytes(8, "little")
    raw += (size % (1 << 64)).to_bytes(8, "little") + start + rest
    read = value_or_refusal(DataItem.parse, raw)
    assert isinstance(read, InvalidField) or read.to_bytes() == raw


def test_a_size_over_its_limit_is_refused_before_it_is_read():
    huge = b"\2\0" + bytes(98) + (1).to_bytes(8, "little") + (1 << 62).to_bytes(8, "little")
    with pytest.raises(InvalidField, match="tags: 4611686018427387904 bytes, at most") as caught:
        DataItem.parse(huge)
    assert caught.value.details["limit"] == TagLimits().encoded


def test_the_data_of_a_read_item_is_not_copied():
    buffer = bytearray(DataItem.create(b"payload").to_bytes())
    item = DataItem.parse(memoryview(buffer))
    buffer[-1:] = b"D"
    assert item.data == b"payloaD"
    assert item.data.readonly


@pytest.mark.parametrize(
    ("target", "anchor", "field"), [(b"x", b"", "target"), (b"", b"x", "anchor")]
)
def test_pointers_have_32_bytes(target, anchor, field):
    with pytest.raises(InvalidField, match=f"{field}: 1 bytes, expected 0 or 32"):
        DataItem.create(b"", (), target, anchor)


def test_an_item_is_not_made_with_a_nameless_tag():
    with pytest.raises(InvalidField, match="tag 1 name: is empty"):
        DataItem.create(b"", [(b"", b"v")])


def test_the_first_tag_of_a_name_counts_whatever_its_case():
    item = DataItem.create(b"", [(b"Action", b"first"), (b"action", b"second")])
    assert item.tag(b"ACTION") == b"first"
    assert item.tag(b"type") is None


def test_every_scheme_has_its_address(rsa_wallet, ed25519_wallet, secp256k1_wallet):
    item = DataItem.create(b"x")
    assert item.sign(rsa_wallet).address == rsa_wallet.address
    assert item.sign(ed25519_wallet).address == ed25519_wallet.address
    assert item.sign(secp256k1_wallet).address == secp256k1_wallet.address
    assert item.sign(secp256k1_wallet, TYPED_ETHEREUM_TYPE).address == secp256k1_wallet.address
    solana = item.sign(ed25519_wallet, SOLANA_TYPE)
    assert solana.address == "FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF"
    assert solana.type_name == "solana"


def test_a_wallet_signs_only_its_own_types(rsa_wallet, ed25519_wallet):
    with pytest.raises(ConfigError, match="kind ed25519 can't sign items of type 1"):
        DataItem.create(b"").sign(ed25519_wallet, 1)
    with pytest.raises(ConfigError, match="4096 bits only"):
        DataItem.create(b"").sign(RsaWallet.generate(2048))


async def test_an_item_is_signed_beside_the_event_loop(rsa_wallet, ed25519_wallet):
    limiter = trio.CapacityLimiter(1)
    item = DataItem.create(b"x")
    assert (await item.sign_async(rsa_wallet, limiter=limiter)).verify()
    fast = await item.sign_async(ed25519_wallet, limiter=limiter)
    assert fast == item.sign(ed25519_wallet)
    large = DataItem.create(bytes(1 << 20))
    assert (await large.sign_async(ed25519_wallet, limiter=limiter)).verify()
