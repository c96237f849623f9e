"""tx@1.0: messages as transactions of the Arweave chain (spec/02 §12)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import trio

from hyperbeam_trio.codec.ans104 import read_data, write_data
from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.tagged import (
    BUNDLE_TAGS,
    Parts,
    assembled,
    committed_by,
    is_bundle,
    original_tags,
    read_tags,
    says_the_same,
    tags_of,
)
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import from_base64, to_base64url
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.transaction import Transaction
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.verifiers import register_verifier

DEVICE: Final = "tx@1.0"

_BINARIES: Final = ("anchor", "target", "data_root")
_NUMBERS: Final = ("quantity", "reward", "data_size")
_FIELDS: Final = ("anchor", "format", "quantity", "reward", "target", "data_root", "data_size")


# Reading.


def read_transaction(transaction: Transaction) -> Message:
    """The message of a transaction, with the commitment that its signature is, not checked.

    Raises `BadRequest`.
    """
    tags = read_tags(transaction.tags)
    fields = _fields(transaction)
    data = read_data(memoryview(transaction.data), tags)
    value = assembled(tags, fields, data)
    if not isinstance(value, Message):
        raise BadRequest("A transaction is a message, and can't be a list.")
    if not transaction.signature:
        return value
    committed = committed_by(data, transaction.tags, fields)
    return value.with_commitments([_commitment(transaction, tags, fields, committed, value)])


def _fields(transaction: Transaction) -> dict[str, bytes]:
    """The fields that are not what they are by default, as text, in the order of signing."""
    texts = {name: to_base64url(getattr(transaction, name)).encode() for name in _BINARIES}
    numbers = {name: getattr(transaction, name) for name in _NUMBERS}
    texts.update({name: b"%d" % number for name, number in numbers.items() if number})
    if transaction.format == 1:
        texts["format"] = b"1"
    return {name: texts[name] for name in _FIELDS if texts.get(name)}


def _commitment(
    transaction: Transaction,
    tags: Mapping[str, bytes],
    fields: Mapping[str, bytes],
    committed: tuple[str, ...],
    value: Message,
) -> Commitment:
    extra: dict[str, Value] = {f"field-{name}": text for name, text in fields.items()}
    if is_bundle(tags):
        extra.update({name: tags[name] for name in BUNDLE_TAGS if name in tags})
    original = original_tags(transaction.tags)
    if original is not None:
        extra["original-tags"] = original
    owner = transaction.owner
    return Commitment(
        id=transaction.id,
        device=DEVICE,
        type=transaction.scheme,
        signature=transaction.signature,
        committed=committed,
        keyid="publickey:" + to_base64url(owner) if owner else None,
        committer=transaction.address,
        bundle=is_bundle(tags),
        extra=MappingProxyType(extra),
        evidence=Evidence(
            {key: value[key] for key in committed if key in value}, item=transaction.to_json()
        ),
    )


# Writing.


def write_transaction(message: Message, *, bundle: bool = False) -> Transaction:
    """The transaction of a message: signed, if it has a commitment of this device, else not.

    Raises `BadRequest` for more than one such commitment, and for what can't be in a transaction.
    """
    own = [c for c in message.commitments.values() if c.device == DEVICE]
    if len(own) > 1:
        raise BadRequest(f"A message with {len(own)} commitments is not one transaction.")
    if not own:
        return _drafted(message, bundle)
    return _as_signed(message, own[0]) or _rebuilt(message, own[0])


def _as_signed(message: Message, commitment: Commitment) -> Transaction | None:
    evidence = commitment.evidence
    if evidence is None or evidence.item is None or not evidence.covers(message):
        return None
    return Transaction.from_json(evidence.item)


def _drafted(message: Message, bundle: bool) -> Transaction:
    """An unsigned transaction; keys that fit a field are fields, and no tags."""
    parts = Parts(message, bundle=bundle)
    fields: dict[str, Any] = {name: parts.take_pointer(name) for name in ("target", "anchor")}
    fields.update({name: _taken_number(parts, name) for name in ("quantity", "reward")})
    tags, data = write_data(parts, {})
    return Transaction.with_data(data, tags=tuple(tags + parts.tags()), **fields)


def _taken_number(parts: Parts, name: str) -> int:
    text = parts.flat.get(name, b"")
    if not text.isdigit() or len(text) > 77:
        return 0
    del parts.flat[name]
    return int(text)


def _rebuilt(message: Message, commitment: Commitment) -> Transaction:
    """The transaction that was signed, made of the committed keys again."""
    chosen = Message.of({k: message[k] for k in commitment.committed if k in message})
    parts = Parts(chosen, bundle=commitment.bundle is True)
    fields = {name: _field(commitment, name) for name in _FIELDS}
    for name, text in fields.items():
        if text and parts.flat.get(name) == text:
            del parts.flat[name]
    tags, data = write_data(parts, commitment.extra)
    tags += parts.tags(commitment.committed)
    original = commitment.extra.get("original-tags")
    owner = b"" if commitment.keyid is None else _owner(commitment.keyid)
    return Transaction(
        format=1 if fields["format"] == b"1" else 2,
        owner=owner,
        tags=tuple(tags if original is None else tags_of(original)),
        data=data,
        signature=commitment.signature,
        anchor=from_base64(fields["anchor"], "field-anchor"),
        target=from_base64(fields["target"], "field-target"),
        data_root=from_base64(fields["data_root"], "field-data_root"),
        quantity=_number(fields, "quantity"),
        reward=_number(fields, "reward"),
        data_size=_number(fields, "data_size"),
    )


def _field(commitment: Commitment, name: str) -> bytes:
    value = commitment.extra.get(f"field-{name}", b"")
    if not isinstance(value, bytes):
        raise InvalidField(f"field-{name}", "is not text")
    return value


def _number(fields: Mapping[str, bytes], name: str) -> int:
    text = fields[name] or b"0"
    if not text.isdigit() or len(text) > 77:
        raise InvalidField(f"field-{name}", f"{text[:32]!r} is not an integer")
    return int(text)


def _owner(keyid: str) -> bytes:
    return from_base64(keyid.partition(":")[2], "keyid")


# Committing and verifying.


async def commit_tx(
    message: Message, wallet: Wallet, *, limiter: trio.CapacityLimiter, bundle: bool = False
) -> Message:
    """The message of the transaction that `message` is, signed by `wallet` in a thread.

    Keys come out as the transaction has them, in lower case; commitments of other devices are
    kept. Raises `BadRequest`, and `ConfigError` for a wallet that can't sign transactions.
    """
    drafted = _drafted(message.uncommitted(), bundle)
    signed = read_transaction(await drafted.sign_async(wallet, limiter=limiter))
    others = [c for c in message.commitments.values() if c.device != DEVICE]
    return signed.with_commitments([*others, *signed.commitments.values()])


def verify_tx(message: Message, commitment: Commitment, *, secret: bytes | None = None) -> bool:
    """Whether a transaction's signature holds for `message`."""
    try:
        known = _as_signed(message, commitment)
        if known is not None:
            return _holds(known, commitment)
        rebuilt = _rebuilt(message, commitment)
        read = read_transaction(rebuilt)
    except BadRequest:
        return False
    return _holds(rebuilt, commitment) and says_the_same(read, message, commitment.committed)


def _holds(transaction: Transaction, commitment: Commitment) -> bool:
    claimed = (commitment.id, commitment.committer, commitment.signature)
    actual = (transaction.id, transaction.address, transaction.signature)
    return claimed == actual and transaction.verify()


register_verifier(DEVICE, verify_tx)


class TxCodec(Codec):
    """tx@1.0: the JSON of the Arweave HTTP API."""

    name = DEVICE
    content_type = "application/tx"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        return write_transaction(message, bundle=bundle).to_json()

    def from_bytes(self, data: bytes) -> Message:
        return read_transaction(Transaction.from_json(data))


TX: Final = TxCodec()
