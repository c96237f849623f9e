"""secp256k1 as Ethereum and Arweave sign with it (spec/02 §11.3, §12)."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coincurve import PrivateKey

SIGNATURE_BYTES: Final = 65
PUBLIC_BYTES: Final = 65
ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ETHEREUM_RECOVERY: Final = 27  # Ethereum writes the recovery number 0 or 1 as 27 or 28


def keccak256(data: bytes) -> bytes:
    """Keccak-256, the hash of Ethereum (not SHA3-256)."""
    from Crypto.Hash import keccak

    digest: bytes = keccak.new(digest_bits=256, data=data).digest()
    return digest


def private_key(secret: bytes | None = None) -> PrivateKey:
    """The key of a 32-byte secret, or a new one; `ValueError` for a secret out of range."""
    from coincurve import PrivateKey

    return PrivateKey(secret)


def public_key(key: PrivateKey) -> bytes:
    """The uncompressed public key: 65 bytes, the first 0x04."""
    return key.public_key.format(compressed=False)


def compressed(public: bytes) -> bytes:
    """The 33-byte form of a public key."""
    from coincurve import PublicKey

    return PublicKey(public).format(compressed=True)


def sign(key: PrivateKey, digest: bytes) -> bytes:
    """r ‖ s ‖ recovery number (0 to 3) over a 32-byte digest; s is the lower of the two."""
    return key.sign_recoverable(digest, hasher=None)


def recover(signature: bytes, digest: bytes) -> bytes | None:
    """The uncompressed public key that made r ‖ s ‖ recovery number over `digest`, if any.

    A signature with the upper s is refused: anybody could make it from the lower one, and the
    same signed item would then have two ids.
    """
    from coincurve import PublicKey

    if len(signature) != SIGNATURE_BYTES or signature[64] > 3:
        return None
    if int.from_bytes(signature[32:64], "big") > ORDER // 2:
        return None
    try:
        key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except ValueError:
        return None
    return key.format(compressed=False)


def sign_ethereum(key: PrivateKey, digest: bytes) -> bytes:
    """As `sign`, with the recovery number as Ethereum writes it (27 or 28)."""
    signature = sign(key, digest)
    return signature[:64] + bytes((signature[64] + _ETHEREUM_RECOVERY,))


def recover_ethereum(signature: bytes, digest: bytes) -> bytes | None:
    """As `recover`, for a recovery number of 27 or 28 and no other."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    return recover(signature[:64] + bytes((signature[64] - _ETHEREUM_RECOVERY,)), digest)


def personal_digest(data: bytes) -> bytes:
    """What a wallet signs for the message `data` (EIP-191)."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(data) + data)


@lru_cache(maxsize=1)
def _typed_constants() -> tuple[bytes, bytes]:
    domain = b"".join(
        keccak256(part) for part in (b"EIP712Domain(string name,string version)", b"Bundlr", b"1")
    )
    return keccak256(domain), keccak256(b"Bundlr(bytes Transaction hash,address address)")


def typed_digest(data: bytes, address: str) -> bytes:
    """What a wallet with a `0x` address signs for `data` as typed data "Bundlr" 1 (EIP-712)."""
    domain, type_ = _typed_constants()
    member = keccak256(data) + bytes(12) + bytes.fromhex(address[2:])
    return keccak256(b"\x19\x01" + domain + keccak256(type_ + member))


def ethereum_address(public: bytes) -> str:
    """The `0x` address of an uncompressed public key, in the mixed case of EIP-55."""
    plain = keccak256(public[1:])[-20:].hex()
    marks = keccak256(plain.encode("ascii")).hex()
    cased = (c.upper() if mark >= "8" else c for c, mark in zip(plain, marks, strict=False))
    return "0x" + "".join(cased)


def arweave_digest(data: bytes) -> bytes:
    """What an ECDSA wallet of Arweave signs for `data`."""
    return sha256(data).digest()
