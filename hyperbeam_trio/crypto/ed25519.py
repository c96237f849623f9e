"""Ed25519 on plain bytes, by libsodium (spec/02 §11.3, spec decision 6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@lru_cache(maxsize=1)
def _sodium() -> tuple[
    Callable[[bytes, bytes], bytes], Callable[[bytes, bytes], bytes], type[Exception]
]:
    """Signing, checking, and what checking raises; imported late, and looked up once."""
    from nacl.bindings import crypto_sign, crypto_sign_open
    from nacl.exceptions import BadSignatureError

    return crypto_sign, crypto_sign_open, BadSignatureError


def key_pair(seed: bytes) -> tuple[bytes, bytes]:
    """The 32-byte public key and the 64-byte secret key of a 32-byte seed."""
    from nacl.bindings import crypto_sign_seed_keypair

    return crypto_sign_seed_keypair(seed)


def sign(secret: bytes, data: bytes) -> bytes:
    """The 64-byte signature of `data`."""
    return _sodium()[0](data, secret)[:SIGNATURE_BYTES]


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` holds; keys and signatures of other sizes never do."""
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    _, open_signed, bad_signature = _sodium()
    try:
        open_signed(signature + data, public)
    except bad_signature:
        return False
    return True
