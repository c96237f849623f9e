"""What came over HTTP, kept long enough to say what its signatures cover (spec/02 §8, §10)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from hyperbeam_trio.codec.components import keys_of_components
from hyperbeam_trio.codec.multipart import LINE_BYTES
from hyperbeam_trio.codec.signature_fields import read_commitment
from hyperbeam_trio.codec.structured_fields import parameter, unescape_key
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import hash_id, to_base64, to_base64url
from hyperbeam_trio.crypto.signature_base import LABEL_PREFIX, base_of, signature_params
from hyperbeam_trio.crypto.signature_headers import SignatureInput, read_signatures
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message

_JUNE: Final = "sig-"
_DIGEST: Final = re.compile(rb"\s*sha-256=:([A-Za-z0-9+/_=-]*):\s*")


@dataclass(frozen=True, slots=True)
class Received:
    """Literal headers and body, the key that the body itself stands for, the keys that were in the
    body and in `ao-ids`, and the TABM of it all.
    """

    headers: dict[str, bytes]
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
        members = read_signatures(_text(signature), _text(given))
        digests = _digests(self.body) if self.body is not None else None
        return [
            self._commitment(label, raw, member, message, digests)
            for label, (raw, member) in members.items()
            if self._checkable(label, member)
        ]

    def _checkable(self, label: str, given: SignatureInput) -> bool:
        """A client of ours signs bodies that it then does not send (spec/08 §5.0)."""
        ours = label.startswith(LABEL_PREFIX)
        return ours or self.body is not None or "content-digest" not in given.components

    def _commitment(
        self,
        label: str,
        signature: bytes,
        given: SignatureInput,
        message: Message,
        digests: tuple[bytes, ...] | None,
    ) -> Commitment:
        names = [name.removeprefix("@") for name in given.components]
        inside = self._digested(names)
        transport = self._is_multipart and not self._is_own_type(given)
        committed = keys_of_components(names, inside, self.tabm, multipart=transport)
        if "ao-ids" in committed:
            committed = tuple(key for key in committed if key != "ao-ids") + self.ids
        if "ao-types" in committed:
            committed += self._announced(message)
        commitment = read_commitment(label, signature, given, committed)
        base = self._base(label, names, given, digests)
        if base is None:
            return commitment
        values = {key: message[key] for key in committed if key in message}
        return replace(commitment, evidence=Evidence(values, base=base))

    def _announced(self, message: Message) -> tuple[str, ...]:
        """Keys that are there because `ao-types` says so alone, as May 2025 writes empty values."""
        return tuple(
            key for key in message if key not in self.tabm and f"{key}+link" not in self.tabm
        )

    def _digested(self, names: list[str]) -> list[str]:
        """The keys in the body that the digest among `names` covers.

        Only if `names` also say how the body is to be taken apart: by its boundary, and what it
        stands for itself. A `content-type` in the body is what we put there, and not signed.
        """
        if "content-digest" not in names or self.body is None:
            return []
        if self._is_multipart and "content-type" not in names and not self._has_own_boundary():
            return []
        left_out = {key for key in self.inside if f"{key}+link" in names}
        if not {"ao-body-key", "inline-body-key"} & self.headers.keys() <= set(names):
            left_out.add(self.inline)
        kind = self.tabm.get("content-type")
        if isinstance(kind, bytes) and len(kind) <= LINE_BYTES:
            left_out.add("content-type")
        return [key for key in self.inside if key not in left_out]

    def _is_own_type(self, given: SignatureInput) -> bool:
        """Whether a signed `content-type` is a key, which travels as a part beside the others.

        It is what was signed if all else that has to be in a body now was a link at that time.
        """
        if "content-type" not in self.inside or given.parameters.get("bundle") == "true":
            return False
        values = {key: self.tabm[key] for key in self.inside if key != "content-type"}
        binaries = {key: value for key, value in values.items() if isinstance(value, bytes)}
        return all(key == self.inline or len(v) <= LINE_BYTES for key, v in binaries.items())

    @property
    def _is_multipart(self) -> bool:
        return self.headers.get("content-type", b"").startswith(b"multipart/")

    def _has_own_boundary(self) -> bool:
        text = self.headers["content-type"].decode("latin-1")
        boundary = parameter(text, "boundary")
        if boundary is None or self.body is None:
            return False
        marker = b"--" + boundary.encode()
        end = self.body.rfind(b"\r\n" + marker + b"--")
        parts = self.body[len(marker) + 2 : end].split(b"\r\n" + marker + b"\r\n")
        return hash_id(b"\r\n".join(parts)) == boundary

    def _base(
        self,
        label: str,
        names: list[str],
        given: SignatureInput,
        digests: tuple[bytes, ...] | None,
    ) -> bytes | None:
        """The base over the literal values; `None` if a value is not what the message has."""
        components: list[tuple[str, bytes]] = []
        for name in names:
            value = self._literal(name, digests)
            if value is None:
                return None
            components.append((name, value))
        if label.startswith((LABEL_PREFIX, _JUNE)):
            bare = {**given.parameters, "alg": str(given.parameters.get("alg", "")).split("/")[-1]}
            return base_of(components, signature_params(names, bare))
        return base_of(components, given.text)

    def _literal(self, name: str, digests: tuple[bytes, ...] | None) -> bytes | None:
        if name == "content-digest":
            return self._digest(digests)
        if name == "ao-ids" and set(self.ids) & set(self.inside):
            return None
        value = self.headers.get(name)
        key = unescape_key(name)
        if value is None:
            value = next((v for k, v in self.headers.items() if unescape_key(k) == key), None)
        # Another header or a member of the body may have taken the place of the one signed.
        return None if self.tabm.get(key, value) != value else value

    def _digest(self, digests: tuple[bytes, ...] | None) -> bytes | None:
        """The body's digest: as it came if it is right in either alphabet, else as it should be."""
        if digests is None:
            return None
        came = self.headers.get("content-digest", b"")
        match = _DIGEST.fullmatch(came)
        if match is not None and match[1].rstrip(b"=") in digests:
            return came.strip()
        return b"sha-256=:" + digests[0] + b"=:"


def _digests(body: bytes) -> tuple[bytes, bytes]:
    """The body's SHA-256 in base64 of both alphabets, without padding."""
    raw = sha256(body).digest()
    return to_base64(raw).rstrip("=").encode(), to_base64url(raw).encode()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"A signature header is not UTF-8: {raw[:80]!r}") from None
