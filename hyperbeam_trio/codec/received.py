"""What came over HTTP, kept long enough to say what its signatures cover (spec/02 §8, §10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from hyperbeam_trio.codec.components import keys_of_components, own_name
from hyperbeam_trio.codec.multipart import LINE_BYTES
from hyperbeam_trio.codec.signature_fields import device_and_type, read_commitment
from hyperbeam_trio.codec.structured_fields import parameter, unescape_name
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import hash_id, to_base64, to_base64url
from hyperbeam_trio.crypto.signature_base import LABEL_PREFIX, base_of, signature_params
from hyperbeam_trio.crypto.signature_headers import LONGEST_KEPT, SignatureInput, read_signatures
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value

_JUNE: Final = "sig-"
_DIGEST: Final = re.compile(rb"\s*sha-256=:([A-Za-z0-9+/_=-]*):\s*")


class _Cover(NamedTuple):
    """What a list of components covers: keys, their values, and the base up to its last line.

    There is no base if what was signed is not what the message has.
    """

    names: tuple[str, ...]
    committed: tuple[str, ...]
    values: dict[str, Value]
    base: bytes | None


@dataclass
class Received:
    """Headers as they came and by their keys, the body, and what was made of them.

    `inline` is the key that the body itself stands for, `inside` are the keys that were in the
    body, `ids` those in `ao-ids`; `tabm` has it all.
    """

    headers: dict[str, bytes]
    named: dict[str, bytes]
    body: bytes | None
    inline: str
    inside: tuple[str, ...]
    ids: tuple[str, ...]
    tabm: Tabm

    def commitments(self, message: Message) -> list[Commitment]:
        """The commitments of `message`, which was read from here."""
        signature, given = self.headers.get("signature"), self.headers.get("signature-input")
        if signature is None or given is None:
            return []
        covers: dict[tuple[object, ...], _Cover] = {}
        found = []
        for label, (raw, member) in read_signatures(_text(signature), _text(given)).items():
            if self._checkable(label, member):
                key = (member.components, member.parameters.get("bundle"))
                if key not in covers:
                    covers[key] = self._cover(member, message)
                found.append(_commitment(label, raw, member, covers[key]))
        return found

    def _checkable(self, label: str, given: SignatureInput) -> bool:
        """A client of ours signs bodies that it then does not send (spec/08 §5.0)."""
        ours = label.startswith(LABEL_PREFIX)
        return ours or self.body is not None or "content-digest" not in given.components

    def _cover(self, given: SignatureInput, message: Message) -> _Cover:
        names = tuple([own_name(name) for name in given.components])
        listed = frozenset(names)
        inside = self._digested(listed)
        transport = self._is_multipart and not self._is_own_type(given)
        committed = _committed(names, tuple(inside), tuple(self.tabm), transport)
        if "ao-ids" in listed:
            committed = tuple(key for key in committed if key != "ao-ids") + self.ids
        if "ao-types" in listed:
            committed += self._announced(message)
        if "ao-body-key" in listed and "ao-body-key" not in self.headers and "data" in self.tabm:
            # The body was `data` when it was signed; now something else is in its place.
            committed = tuple(dict.fromkeys((*committed, "data")))
        values = {key: message[key] for key in committed if key in message}
        return _Cover(names, committed, values, self._base(names))

    def _announced(self, message: Message) -> tuple[str, ...]:
        """Keys that are there because `ao-types` says so alone, as May 2025 writes empty values."""
        return tuple(
            key for key in message if key not in self.tabm and f"{key}+link" not in self.tabm
        )

    def _digested(self, names: frozenset[str]) -> list[str]:
        """The keys in the body that the digest among `names` covers.

        Only if `names` also say how the body is to be taken apart: by its boundary, and what it
        stands for itself. A `content-type` in the body is what we put there, and not signed.
        """
        if "content-digest" not in names or self.body is None:
            return []
        if self._is_multipart and "content-type" not in names and not self._has_own_boundary:
            return []
        left_out = {key for key in self.inside if f"{key}+link" in names}
        if not {"ao-body-key", "inline-body-key"} & self.headers.keys() <= names:
            left_out.add(self.inline)
        kind = self.tabm.get("content-type")
        if isinstance(kind, bytes) and len(kind) <= LINE_BYTES:
            left_out.add("content-type")
        return [key for key in self.inside if key not in left_out]

    def _is_own_type(self, given: SignatureInput) -> bool:
        """Whether a signed `content-type` is a key, which travels as a part beside the others.

        It is what was signed if all else that has to be in a body now was a link at that time. With
        all that is nested in it, a message that had a body then has its digest signed too.
        """
        if "content-type" not in self.inside:
            return False
        if given.parameters.get("bundle") == "true":
            return "content-digest" not in given.components
        values = {key: self.tabm[key] for key in self.inside if key != "content-type"}
        binaries = {key: value for key, value in values.items() if isinstance(value, bytes)}
        return all(key == self.inline or len(v) <= LINE_BYTES for key, v in binaries.items())

    @property
    def _is_multipart(self) -> bool:
        return self.headers.get("content-type", b"").startswith(b"multipart/")

    @cached_property
    def _has_own_boundary(self) -> bool:
        """Whether the boundary is the hash of the parts, so that signing these binds it."""
        text = self.headers["content-type"].decode("latin-1")
        boundary = parameter(text, "boundary")
        if boundary is None or self.body is None:
            return False
        marker = b"--" + boundary.encode()
        end = self.body.rfind(b"\r\n" + marker + b"--")
        parts = self.body[len(marker) + 2 : end].split(b"\r\n" + marker + b"\r\n")
        return hash_id(b"\r\n".join(parts)) == boundary

    def _base(self, names: tuple[str, ...]) -> bytes | None:
        """The base over the literal values, up to the text of the parameters.

        There is none where one of the values is not what the message has.
        """
        lines: list[tuple[str, bytes]] = []
        for name in names:
            value = self.headers.get(name)
            if value is None or name in ("content-digest", "ao-ids"):
                value = self._special(name)
            # Another header or a member of the body may have taken the place of the one signed.
            key = unescape_name(name)
            if value is None or self.tabm.get(key, value) != value:
                return None
            lines.append((name, value))
        return base_of(lines, "")

    def _special(self, name: str) -> bytes | None:
        if name == "content-digest":
            return self._digest
        if name == "ao-ids" and not set(self.ids).isdisjoint(self.inside):
            return None
        return self.named.get(unescape_name(name))

    @cached_property
    def _digest(self) -> bytes | None:
        """The body's digest: as it came if it is right in either alphabet, else as it should be."""
        if self.body is None:
            return None
        raw = sha256(self.body).digest()
        right = to_base64(raw).encode()
        came = self.headers.get("content-digest", b"")
        match = _DIGEST.fullmatch(came)
        if match is not None:
            either = (right.rstrip(b"="), to_base64url(raw).encode())
            if match[1].rstrip(b"=") in either:
                return came.strip()
        return b"sha-256=:" + right + b":"


