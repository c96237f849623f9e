"""Wallets that the tests of this folder sign with."""

from __future__ import annotations

import pytest

from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet, Secp256k1Wallet
from tests import vectors


@pytest.fixture(scope="session")
def rsa_wallet() -> RsaWallet:
    wallet = load_wallet(vectors.FOLDER / "keys" / "key-1.json")
    assert isinstance(wallet, RsaWallet)
    return wallet


@pytest.fixture(scope="session")
def ed25519_wallet() -> Ed25519Wallet:
    return Ed25519Wallet(bytes(range(32)))


@pytest.fixture(scope="session")
def secp256k1_wallet() -> Secp256k1Wallet:
    secret = vectors.load("arbundles-items.json")["keys"]["ethereum"]["private_base64url"]
    return Secp256k1Wallet(vectors.unbase64(secret))
