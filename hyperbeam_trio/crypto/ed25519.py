"""Ed25519 on plain bytes, by libsodium (spec/02 §11.3, spec decision 6)."""

from __future__ import annotations

from typing import Final

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


def key_pair(seed: bytes) -> tuple[bytes, bytes]:
    """The 32-byte public key and the 64-byte secret key of a 32-byte seed."""
    from nacl.bindings import crypto_sign_seed_keypair

    return crypto_sign_seed_keypair(seed)


def sign(secret: bytes, data: bytes) -> bytes:
    """The 64-byte signature of `data`."""
    from nacl.bindings import crypto_sign

    return crypto_sign(data, secret)[:SIGNATURE_BYTES]


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` holds; keys and signatures of other sizes never do."""
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + data, public)
    except BadSignatureError:
        return False
    return True
