"""Keyids, and signatures under them."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import hash_id, is_id, to_base64, to_base64url
from hyperbeam_trio.crypto.keyid import (
    CONSTANT_AO,
    ED25519,
    HMAC_SHA256,
    RSA_PSS_SHA256,
    RSA_PSS_SHA512,
    Keyid,
    hmac_sha256,
    secret_keyid,
    verify_signature,
)
from tests import vectors

ALGORITHMS = (RSA_PSS_SHA512, RSA_PSS_SHA256, ED25519, HMAC_SHA256)


def _commitments(case):
    return [found for found in case["commitments"].values() if "signature_base" in found]


def _signed(case) -> bool:
    return isinstance(case.get("commitments"), dict) and bool(_commitments(case))


@vectors.each("n-httpsig_signed.json", _signed)
def test_signatures_of_the_reference_hold_over_their_bases(case):
    for found in _commitments(case):
        fields = found["commitment"]
        keyid = Keyid.parse(fields["keyid"], fields["type"])
        signature = vectors.unbase64(fields["signature"])
        base = _text_bytes(found["signature_base"])
        assert keyid.committer == fields.get("committer")
        assert verify_signature(fields["type"], keyid, base, signature)
        assert not verify_signature(fields["type"], keyid, base + b" ", signature)


def _signed_without_ids_as_keys(case) -> bool:
    """The bases that the peer gives for ids as keys are not those that it signed."""
    return _signed(case) and not any(is_id(key) for key in case["message"])


@vectors.each("httpsig_signed.json", _signed_without_ids_as_keys)
def test_bare_keyids_of_the_older_reference_are_read(case):
    for found in _commitments(case):
        fields = found["commitment"]
        keyid = Keyid.parse(fields["keyid"], fields["type"])
        assert keyid.committer == fields.get("committer")
        signature = vectors.unbase64(fields["signature"])
        base = _text_bytes(found["signature_base"])
        assert verify_signature(fields["type"], keyid, base, signature)


def _text_bytes(notation) -> bytes:
    return notation.encode() if isinstance(notation, str) else vectors.value(notation)


def test_a_secret_is_named_by_its_hash():
    assert secret_keyid(b"hunter2") == "secret:9S-9MrKzuG_4jvbEkGKChfSCrxXdyylUH5S89Saj9sc"
    base = b'"a": q\n"@signature-params": ("a");alg="hmac-sha256";keyid="%b"'
    id_ = hmac_sha256(b"hunter2", base % secret_keyid(b"hunter2").encode())
    assert to_base64url(id_) == "U20UpehfNk3idbx6G8zpFsAnYvEI-lA8a_zyMjrdHCQ"


def test_a_secret_holds_only_where_it_is_given_and_named():
    keyid = Keyid.parse(secret_keyid(b"hunter2"), HMAC_SHA256)
    signature = hmac_sha256(b"hunter2", b"base")
    assert keyid.committer == hash_id(b"hunter2")
    assert keyid.key == b""
    assert verify_signature(HMAC_SHA256, keyid, b"base", signature, b"hunter2")
    assert not verify_signature(HMAC_SHA256, keyid, b"base", signature)
    other = hmac_sha256(b"other", b"base")
    assert not verify_signature(HMAC_SHA256, keyid, b"base", other, b"other")


@pytest.mark.parametrize("text", [CONSTANT_AO, "ao", "constant:anything"])
def test_a_constant_keyid_is_its_own_key(text):
    keyid = Keyid.parse(text, HMAC_SHA256)
    assert (keyid.scheme, keyid.key, keyid.committer) == ("constant", text.encode(), None)
    assert verify_signature(HMAC_SHA256, keyid, b"base", hmac_sha256(text.encode(), b"base"))


@pytest.mark.parametrize("encode", [to_base64, to_base64url])
@pytest.mark.parametrize("prefix", ["publickey:", ""])
def test_both_alphabets_name_the_same_signer(rsa_wallet, encode, prefix):
    keyid = Keyid.parse(prefix + encode(rsa_wallet.public), RSA_PSS_SHA512)
    assert (keyid.key, keyid.committer) == (rsa_wallet.public, rsa_wallet.address)


def test_an_ed25519_keyid_names_its_key(ed25519_wallet):
    keyid = Keyid.parse(ed25519_wallet.keyid, ED25519)
    assert (keyid.scheme, keyid.committer) == ("ed25519", ed25519_wallet.address)
    assert verify_signature(ED25519, keyid, b"base", ed25519_wallet.sign(b"base"))
    assert not verify_signature(ED25519, keyid, b"other", ed25519_wallet.sign(b"base"))


def test_a_public_key_is_no_hmac_key(rsa_wallet, ed25519_wallet):
    for wallet in (rsa_wallet, ed25519_wallet):
        keyid = Keyid.parse(wallet.keyid, HMAC_SHA256)
        for key in (wallet.public, wallet.keyid.encode(), b""):
            assert not verify_signature(HMAC_SHA256, keyid, b"base", hmac_sha256(key, b"base"))


def test_a_scheme_serves_its_own_algorithms_only(rsa_wallet, ed25519_wallet):
    ours = {rsa_wallet: (RSA_PSS_SHA512, RSA_PSS_SHA256), ed25519_wallet: (ED25519,)}
    for wallet, own in ours.items():
        for algorithm in (*ALGORITHMS, "rot13", ""):
            keyid = Keyid.parse(wallet.keyid, algorithm)
            signature = wallet.sign(b"base", algorithm if algorithm in own else own[0])
            assert verify_signature(algorithm, keyid, b"base", signature) == (algorithm in own)


@pytest.mark.parametrize(
    "text", ["pubkey:AAAA", "publickey:", "publickey:!", "ed25519:", "x:y:z", ":", "publickey:é"]
)
def test_what_can_not_be_read_is_kept_and_verifies_nothing(text):
    keyid = Keyid.parse(text, RSA_PSS_SHA512)
    assert (keyid.scheme, keyid.committer, keyid.text) == ("unknown", None, text)
    assert not verify_signature(RSA_PSS_SHA512, keyid, b"base", bytes(512))


@pytest.mark.parametrize("size", [1, 255, 513])
def test_a_modulus_of_another_size_verifies_nothing(size):
    keyid = Keyid.parse("publickey:" + to_base64(b"\xc1" * size), RSA_PSS_SHA512)
    assert keyid.committer
    assert not verify_signature(RSA_PSS_SHA512, keyid, b"base", bytes(size))


@pytest.mark.parametrize("modulus", [bytes(512), b"\0" * 511 + b"\1", b"\xff" * 511 + b"\xfe"])
def test_a_modulus_that_is_no_key_verifies_nothing(modulus):
    keyid = Keyid.parse("publickey:" + to_base64(modulus), RSA_PSS_SHA512)
    for signature in (bytes(512), modulus, b"\1" * 512):
        assert not verify_signature(RSA_PSS_SHA512, keyid, b"base", signature)


@given(st.text(max_size=30), st.sampled_from(ALGORITHMS), st.binary(max_size=70))
def test_any_keyid_and_signature_are_answered(text, algorithm, signature):
    keyid = Keyid.parse(text, algorithm)
    assert keyid.text == text
    assert verify_signature(algorithm, keyid, b"base", signature) is False


@given(st.sampled_from([b"constant:ao", b"ao", b"another", b"k" * 100]), st.binary(max_size=5000))
def test_an_hmac_is_that_of_the_standard_library(key, base):
    assert hmac_sha256(key, base) == hmac.digest(key, base, "sha256")
    assert hmac_sha256(key, base) == hmac_sha256(key, base)
