"""Wallets: what they sign, and what they never show."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import hash_id, to_base64
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet, Secp256k1Wallet
from hyperbeam_trio.errors import ConfigError
from tests import vectors

WALLETS = pytest.mark.parametrize("name", ["rsa_wallet", "ed25519_wallet", "secp256k1_wallet"])


@pytest.fixture
def wallet(request, name):
    return request.getfixturevalue(name)


@WALLETS
def test_every_algorithm_of_a_wallet_verifies_its_own_signatures(wallet):
    for algorithm in wallet.algorithms:
        signature = wallet.sign(b"data", algorithm)
        assert wallet.verify(b"data", signature, algorithm)
        assert not wallet.verify(b"date", signature, algorithm)
        assert not wallet.verify(b"data", signature[:-1], algorithm)
        assert not wallet.verify(b"data", bytes(len(signature)), algorithm)


@WALLETS
def test_a_wallet_refuses_algorithms_of_others(wallet):
    for use in (wallet.sign, lambda data, name: wallet.verify(data, b"", name)):
        with pytest.raises(ConfigError, match=f"kind {wallet.kind} can't sign 'rot13'"):
            use(b"data", "rot13")


@WALLETS
def test_no_text_or_pickle_of_a_wallet_holds_its_key(wallet):
    secrets = wallet._private_numbers()
    shown = repr(wallet) + str(wallet) + format(wallet) + repr([wallet]) + repr(dir(wallet))
    for name in ("d", "p", "q", "dp", "dq", "qi"):
        for form in _forms(secrets.get(name, b"\xffabsent")):
            assert form not in shown
    assert wallet.address in shown
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(wallet, protocol)
    assert not hasattr(wallet, "__dict__")


def _forms(secret: bytes) -> list[str]:
    return [secret.hex(), repr(secret), to_base64(secret), str(int.from_bytes(secret, "big"))]


@WALLETS
def test_a_copy_of_a_wallet_is_the_wallet(wallet):
    assert copy.copy(wallet) is wallet
    assert copy.deepcopy({"wallet": wallet})["wallet"] is wallet


@pytest.mark.parametrize(
    ("make", "secret"),
    [(Ed25519Wallet, b"\xab" * 31), (Secp256k1Wallet, b"\xff" * 32), (Secp256k1Wallet, bytes(32))],
)
def test_a_refused_secret_is_not_in_the_error(make, secret):
    with pytest.raises(ConfigError) as caught:
        make(secret)
    shown = "".join(traceback.format_exception(caught.value))
    assert repr(secret)[2:-1] not in shown
    assert secret.hex() not in shown


def test_an_rsa_wallet_is_known_by_its_modulus(rsa_wallet):
    modulus = vectors.unbase64(
        vectors.load("arbundles-items.json")["keys"]["arweave-rsa-4096"]["public_modulus"]
    )
    assert rsa_wallet.public == modulus
    assert rsa_wallet.address == "vcaPe4JWnrSOCktDHBgXge-zWUb6JRkqbom5w9t7i-4"
    assert rsa_wallet.keyid == "publickey:" + to_base64(modulus)
    assert len(to_base64(modulus)) == 684


def test_an_ed25519_wallet_is_known_by_its_public_key(ed25519_wallet):
    public = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    assert ed25519_wallet.public == public
    assert ed25519_wallet.address == hash_id(public)
    assert ed25519_wallet.keyid == "ed25519:" + to_base64(public)


def test_a_secp256k1_wallet_is_known_by_its_ethereum_address(secp256k1_wallet):
    keys = vectors.load("arbundles-items.json")["keys"]["ethereum"]
    assert secp256k1_wallet.public == vectors.unbase64(keys["public_uncompressed_base64url"])
    assert secp256k1_wallet.address.lower() == keys["address"]


@pytest.mark.parametrize(("algorithm", "salt"), [("rsa-pss-sha512", 64), ("rsa-pss-sha256", 32)])
def test_rsa_signs_with_a_salt_as_long_as_the_digest(rsa_wallet, algorithm, salt):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    hash_ = hashes.SHA512() if algorithm.endswith("512") else hashes.SHA256()
    key = RSAPublicNumbers(65537, int.from_bytes(rsa_wallet.public, "big")).public_key()
    key.verify(rsa_wallet.sign(b"data", algorithm), b"data", PSS(MGF1(hash_), salt), hash_)


@pytest.mark.parametrize("bits", [1024, 4104])
def test_rsa_keys_of_other_sizes_are_refused(bits):
    from hyperbeam_trio.crypto import rsa

    with pytest.raises(ConfigError, match=f"of {bits} bits can't be used, only 2048 to 4096"):
        RsaWallet(rsa.generate(bits))


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1"])
def test_new_wallets_differ(kind):
    assert generate_wallet(kind).address != generate_wallet(kind).address


@given(st.binary(max_size=200))
def test_ed25519_signatures_are_those_of_rfc_8032(data):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = bytes(range(32))
    assert Ed25519Wallet(seed).sign(data) == Ed25519PrivateKey.from_private_bytes(seed).sign(data)


async def test_slow_signatures_are_made_in_a_thread_under_the_limiter(rsa_wallet):
    limiter = trio.CapacityLimiter(1)
    async with limiter, trio.open_nursery() as nursery:
        nursery.start_soon(_sign_into, signatures := [], rsa_wallet, limiter)
        await trio.testing.wait_all_tasks_blocked()
        assert signatures == []
        limiter.release()
        await trio.testing.wait_all_tasks_blocked()
        await limiter.acquire()
    assert rsa_wallet.verify(b"data", signatures[0])


async def _sign_into(signatures: list[bytes], wallet: RsaWallet, limiter: trio.CapacityLimiter):
    signatures.append(await wallet.sign_async(b"data", limiter=limiter))


async def test_fast_signatures_need_no_thread(ed25519_wallet):
    limiter = trio.CapacityLimiter(1)
    async with limiter:
        signature = await ed25519_wallet.sign_async(b"data", limiter=limiter)
    assert signature == ed25519_wallet.sign(b"data")