def _committed(
    names: tuple[str, ...], inside: tuple[str, ...], present: tuple[str, ...], multipart: bool
) -> tuple[str, ...]:
    """The keys that components stand for; most messages of one sender have the same ones."""
    if sum(map(len, present)) + sum(map(len, names)) > LONGEST_KEPT:
        return keys_of_components(names, inside, frozenset(present), multipart=multipart)
    return _kept_committed(names, inside, present, multipart)


@lru_cache(maxsize=256)
def _kept_committed(
    names: tuple[str, ...], inside: tuple[str, ...], present: tuple[str, ...], multipart: bool
) -> tuple[str, ...]:
    return keys_of_components(names, inside, frozenset(present), multipart=multipart)


def _commitment(label: str, signature: bytes, given: SignatureInput, cover: _Cover) -> Commitment:
    evidence = None
    if cover.base is not None:
        base = cover.base + _signed_params(label, given, cover)
        evidence = Evidence(cover.values, base=base)
    return read_commitment(label, signature, given, cover.committed, evidence)


def _signed_params(label: str, given: SignatureInput, cover: _Cover) -> bytes:
    """The text of `@signature-params` that was signed: in our form the bare type is the `alg`."""
    if not label.startswith((LABEL_PREFIX, _JUNE)):
        return given.text.encode()
    if len(given.text) > LONGEST_KEPT:
        return _params_of(cover.names, tuple(given.parameters.items()))
    return _kept_params(cover.names, tuple(given.parameters.items()))


def _params_of(names: tuple[str, ...], parameters: tuple[tuple[str, str | int], ...]) -> bytes:
    found = dict(parameters)
    type_ = device_and_type(str(found.get("alg", "")))[1]
    return signature_params(names, {**found, "alg": type_}).encode()


_kept_params = lru_cache(maxsize=256)(_params_of)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"A signature header is not UTF-8: {raw[:80]!r}") from None
