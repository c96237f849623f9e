"""What stands for bytes that are too many to be held."""

from __future__ import annotations

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.deep_hash import hash_blob
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import same

ONE, OTHER = (Elsewhere(bytes([n]) * 32) for n in (1, 2))


def test_the_digest_tells_one_from_another_and_from_the_byte_that_it_is() -> None:
    again = Elsewhere(bytes(ONE.digest))
    assert (again == ONE, again != ONE) == (True, False)
    assert hash(again) == hash(ONE)
    for different in (OTHER, b"\0"):
        for left, right in ((ONE, different), (different, ONE)):
            assert (left == right, left != right) == (False, True)
            assert not same(left, right)


def test_an_item_is_signed_over_the_hash_of_what_is_elsewhere() -> None:
    real = DataItem.create(b"a lot").sign(Ed25519Wallet(bytes(32)))
    fields = (real.signature_type, real.signature, real.owner, real.target, real.anchor, real.tags)
    elsewhere = Elsewhere(ONE.digest, hash_blob(b"a lot"))
    item = DataItem(*fields, real.tag_bytes, real.raw, data=memoryview(elsewhere))
    assert item.verify()
    assert item.unsigned_id == real.unsigned_id


def test_a_signature_over_a_byte_is_none_over_what_that_byte_stands_for() -> None:
    real = DataItem.create(b"\0").sign(Ed25519Wallet(bytes(32)))
    fields = (real.signature_type, real.signature, real.owner, real.target, real.anchor, real.tags)
    item = DataItem(*fields, real.tag_bytes, real.raw, data=memoryview(ONE))
    assert real.verify()
    assert not item.verify()
