"""A commitment: who vouches for which keys of a message, and how to check it (spec/02 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hyperbeam_trio.crypto.encoding import from_base64, to_base64url
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Atom, Link, Message, Value, as_text, same

_NOTHING: Mapping[str, Value] = MappingProxyType({})

_OWN_FIELDS = frozenset(
    {"commitment-device", "type", "keyid", "committer", "signature", "committed", "bundle"}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was signed, byte for byte, so that it can be checked without being rebuilt.

    httpsig: `base` is the signature base, over the literal received values in the received order;
    `body` the body whose digest is in it, where somebody still has it as a whole. ans104: `item` is
    the whole signed item, or with `tail` only its header, where its data lies in a store under that
    link. None of them ever leaves the process as a key. `proved`: the signature has been checked.

    `values` are the committed keys with the values that those bytes were read as. The evidence
    speaks for a message that holds these values and for no other: ask `covers` first. A nested
    message has to be the very object, since its commitments, which `==` ignores, count too.
    """

    values: Mapping[str, Value]
    base: bytes | None = None
    item: bytes | None = None
    body: bytes | None = None
    tail: Link | None = None
    proved: bool = False

    def covers(self, message: Message) -> bool:
        """Whether `message` holds the very values that this evidence is about."""
        held = message._items
        if held is self.values:
            return True
        for key, value in self.values.items():
            own = held.get(key, _ABSENT)
            if own is not value and not _held(own, value):
                return False
        return True


_ABSENT = Atom("absent")


def _held(value: Value, expected: Value) -> bool:
    return not isinstance(expected, Message | list) and same(value, expected)


@dataclass(frozen=True, slots=True)
class Commitment:
    """One entry of `commitments`.

    `id` 43 characters; `signature` raw bytes; `committed` message keys without `+link`; `committer`
    an address, present exactly when the commitment is signed; `bundle` as in the field of that
    name, `None` when it is absent; `extra` every other field (`tag`, `created`, `original-tags` …).
    """

    id: str
    device: str
    type: str
    signature: bytes
    committed: tuple[str, ...]
    keyid: str | None = None
    committer: str | None = None
    bundle: bool | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: _NOTHING)
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    def to_message(self) -> Message:
        """The commitment as a message, as it stands under `commitments/<id>`."""
        items: dict[str, Value] = dict(self.extra)
        items["commitment-device"] = self.device.encode()
        items["type"] = self.type.encode()
        items["signature"] = to_base64url(self.signature).encode()
        items["committed"] = [key.encode() for key in self.committed]
        if self.keyid is not None:
            items["keyid"] = self.keyid.encode()
        if self.committer is not None:
            items["committer"] = self.committer.encode()
        if self.bundle is not None:
            items["bundle"] = b"true" if self.bundle else b"false"
        return Message.of(items)

    @classmethod
    def from_message(cls, id: str, message: Message) -> Commitment:
        """The reverse; `BadRequest` names what is missing or malformed."""
        committed = tuple(as_text(key) for key in message.list("committed", []))
        if None in committed:
            raise BadRequest(f"Commitment {id}: 'committed' should be a list of key names.")
        return cls(
            id=id,
            device=message.text("commitment-device"),
            type=message.text("type", ""),
            signature=from_base64(message.text("signature"), f"Commitment {id}: signature"),
            committed=tuple(key for key in committed if key is not None),
            keyid=message.text("keyid", None),
            committer=message.text("committer", None),
            bundle=message.bool("bundle", None),
            extra=MappingProxyType({k: v for k, v in message.items() if k not in _OWN_FIELDS}),
        )

    def with_evidence(self, evidence: Evidence) -> Commitment:
        """The same commitment with what was signed."""
        return Commitment(
            self.id,
            self.device,
            self.type,
            self.signature,
            self.committed,
            self.keyid,
            self.committer,
            self.bundle,
            self.extra,
            evidence,
        )
