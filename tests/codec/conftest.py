"""Wallets that the tests of this folder sign with."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, Wallet
from tests import vectors


@pytest.fixture(scope="session")
def key_1() -> Wallet:
    return load_wallet(vectors.FOLDER / "keys" / "key-1.json")


@pytest.fixture(scope="session")
def key_2() -> Wallet:
    return load_wallet(vectors.FOLDER / "keys" / "key-2.json")


@pytest.fixture(scope="session")
def ed25519() -> Wallet:
    return Ed25519Wallet(bytes(range(32)))


@pytest.fixture
def limiter() -> trio.CapacityLimiter:
    return trio.CapacityLimiter(1)
