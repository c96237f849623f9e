"""Arweave transactions of format 1 and 2: JSON, signed bytes, id (spec/02 §12)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias

import orjson
import trio

from hyperbeam_trio.crypto import secp256k1
from hyperbeam_trio.crypto.deep_hash import Chunk, deep_hash
from hyperbeam_trio.crypto.encoding import from_base64, hash_id, human_id, to_base64url
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, Tag
from hyperbeam_trio.crypto.keyid import RSA_PSS_SHA256
from hyperbeam_trio.crypto.merkle import ChunkRule, data_root
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest, ConfigError

Scheme: TypeAlias = Literal["rsa-pss-sha256", "ecdsa-secp256k1-sha256"]

_NO_OWNER: Final = bytes(512)
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,77}")
_SIZES: Final[Mapping[str, tuple[int, ...]]] = {
    "anchor": (0, 32, 48),
    "owner": (0, 512),
    "target": (0, 32),
    "data_root": (0, 32),
    "signature": (0, 65, 512),
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction. Amounts are in winston; `anchor` is `last_tx` in JSON.

    An empty `owner` means ECDSA, whose signer is recovered from the signature; an empty
    `signature` means unsigned. `data` is empty where it travels apart from the transaction.
    Raises `InvalidField` for a field that can't be.
    """

    format: int = 2
    anchor: bytes = b""
    owner: bytes = b""
    tags: tuple[Tag, ...] = ()
    target: bytes = b""
    quantity: int = 0
    data: bytes = b""
    data_size: int = 0
    data_root: bytes = b""
    reward: int = 0
    signature: bytes = b""
    denomination: int = 0

    def __post_init__(self) -> None:
        if self.format not in (1, 2):
            raise InvalidField("format", f"{self.format}, expected 1 or 2")
        for name, sizes in _SIZES.items():
            size = len(getattr(self, name))
            if size not in sizes:
                raise InvalidField(name, f"{size} bytes, expected one of {sizes}")
        for name in ("quantity", "reward", "data_size", "denomination"):
            if getattr(self, name) < 0:
                raise InvalidField(name, "is negative")
        DEFAULT_TAG_LIMITS.check(self.tags)

    @classmethod
    def with_data(cls, data: bytes, rule: ChunkRule = "arweave-js", **fields: Any) -> Transaction:
        """A transaction of format 2 for `data`, with its root and size; `fields` are the others."""
        return cls(data=data, data_size=len(data), data_root=data_root(data, rule), **fields)

    @property
    def scheme(self) -> Scheme:
        """How it is signed: the `type` of its commitment."""
        return "rsa-pss-sha256" if self.owner else "ecdsa-secp256k1-sha256"

    @property
    def id(self) -> str:
        """The 43-character id: the SHA-256 of the signature."""
        return hash_id(self.signature)

    @property
    def unsigned_id(self) -> str:
        """The id without a signer: of the bytes signed with an owner of 512 zeros."""
        return human_id(sha256(replace(self, owner=_NO_OWNER).signed_bytes()).digest())

    @property
    def address(self) -> str | None:
        """What the signer is known by, if there is one: the hash of its public key."""
        public = self.owner or self._recovered()
        return hash_id(public) if public else None

    def signed_bytes(self) -> bytes:
        """What is signed: fields in a row (format 1), or a 48-byte deep hash (format 2)."""
        amounts: list[Chunk] = [b"%d" % self.quantity, b"%d" % self.reward]
        owner: list[Chunk] = [self.owner] if self.owner else []
        tags: Chunk = [[name, value] for name, value in self.tags]
        front: list[Chunk] = [b"%d" % self.denomination] if self.denomination else []
        if self.format == 2:
            size = b"%d" % self.data_size
            fields = [b"2", *owner, self.target, *amounts, self.anchor, tags, size, self.data_root]
            return deep_hash([*front, *fields])
        if front:
            return deep_hash([*front, *owner, self.target, *amounts, self.anchor, tags])
        return self._plain_bytes()

    def _plain_bytes(self) -> bytes:
        amounts = b"%d%d" % (self.quantity, self.reward)
        tags = b"".join(name + value for name, value in self.tags)
        return b"".join((self.owner, self.target, self.data, amounts, self.anchor, tags))

    def verify(self) -> bool:
        """Whether the signature holds, the data (if it is here) is that of the root, and the
        transaction does not pay its own signer."""
        signer = self.address
        if signer is None or signer == to_base64url(self.target) or not self._data_fits():
            return False
        if not self.owner:
            return True  # the signer was recovered from the signature over these fields
        from hyperbeam_trio.crypto import rsa

        return rsa.verify(RSA_PSS_SHA256, self.owner, self.signature, self.signed_bytes())

    def _recovered(self) -> bytes | None:
        digest = secp256k1.arweave_digest(self.signed_bytes())
        public = secp256k1.recover(self.signature, digest)
        return None if public is None else secp256k1.compressed(public)

    def _data_fits(self) -> bool:
        if self.format == 1 or not self.data:
            return True
        rules: tuple[ChunkRule, ...] = ("arweave-js", "fixed")
        return self.data_size == len(self.data) and any(
            data_root(self.data, rule) == self.data_root for rule in rules
        )

    def sign(self, wallet: Wallet) -> Transaction:
        """This transaction signed by an RSA-4096 or a secp256k1 wallet."""
        if wallet.kind not in ("rsa", "secp256k1"):
            raise ConfigError(f"A wallet of kind {wallet.kind} can't sign transactions.")
        owner = wallet.public if wallet.kind == "rsa" else b""
        owned = replace(self, owner=owner, signature=b"")
        return replace(owned, signature=wallet.sign(owned.signed_bytes(), owned.scheme))

    async def sign_async(self, wallet: Wallet, *, limiter: trio.CapacityLimiter) -> Transaction:
        """As `sign`, in a thread under `limiter`."""
        return await trio.to_thread.run_sync(self.sign, wallet, limiter=limiter)

    @classmethod
    def from_json(cls, text: bytes | str) -> Transaction:
        """Read the JSON of the Arweave HTTP API.

        Raises `InvalidField` naming the member; an `id` that is not the signature's is one.
        """
        members = _members(text)
        transaction = cls(
            format=_integer(members, "format", 1),
            anchor=_binary(members, "last_tx"),
            owner=_binary(members, "owner"),
            tags=_tags(members.get("tags", [])),
            target=_binary(members, "target"),
            quantity=_integer(members, "quantity"),
            data=_binary(members, "data"),
            data_size=_integer(members, "data_size"),
            data_root=_binary(members, "data_root"),
            reward=_integer(members, "reward"),
            signature=_binary(members, "signature"),
            denomination=_integer(members, "denomination"),
        )
        given = members.get("id", transaction.id)
        if transaction.signature and given != transaction.id:
            raise InvalidField("id", f"is not that of the signature, {transaction.id}")
        return transaction

    def to_json(self) -> bytes:
        """The JSON of the Arweave HTTP API."""
        members: dict[str, Any] = {
            "format": self.format,
            "id": self.id if self.signature else "",
            "last_tx": to_base64url(self.anchor),
            "owner": to_base64url(self.owner),
            "tags": [
                {"name": to_base64url(name), "value": to_base64url(value)}
                for name, value in self.tags
            ],
            "target": to_base64url(self.target),
            "quantity": str(self.quantity),
            "data": to_base64url(self.data),
            "data_size": str(self.data_size),
            "data_tree": [],
            "data_root": to_base64url(self.data_root),
            "reward": str(self.reward),
            "signature": to_base64url(self.signature),
        }
        if self.denomination:
            members["denomination"] = str(self.denomination)
        return orjson.dumps(members)


def _members(text: bytes | str) -> dict[str, Any]:
    try:
        members = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise BadRequest(f"A transaction that is not JSON: {problem}") from None
    if not isinstance(members, dict):
        raise BadRequest("A transaction is a JSON object.")
    return members


def _binary(members: Mapping[str, Any], name: str) -> bytes:
    text = members.get(name, "")
    if not isinstance(text, str):
        raise InvalidField(name, "is not text")
    try:
        return from_base64(text, name)
    except BadRequest as problem:
        raise InvalidField(name, problem.text) from None


def _integer(members: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = members.get(name, default)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidField(name, f"{str(value)[:32]!r} is not an integer")


def _tags(tags: Any) -> tuple[Tag, ...]:
    if not isinstance(tags, list) or not all(isinstance(tag, dict) for tag in tags):
        raise InvalidField("tags", "is not a list of objects")
    DEFAULT_TAG_LIMITS.check_count(len(tags))
    return tuple((_binary(tag, "name"), _binary(tag, "value")) for tag in tags)
