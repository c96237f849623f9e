"""Commitments of nested messages, also in the form of May 2025 (spec/02 §4.2, spec/08 §6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hyperbeam_trio.codec.components import keys_of_components, own_name
from hyperbeam_trio.codec.signature_fields import read_commitment
from hyperbeam_trio.codec.structured import read_commitment_fields
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.crypto.keyid import HMAC_SHA256, hmac_sha256
from hyperbeam_trio.crypto.signature_base import (
    base_of,
    content_digest,
    parameters_text,
)
from hyperbeam_trio.crypto.signature_headers import (
    MAX_SIGNATURES,
    SignatureInput,
    read_signatures,
)
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message

_SIGNATURE: Final = "signature"
_INPUT: Final = "signature-input"
_HMAC_2025: Final = {"alg": HMAC_SHA256, "keyid": "ao"}


def with_wire_commitments(level: Tabm, message: Message) -> Message:
    """`message`, read from `level`, with the commitments that stand there.

    They are members of `commitments`, in our form or with whole signature headers inside, or
    signature headers of the message itself. Raises `BadRequest` for what can't be read.
    """
    found: list[Commitment] = []
    entries = level.get("commitments")
    if isinstance(entries, bytes):
        raise BadRequest("Key 'commitments' should be a message of commitments by their ids.")
    for id, fields in (entries or {}).items():
        found += _read_entry(id, fields, level, message)
    if _INPUT in level and _SIGNATURE in level:
        found += _read_headers(level, level, message)
        message = message.without(_SIGNATURE, _INPUT)
    if len(found) > MAX_SIGNATURES:
        raise BadRequest(f"A message has over {MAX_SIGNATURES} commitments.")
    return message.with_commitments(found) if found else message


def _read_entry(id: str, fields: bytes | Tabm, level: Tabm, message: Message) -> list[Commitment]:
    if not isinstance(fields, dict) or _INPUT not in fields:
        return [read_commitment_fields(id, fields)]
    signed = _read_headers(fields, level, message)
    if fields.get("alg") != HMAC_SHA256.encode():
        return signed
    return [unsigned for one in signed if (unsigned := _unsigned(id, one)) is not None]


def _read_headers(fields: Tabm, level: Tabm, message: Message) -> list[Commitment]:
    members = read_signatures(_text(fields, _SIGNATURE), _text(fields, _INPUT))
    return [
        _commitment(label, raw, given, level, message) for label, (raw, given) in members.items()
    ]


def _text(fields: Tabm, name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, bytes):
        raise BadRequest(f"A commitment has no text under {name!r}.")
    return value.decode("utf-8", "replace")


def _commitment(
    label: str, signature: bytes, given: SignatureInput, level: Tabm, message: Message
) -> Commitment:
    names = [own_name(name) for name in given.components]
    inline = _inline(level, names)
    inside = [inline] if "content-digest" in names and inline in level else []
    committed = keys_of_components(names, inside, level, multipart=False)
    commitment = read_commitment(label, signature, given, committed)
    components = [(name, _value(name, level, inline)) for name in names]
    lines = [(name, value) for name, value in components if value is not None]
    if len(lines) < len(names):
        return commitment
    values = {key: message[key] for key in committed if key in message}
    return replace(commitment, evidence=Evidence(values, base=base_of(lines, given.text)))


def _inline(level: Tabm, names: list[str]) -> str:
    """The key that the digest is of: `data` only if it was signed that it is not `body`."""
    is_data = "inline-body-key" in names and "body" not in level and "data" in level
    return "data" if is_data else "body"


def _value(name: str, level: Tabm, inline: str) -> bytes | None:
    if name == "inline-body-key":
        return inline.encode()
    value = level.get(inline if name == "content-digest" else name)
    if not isinstance(value, bytes):
        return None
    return content_digest(value).encode() if name == "content-digest" else value


def _unsigned(id: str, signed: Commitment) -> Commitment | None:
    """The HMAC commitment beside a signature, if `id`, whose case may be lost, is what it gives."""
    evidence = signed.evidence
    if evidence is None or evidence.base is None:
        return None
    lines, _, parameters = evidence.base.rpartition(b'"@signature-params": ')
    listed = parameters[: parameters.index(b")") + 1].decode()
    base = lines + b'"@signature-params": ' + listed.encode()
    base += parameters_text(_HMAC_2025, ("alg", "keyid")).encode()
    signature = hmac_sha256(b"ao", base)
    found = human_id(signature)
    if found.lower() != id.lower():
        return None
    return Commitment(
        id=found,
        device=signed.device,
        type=HMAC_SHA256,
        signature=signature,
        committed=signed.committed,
        keyid="ao",
        evidence=Evidence(evidence.values, base=base),
    )
