"""Ids and the base64 forms that carry keys, signatures and digests (spec/01 §2, spec/02 §7)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import pybase64

from hyperbeam_trio.errors import BadRequest

ID_BYTES: Final = 32
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
# Below this size the call into pybase64 costs more than it saves.
_SHORT: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}|0x[0-9A-Fa-f]{40}")
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def to_base64url(data: bytes) -> str:
    """`data` in the URL alphabet, without padding."""
    if len(data) < _SHORT:
        encoded = binascii.b2a_base64(data, newline=False)
    else:
        encoded = pybase64.standard_b64encode(data)
    return encoded.translate(_TO_URL, b"=").decode("ascii")


def to_base64(data: bytes) -> str:
    """`data` in the standard alphabet, padded, as structured fields and keyids carry it."""
    if len(data) < _SHORT:
        return binascii.b2a_base64(data, newline=False).decode("ascii")
    return pybase64.b64encode_as_string(data)


def from_base64(text: str | bytes, what: str = "value") -> bytes:
    """The bytes that `text` encodes, in either alphabet, with or without padding.

    `what` names the text in the `BadRequest` that a foreign character or a wrong length raises.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else text
        return _decode_standard(raw.translate(_TO_STANDARD))
    except ValueError as problem:
        shown = text[:48]
        raise BadRequest(f"{what} is not base64: {shown!r} ({problem})") from None


def _decode_standard(raw: bytes) -> bytes:
    core = raw.rstrip(b"=")
    padding = b"=" * (-len(core) % 4)
    if len(core) != len(raw) and len(raw) != len(core) + len(padding):
        raise ValueError(f"{len(raw) - len(core)} padding characters, expected {len(padding)}")
    if len(raw) < _SHORT:
        return binascii.a2b_base64(core + padding, strict_mode=True)
    return pybase64.b64decode(core + padding, validate=True)


def is_id(text: str) -> bool:
    """Whether `text` can be an id: 43 base64url characters, or a 42-character `0x` address."""
    return _ID.fullmatch(text) is not None


def human_id(raw: bytes) -> str:
    """The 43-character form of a 32-byte id."""
    if len(raw) != ID_BYTES:
        raise BadRequest(f"An id has {ID_BYTES} bytes, this has {len(raw)}.")
    return binascii.b2a_base64(raw, newline=False).translate(_TO_URL, b"=").decode("ascii")


def native_id(text: str) -> bytes:
    """The 32 bytes of a 43-character id; `BadRequest` for anything else, also `0x` addresses."""
    if len(text) != 43 or not is_id(text):
        raise BadRequest(f"{text[:64]!r} is not an id of 43 base64url characters.")
    return binascii.a2b_base64(text.encode("ascii").translate(_TO_STANDARD) + b"=")


def hash_id(data: bytes | memoryview) -> str:
    """The 43-character SHA-256 of `data`: the id of a binary, the address of a public key."""
    encoded = binascii.b2a_base64(sha256(data).digest(), newline=False)
    return encoded.translate(_TO_URL, b"=").decode("ascii")


def combine_ids(ids: Iterable[str]) -> str:
    """One id for several: their sum as big-endian integers modulo 2^256 (spec/02 §7).

    Takes 43-character ids, at least one; a single id combines to itself.
    """
    given = list(ids)
    if not given:
        raise BadRequest("There are no ids to combine.")
    if len(given) == 1:
        return given[0]
    total = sum(int.from_bytes(native_id(id_), "big") for id_ in given)
    return human_id((total % (1 << 256)).to_bytes(ID_BYTES, "big"))


def commitment_id(signature: bytes) -> str:
    """The id of a commitment: a 32-byte signature itself, else its SHA-256 (spec/02 §2)."""
    return human_id(signature) if len(signature) == ID_BYTES else hash_id(signature)


def to_base58(data: bytes) -> str:
    """`data` in the Bitcoin base58 alphabet, as Solana writes addresses (spec/02 §11.3)."""
    number = int.from_bytes(data, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_BASE58[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))
