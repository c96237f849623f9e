"""Commitments as members of the signature headers, and back (spec/02 §3.5, §4.3, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from hyperbeam_trio.codec.components import DEVICE, component_names
from hyperbeam_trio.codec.layout import escape_name
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import commitment_id, from_base64, hash_id, to_base64url
from hyperbeam_trio.crypto.item_signature import address_of, type_named
from hyperbeam_trio.crypto.keyid import HMAC_SHA256, Keyid
from hyperbeam_trio.crypto.signature_base import LABEL_PREFIX, Parameters, commitment_label
from hyperbeam_trio.crypto.signature_headers import (
    SignatureInput,
    input_header,
    input_member,
    signature_header,
)
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value, as_text, numbered

_OWN: Final = frozenset({"alg", "keyid", "bundle"})
_ORIGINAL_TAGS: Final = "original-tags"
_COMMON_NAMES: Final = 64
_SAFE_IN_TAGS: Final = "!\"#$&'()*+./;<=>?@[\\]^`{|}~ "


# Writing.


def write_headers(message: Message) -> list[tuple[str, bytes]]:
    """`signature` and `signature-input` for the commitments of a message; none without any."""
    signatures: dict[str, bytes] = {}
    inputs: dict[str, str] = {}
    for commitment in message.commitments.values():
        label = commitment_label(commitment.signature)
        signatures[label] = commitment.signature
        inputs[label] = _member(tuple(component_names(message, commitment)), commitment)
    if not signatures:
        return []
    return [
        ("signature", signature_header(signatures).encode()),
        ("signature-input", input_header(inputs).encode()),
    ]


def _member(names: tuple[str, ...], given: Commitment) -> str:
    if given.extra or len(names) > _COMMON_NAMES:
        return input_member(map(_listed, names), _parameters(given))
    return _kept_member(names, given.device, given.type, given.keyid, given.bundle)


@lru_cache(maxsize=256)
def _kept_member(
    names: tuple[str, ...], device: str, type_: str, keyid: str | None, bundle: bool | None
) -> str:
    """Many messages are signed alike, by the same signer."""
    given = Commitment("", device, type_, b"", (), keyid, bundle=bundle)
    return input_member(map(_listed, names), _parameters(given))


def _listed(name: str) -> str:
    return name if name.isascii() and name.isprintable() else escape_name(name)


def _parameters(commitment: Commitment) -> Parameters:
    found: dict[str, str | int] = {"alg": _algorithm(commitment)}
    if commitment.keyid is not None:
        found["keyid"] = commitment.keyid
    if commitment.bundle is not None:
        found["bundle"] = "true" if commitment.bundle else "false"
    for name, value in commitment.extra.items():
        found[name] = _parameter(name, value)
    return found


def _algorithm(commitment: Commitment) -> str:
    if commitment.device == DEVICE:
        return commitment.type
    return f"{commitment.device}/{commitment.type}" if commitment.type else commitment.device


def _parameter(name: str, value: Value) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if name == _ORIGINAL_TAGS and isinstance(value, Message):
        return _tags_text(value)
    if isinstance(value, list):
        return ", ".join(as_text(item) or "" for item in value)
    return as_text(value) or ""


def _tags_text(tags: Message) -> str:
    written = []
    for place, tag in enumerate(numbered(tags) or [], 1):
        if isinstance(tag, Message):
            name = quote(tag.binary("name", b""), safe=_SAFE_IN_TAGS)
            written.append(f"{place}:{name}:{to_base64url(tag.binary('value', b''))}")
    return ", ".join(written)


# Reading.


def read_commitment(
    label: str,
    signature: bytes,
    given: SignatureInput,
    committed: tuple[str, ...],
    evidence: Evidence | None = None,
) -> Commitment:
    """The commitment of one label of the headers; its id comes from the signature alone."""
    parameters = given.parameters
    device, type_ = device_and_type(str(parameters.get("alg", "")))
    keyid = parameters.get("keyid")
    text = None if keyid is None else str(keyid)
    bundle = parameters.get("bundle")
    return Commitment(
        id=commitment_id(signature),
        device=device,
        type=type_,
        signature=signature,
        committed=committed,
        keyid=text,
        committer=committer_of(device, type_, text, ours=label.startswith(LABEL_PREFIX)),
        bundle=None if bundle is None else bundle == "true",
        extra=MappingProxyType(_extra(parameters)),
        evidence=evidence,
    )


def device_and_type(algorithm: str) -> tuple[str, str]:
    """What an `alg` names: a commitment device, httpsig@1.0 unless it says another, and a type."""
    if "@" not in algorithm:
        return DEVICE, algorithm
    device, _, type_ = algorithm.partition("/")
    return device, type_


def committer_of(device: str, type_: str, keyid: str | None, *, ours: bool) -> str | None:
    """The address that a keyid implies, if it implies one.

    In our own form (`ours`) a public key needs its prefix; older forms have none.
    """
    if keyid is None:
        return None
    if device == "ans104@1.0":
        return _owner_address(type_, keyid)
    parsed = Keyid.parse(keyid, type_)
    bare = ":" not in keyid and type_ != HMAC_SHA256
    return None if bare and (ours or len(parsed.key) < 32) else parsed.committer


def _owner_address(type_: str, keyid: str) -> str | None:
    try:
        owner = from_base64(keyid.partition(":")[2], "keyid")
    except BadRequest:
        return None
    known = type_named(type_)
    return hash_id(owner) if known is None else address_of(known.number, owner)


def _extra(parameters: Parameters) -> Mapping[str, Value]:
    found: dict[str, Value] = {}
    for name, value in parameters.items():
        if name == _ORIGINAL_TAGS and isinstance(value, str):
            found[name] = _read_tags(value)
        elif name not in _OWN:
            found[name] = value if isinstance(value, int) else value.encode()
    return found


def _read_tags(text: str) -> Message:
    tags: dict[str, Value] = {}
    for member in text.split(", ") if text else []:
        place, _, rest = member.partition(":")
        name, _, value = rest.rpartition(":")
        tags[place] = Message.of({"name": unquote(name).encode(), "value": _tag_value(value)})
    return Message.of(tags)


def _tag_value(text: str) -> bytes:
    """A tag's value, in base64url as N writes it, or as it is, as June 2025 does."""
    try:
        return from_base64(text, "original-tags")
    except BadRequest:
        return text.encode()
