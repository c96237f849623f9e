"""Keyids of httpsig commitments, and checking a signature under one (spec/02 §6)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from hyperbeam_trio.crypto import ed25519
from hyperbeam_trio.crypto.encoding import from_base64, hash_id, to_base64
from hyperbeam_trio.errors import BadRequest

if TYPE_CHECKING:
    from hashlib import _Hash

Scheme: TypeAlias = Literal["publickey", "ed25519", "constant", "secret", "unknown"]

RSA_PSS_SHA512: Final = "rsa-pss-sha512"
RSA_PSS_SHA256: Final = "rsa-pss-sha256"
ED25519: Final = "ed25519"
HMAC_SHA256: Final = "hmac-sha256"
CONSTANT_AO: Final = "constant:ao"

_PUBLIC_KEYS: Final = frozenset({CONSTANT_AO.encode(), b"ao"})
"""HMAC keys that everybody knows, under which ids are computed (spec/02 §6)."""


@dataclass(frozen=True, slots=True)
class Keyid:
    """A keyid, read.

    `key` is the public key (RSA modulus, Ed25519 key) or, for `constant`, the HMAC key; it is
    empty for `secret`, whose key only the request knows, and `unknown`. `committer` is the
    address that the keyid implies, if it implies one.
    """

    text: str
    scheme: Scheme
    key: bytes
    committer: str | None

    @classmethod
    def parse(cls, text: str, algorithm: str) -> Keyid:
        """Read a keyid; `algorithm` decides the scheme of one without a prefix.

        Both base64 alphabets are accepted. Never raises: what can't be read is `unknown`, and
        verifies nothing.
        """
        return _parse(text, algorithm)


def rsa_keyid(modulus: bytes) -> str:
    """The keyid of an RSA key, given its modulus."""
    return "publickey:" + to_base64(modulus)


def ed25519_keyid(public: bytes) -> str:
    """The keyid of an Ed25519 key (spec decision 6)."""
    return "ed25519:" + to_base64(public)


def secret_keyid(secret: bytes) -> str:
    """The keyid of an HMAC secret: it tells who knows the secret, not what it is."""
    return "secret:" + hash_id(secret)


def hmac_sha256(key: bytes, base: bytes) -> bytes:
    """HMAC-SHA256 of `base`: the signature, and the id, of an unsigned commitment."""
    if key not in _PUBLIC_KEYS:
        return hmac.digest(key, base, "sha256")
    # Half the work, and for short texts other threads don't get their turn in between.
    inner, outer = _begun(key)
    inner, outer = inner.copy(), outer.copy()
    inner.update(base)
    outer.update(inner.digest())
    return outer.digest()


@lru_cache(maxsize=2)
def _begun(key: bytes) -> tuple[_Hash, _Hash]:
    """The inner and the outer hash of an HMAC under a key of up to 64 bytes (RFC 2104)."""
    padded = key.ljust(64, b"\0")
    return sha256(bytes(b ^ 0x36 for b in padded)), sha256(bytes(b ^ 0x5C for b in padded))


def verify_signature(
    algorithm: str, keyid: Keyid, base: bytes, signature: bytes, secret: bytes | None = None
) -> bool:
    """Whether `signature` over `base` holds under `keyid`.

    `algorithm` is `rsa-pss-sha512`, `rsa-pss-sha256`, `ed25519` or `hmac-sha256`; a keyid that
    does not belong to it verifies nothing. `secret` is the HMAC key of a `secret:` keyid, and
    has to be the one that the keyid names.
    """
    if algorithm == HMAC_SHA256:
        key = _hmac_key(keyid, secret)
        return key is not None and hmac.compare_digest(hmac_sha256(key, base), signature)
    if algorithm == ED25519:
        return keyid.scheme == "ed25519" and ed25519.verify(keyid.key, signature, base)
    if algorithm in (RSA_PSS_SHA512, RSA_PSS_SHA256) and keyid.scheme == "publickey":
        return _rsa_verify()(algorithm, keyid.key, signature, base)
    return False


@lru_cache(maxsize=1)
def _rsa_verify() -> Callable[[str, bytes, bytes, bytes], bool]:
    """Looked up once: an import inside of a function costs a microsecond each time."""
    from hyperbeam_trio.crypto import rsa

    return rsa.verify


def _hmac_key(keyid: Keyid, secret: bytes | None) -> bytes | None:
    if keyid.scheme == "constant":
        return keyid.key
    if keyid.scheme != "secret" or secret is None:
        return None
    named = hmac.compare_digest(secret_keyid(secret).encode(), keyid.text.encode())
    return secret if named else None


@lru_cache(maxsize=1024)
def _parse(text: str, algorithm: str) -> Keyid:
    prefix, colon, rest = text.partition(":")
    scheme = prefix if colon else _default_scheme(algorithm)
    material = rest if colon else text
    if scheme == "constant":
        return Keyid(text, "constant", text.encode(), None)
    if scheme == "secret":
        return Keyid(text, "secret", b"", rest)
    if scheme in ("publickey", "ed25519"):
        return _public(text, scheme, material)
    return Keyid(text, "unknown", b"", None)


def _default_scheme(algorithm: str) -> str:
    if algorithm == HMAC_SHA256:
        return "constant"
    return "ed25519" if algorithm == ED25519 else "publickey"


def _public(text: str, scheme: str, material: str) -> Keyid:
    try:
        key = from_base64(material, "keyid")
    except BadRequest:
        return Keyid(text, "unknown", b"", None)
    if not key:
        return Keyid(text, "unknown", b"", None)
    known: Scheme = "ed25519" if scheme == "ed25519" else "publickey"
    return Keyid(text, known, key, hash_id(key))
