"""Key files: one JWK a file, readable by its owner only (spec/07 §1.3)."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from hyperbeam_trio.crypto.encoding import from_base64, to_base64url
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet, Secp256k1Wallet, Wallet
from hyperbeam_trio.durable import sync, sync_directory
from hyperbeam_trio.errors import BadRequest, ConfigError

logger = logging.getLogger(__name__)

KINDS: Final[Mapping[str, Callable[[], Wallet]]] = {
    "rsa": RsaWallet.generate,
    "ed25519": Ed25519Wallet.generate,
    "secp256k1": Secp256k1Wallet.generate,
}
_HEADS: Final[Mapping[str, Mapping[str, str]]] = {
    "rsa": {"kty": "RSA"},
    "ed25519": {"kty": "OKP", "crv": "Ed25519"},
    "secp256k1": {"kty": "EC", "crv": "secp256k1"},
}
_RSA_NUMBERS: Final = ("n", "e", "d", "p", "q", "dp", "dq", "qi")


def generate_wallet(kind: str = "rsa") -> Wallet:
    """A wallet with a new key of one of `KINDS`."""
    if kind not in KINDS:
        raise ConfigError(f"There is no wallet kind {kind!r}; use one of {', '.join(KINDS)}.")
    return KINDS[kind]()


def load_wallet(path: str | os.PathLike[str]) -> Wallet:
    """The wallet in a key file: an RSA, OKP (Ed25519) or EC (secp256k1) JWK.

    Logs a warning if others than the owner can read it. `ConfigError` names the file and the
    problem, and carries nothing of the file's content, nor does its context.
    """
    place = Path(path)
    wallet, problem = _read(place)
    if wallet is None:
        raise ConfigError(f"Key file {place}: {problem}")
    return wallet


def save_wallet(wallet: Wallet, path: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Write the private JWK with mode 0600, whole or not at all.

    An existing file is refused with `ConfigError`, unless `replace` is true.
    """
    place = Path(path)
    members = {name: to_base64url(raw) for name, raw in wallet._private_numbers().items()}
    content = orjson.dumps({**_HEADS[wallet.kind], **members})
    try:
        _write(place, content, replace=replace)
    except FileExistsError:
        raise ConfigError(f"Key file {place} exists; it is not overwritten.") from None
    except OSError as problem:
        raise ConfigError(f"Key file {place} can't be written: {problem.strerror}") from problem


def load_or_create(path: str | os.PathLike[str], kind: str = "rsa") -> Wallet:
    """The wallet in a key file, which is created with a new key if there is none."""
    place = Path(path)
    if not place.exists():
        wallet = generate_wallet(kind)
        try:
            save_wallet(wallet, place)
        except ConfigError:
            # Another process may have been first; then its wallet is the one.
            if not place.exists():
                raise
    return load_wallet(place)


def wallet_from_jwk(jwk: Mapping[str, Any]) -> Wallet:
    """The wallet of a private JWK; `ConfigError` names a member that is missing or wrong."""
    kty, curve = jwk.get("kty"), jwk.get("crv")
    if kty == "RSA":
        return _rsa(jwk)
    if (kty, curve) == ("OKP", "Ed25519"):
        return _matching(Ed25519Wallet(_number(jwk, "d")), jwk, "x")
    if (kty, curve) == ("EC", "secp256k1"):
        return Secp256k1Wallet(_number(jwk, "d").rjust(32, b"\0"))
    raise ConfigError(f"a JWK with kty {str(kty)[:16]!r} and crv {str(curve)[:16]!r} is no wallet")


def _matching(wallet: Wallet, jwk: Mapping[str, Any], member: str) -> Wallet:
    if member in jwk and _number(jwk, member) != wallet.public:
        raise ConfigError(f"the public member {member!r} of the JWK belongs to another key")
    return wallet


def _rsa(jwk: Mapping[str, Any]) -> Wallet:
    from hyperbeam_trio.crypto import rsa

    numbers = {name: int.from_bytes(_number(jwk, name), "big") for name in _RSA_NUMBERS}
    if numbers["e"] != rsa.EXPONENT:
        raise ConfigError(f"the exponent of an RSA wallet has to be {rsa.EXPONENT}")
    key = None
    with contextlib.suppress(ValueError, OverflowError):
        key = rsa.from_numbers(numbers)
    if key is None:
        raise ConfigError("the members of the JWK are no RSA key")
    return RsaWallet(key)


def _number(jwk: Mapping[str, Any], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise ConfigError(f"the JWK has no member {name!r}; is it a public key?")
    raw = None
    # Raised outside, so that the error's context does not carry the text.
    with contextlib.suppress(BadRequest):
        raw = from_base64(text, name)
    if raw is None:
        raise ConfigError(f"the member {name!r} of the JWK is not base64url")
    return raw


def _read(place: Path) -> tuple[Wallet | None, str]:
    """A wallet, or what is wrong; raising from here would carry the content in its context."""
    try:
        content = place.read_bytes()
        if place.stat().st_mode & 0o077:
            logger.warning("Key file %s is open to others; set its mode to 0600.", place)
    except OSError as problem:
        return None, f"can't be read: {problem.strerror}"
    try:
        jwk = orjson.loads(content)
    except ValueError:
        return None, "is not JSON"
    if not isinstance(jwk, dict):
        return None, "holds no JSON object"
    try:
        return wallet_from_jwk(jwk), ""
    except ConfigError as problem:
        return None, problem.text


def _write(place: Path, content: bytes, *, replace: bool) -> None:
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
        if replace:
            os.replace(draft, place)
        else:
            # Unlike a rename, a link never takes the place of an existing file.
            os.link(draft, place)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(place.parent)
