"""The headers of a message that is sent just as it was signed (spec/02 §3, §5).

What a signature covers is a list of headers, and the digest of a body; where a message has nothing
else, they are what to send, and nobody has to lay it out again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.signature_base import plain_name
from hyperbeam_trio.message import Message

_PARAMS: Final = b'\n"@signature-params": '
_LISTED: Final = re.compile(rb'"@signature-params": \(((?:"[a-z0-9@+._-]+" ?)+)\)')
_NAME: Final = re.compile(rb'"([^"]+)"')
_CONTROLS: Final = bytes([*range(10), *range(11, 32), 127])
_OLDER: Final = frozenset({"inline-body-key", "body-keys"})
_DIGEST: Final = "content-digest"
_LONGEST: Final = 2048


def signed_headers(message: Message) -> tuple[dict[str, bytes], bytes | None] | None:
    """The headers without the signatures, and the body; `None` if nobody signed just these."""
    for commitment in message.commitments.values():
        evidence = _about_all(message, commitment)
        if evidence is not None and evidence.base is not None:
            end = evidence.base.rfind(_PARAMS)
            if end <= 0:
                return None
            names = _names(evidence.base[end + 1 :])
            return _split(_headers(evidence.base[:end], names), evidence.body)
    return None


def _split(
    headers: dict[str, bytes] | None, body: bytes | None
) -> tuple[dict[str, bytes], bytes | None] | None:
    """The headers as they are sent: with a digest only of a body that is not empty."""
    if headers is None or (_DIGEST in headers) != (body is not None):
        return None
    if body == b"":
        del headers[_DIGEST]
    return headers, body


def _about_all(message: Message, commitment: Commitment) -> Evidence | None:
    """What a commitment of our own form signed, if that is the whole message."""
    evidence = commitment.evidence
    if evidence is None or evidence.base is None or commitment.bundle:
        return None
    if commitment.device != "httpsig@1.0" or ":" not in (commitment.keyid or ""):
        return None
    whole = evidence.values.keys() == message.keys() and evidence.covers(message)
    return evidence if whole else None


def _names(params: bytes) -> tuple[str, ...] | None:
    return _kept_names(params) if len(params) <= _LONGEST else _read_names(params)


def _read_names(params: bytes) -> tuple[str, ...] | None:
    """The names of headers that a signature lists, if they are plain ones."""
    found = _LISTED.match(params)
    if found is None:
        return None
    names = tuple(plain_name(name.decode()) for name in _NAME.findall(found[1]))
    return None if _OLDER.intersection(names) or "@" in "".join(names) else names


_kept_names = lru_cache(maxsize=256)(_read_names)


def _headers(lines: bytes, names: tuple[str, ...] | None) -> dict[str, bytes] | None:
    if names is None or _is_odd(lines):
        return None
    split = lines.split(b"\n")
    if len(split) != len(names):
        return None
    # Each line is the name in quotes, a colon, a space, and the value.
    headers = {name: line[len(name) + 4 :] for name, line in zip(names, split, strict=True)}
    same = all(line[1 : len(n) + 1] == n.encode() for n, line in zip(names, split, strict=True))
    return headers if same and len(headers) == len(names) else None


def _is_odd(lines: bytes) -> bool:
    """Whether one is no plain header: control characters, or no value, or spaces around it.

    A few plain searches take a quarter of the time that a regular expression takes.
    """
    plain = lines.translate(None, _CONTROLS)
    return len(plain) < len(lines) or b'":  ' in lines or b" \n" in lines or lines.endswith(b" ")
