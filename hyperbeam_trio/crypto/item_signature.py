"""Signature types of ANS-104: their sizes, names, schemes and addresses (spec/02 §11.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.crypto import ed25519, secp256k1
from hyperbeam_trio.crypto.encoding import hash_id, to_base58
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.keyid import ED25519, RSA_PSS_SHA256
from hyperbeam_trio.crypto.wallet import ETHEREUM, TYPED_ETHEREUM, Wallet
from hyperbeam_trio.errors import ConfigError

ARWEAVE_TYPE: Final = 1
ED25519_TYPE: Final = 2
ETHEREUM_TYPE: Final = 3
SOLANA_TYPE: Final = 4
TYPED_ETHEREUM_TYPE: Final = 7
UNSIGNED: Final = "unsigned-sha256"

_TEXT_ADDRESS: Final = re.compile(rb"0x[0-9A-Fa-f]{40}")
_REFUSED: Final = {5: "injectedAptos", 6: "multiAptos", 101: "kyve"}


@dataclass(frozen=True, slots=True)
class SignatureType:
    """A signature type: its number and sizes on the wire, its name in `type`, and its signers.

    `algorithm` is what a wallet of kind `wallet_kind` signs the deep hash with.
    """

    number: int
    name: str
    signature_bytes: int
    owner_bytes: int
    wallet_kind: str
    algorithm: str

    @property
    def size(self) -> int:
        """Bytes of signature and owner together."""
        return self.signature_bytes + self.owner_bytes


_TYPES: Final = {
    type_.number: type_
    for type_ in (
        SignatureType(ARWEAVE_TYPE, "rsa-pss-sha256", 512, 512, "rsa", RSA_PSS_SHA256),
        SignatureType(ED25519_TYPE, "ed25519-sha512", 64, 32, "ed25519", ED25519),
        SignatureType(ETHEREUM_TYPE, "ethereum", 65, 65, "secp256k1", ETHEREUM),
        SignatureType(SOLANA_TYPE, "solana", 64, 32, "ed25519", ED25519),
        SignatureType(TYPED_ETHEREUM_TYPE, "typed_ethereum", 65, 42, "secp256k1", TYPED_ETHEREUM),
    )
}


def signature_type(number: int) -> SignatureType:
    """The signature type of that number; `InvalidField` for those that we don't know."""
    known = _TYPES.get(number)
    if known is not None:
        return known
    name = f" ({_REFUSED[number]})" if number in _REFUSED else ""
    supported = ", ".join(map(str, _TYPES))
    raise InvalidField("signature type", f"{number}{name} is not supported, only {supported}")


def type_named(name: str) -> SignatureType | None:
    """The signature type whose commitments have `name` as their `type`, if there is one."""
    return next((type_ for type_ in _TYPES.values() if type_.name == name), None)


def verify_item(number: int, owner: bytes, signature: bytes, digest: bytes) -> bool:
    """Whether `signature` holds for an item whose deep hash is `digest` (48 bytes)."""
    if number == ARWEAVE_TYPE:
        from hyperbeam_trio.crypto import rsa

        return rsa.verify(RSA_PSS_SHA256, owner, signature, digest)
    if number == ED25519_TYPE:
        return ed25519.verify(owner, signature, digest)
    if number == SOLANA_TYPE:
        return ed25519.verify(owner, signature, signing_input(number, digest))
    if number == ETHEREUM_TYPE:
        hashed = secp256k1.personal_digest(digest)
        return secp256k1.recover_ethereum(signature, hashed) == owner
    return _verify_typed(owner, signature, digest)


def _verify_typed(owner: bytes, signature: bytes, digest: bytes) -> bool:
    if not _TEXT_ADDRESS.fullmatch(owner):
        return False
    address = owner.decode("ascii")
    public = secp256k1.recover_ethereum(signature, secp256k1.typed_digest(digest, address))
    return public is not None and secp256k1.ethereum_address(public).lower() == address.lower()


def address_of(number: int, owner: bytes) -> str:
    """What the signer of an item with that signature type and owner is known by."""
    if number == ETHEREUM_TYPE:
        return secp256k1.ethereum_address(owner)
    if number == SOLANA_TYPE:
        return to_base58(owner)
    if number == TYPED_ETHEREUM_TYPE:
        return owner.decode("latin-1")
    return hash_id(owner)


def type_for(wallet: Wallet, number: int | None = None) -> SignatureType:
    """The signature type that `wallet` signs items with, or `number` if it can make that one."""
    possible = [type_ for type_ in _TYPES.values() if type_.wallet_kind == wallet.kind]
    chosen = [type_ for type_ in possible if number in (None, type_.number)]
    if not chosen:
        raise ConfigError(f"A wallet of kind {wallet.kind} can't sign items of type {number}.")
    if wallet.kind == "rsa" and len(wallet.public) != chosen[0].owner_bytes:
        raise ConfigError("Data items can be signed by RSA keys of 4096 bits only.")
    return chosen[0]


def owner_of(wallet: Wallet, number: int) -> bytes:
    """The owner field of items of type `number` that `wallet` signs."""
    if number == TYPED_ETHEREUM_TYPE:
        return wallet.address.encode("ascii")
    return wallet.public


def signing_input(number: int, digest: bytes) -> bytes:
    """What a wallet has to sign for an item with the deep hash `digest`."""
    return digest.hex().encode("ascii") if number == SOLANA_TYPE else digest
