"""Ids of values: what a message is called, and what stands for it in others (spec/02 §7)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from hyperbeam_trio.codec.layout import inline_key, lay_out, wire_name
from hyperbeam_trio.codec.multipart import LINE_BYTES
from hyperbeam_trio.codec.scalars import write_scalar
from hyperbeam_trio.codec.structured_fields import SELF, write_types
from hyperbeam_trio.codec.tabm import REGENERATED, LinkOf, write
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import (
    combine_ids,
    hash_id,
    human_id,
    native_id,
    to_base64,
)
from hyperbeam_trio.crypto.keyid import CONSTANT_AO, hmac_sha256
from hyperbeam_trio.crypto.signature_base import content_digest, derived_name, quoted
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message, Value, describe, is_private

__all__ = [
    "combine_ids",
    "fresh_id",
    "is_unsigned",
    "june_link_id",
    "link_id",
    "message_id",
    "signed_id",
    "unsigned_id",
]

_KEY: Final = CONSTANT_AO.encode()
_OLD_KEY: Final = b"ao"
# A body and types that a user names himself: the long way round.
_SPECIAL: Final = frozenset({"ao-body-key", "ao-types"})
_DROPPED: Final = REGENERATED | {"commitments", "signature", "signature-input"}
_SHORT: Final = 64

_Line = tuple[str, bytes, bytes, bytes]
"""Name, `"name": `, the name as it is listed, and the value."""


def message_id(value: Value) -> str:
    """The id of any value: of a binary its SHA-256, of a message or list the unsigned id.

    A link to a message has its target's id. Raises `BadRequest` for values without an id.
    """
    if isinstance(value, bytes):
        return hash_id(value)
    if isinstance(value, Message | list):
        return unsigned_id(value)
    if isinstance(value, Link):
        return value.id
    raise BadRequest(f"Only binaries, lists and messages have ids, not {describe(value)}.")


def unsigned_id(value: Message | list[Value]) -> str:
    """The id of the unsigned commitment that a message has, else that of all its keys.

    A commitment is trusted, not computed anew: check it where a message comes in. The computed
    id stays on the message.
    """
    if isinstance(value, list):
        return fresh_id(value)
    if value.commitments:
        ids = [id for id, c in sorted(value.commitments.items()) if is_unsigned(c)]
        if ids:
            return combine_ids(ids)
    return fresh_id(value)


def is_unsigned(commitment: Commitment) -> bool:
    """Whether a commitment only gives a message its unsigned id."""
    return commitment.committer is None and commitment.device == "httpsig@1.0"


def signed_id(message: Message) -> str:
    """The combined id of all signed commitments; the unsigned id if there are none."""
    commitments = message.commitments
    if commitments:
        ids = [id for id, c in commitments.items() if c.committer is not None]
        if ids:
            return ids[0] if len(ids) == 1 else combine_ids(ids)
    return unsigned_id(message)


def link_id(value: Message | list[Value]) -> str:
    """The id under which a nested message or list is linked: the signed one if it is signed."""
    return signed_id(value) if isinstance(value, Message) else fresh_id(value)


def fresh_id(value: Message | list[Value]) -> str:
    """The id of all keys, whatever commitments there are: HMAC-SHA256 under `constant:ao`."""
    if isinstance(value, list):
        return _computed(value, link_id, _KEY)
    id = value._id
    if id is None:
        id = value._id = _computed(value, link_id, _KEY)
    return id


def linked_body(items: Mapping[str, Value]) -> str | None:
    """The key of a linked binary that is all of the body, if there is one.

    A body's digest is then the link's id, so the message has an id without the binary being read.
    """
    inline = inline_key(dict.fromkeys(items, b""))[0]
    binary = items.get(inline)
    if not (isinstance(binary, Link) and binary.kind == "binary" and binary.id):
        return None
    others = (key for key in items if key != inline)
    return inline if all(_is_header(key, items[key]) for key in others) else None


def _is_header(key: str, value: Value) -> bool:
    """Whether a value that is not the body lies in one header, or as its link does."""
    if key in ("body", "ao-body-key", "ao-types") or key.endswith("+link"):
        return False
    if isinstance(value, bytes):
        return len(value) <= LINE_BYTES
    if isinstance(value, Link):
        return value.kind == "message"
    return isinstance(value, Message | list | int | float | str | None)


def june_link_id(value: Message | list[Value]) -> str:
    """As `link_id`, in the form of June 2025: its unsigned ids are under the key `ao`."""
    if isinstance(value, Message) and any(_counts(c) for c in value.commitments.values()):
        return signed_id(value)
    return _computed(value, june_link_id, _OLD_KEY)


def _counts(commitment: Commitment) -> bool:
    return commitment.committer is not None or is_unsigned(commitment)


def _computed(value: Message | list[Value], link: LinkOf, key: bytes) -> str:
    if isinstance(value, list):
        items = {str(place): item for place, item in enumerate(value, 1)}
        lines = _lines(items, [(SELF, "list")], link)
    else:
        lines = _lines(value, [], link)
        body = linked_body(value) if lines is None else None
        if body is not None:
            lines = _linked_lines(value, body, link)
    if lines is None:
        layout = lay_out(write(value, link, commitments=False))
        lines = [(*_named_exactly(name), text) for name, text in layout.components()]
    return human_id(hmac_sha256(key, _base(lines, key)))


def _lines(
    items: Mapping[str, Value], types: list[tuple[str, str]], link: LinkOf
) -> list[_Line] | None:
    """The lines of the base in one pass, if all but the body lies in headers; `None` for others."""
    lines: list[_Line] = []
    inline = _inline(items)
    for key, value in items.items():
        if key in _SPECIAL:
            return None
        if key in _DROPPED or is_private(key):
            continue
        if key == inline:
            if not isinstance(value, bytes):
                return None
            lines.append((*_named("content-digest"), content_digest(value).encode()))
            if key == "body":
                continue
            key, text = "ao-body-key", b"data"
        elif isinstance(value, bytes):
            text = value
        elif isinstance(value, Message | list):
            key, text = f"{key}+link", link(value).encode()
        elif isinstance(value, Link) and value.kind == "message":
            key, text = f"{key}+link", value.id.encode()
        elif isinstance(value, int | float | str | None):
            text, kind = write_scalar(key, value)
            types.append((key, kind))
        else:
            return None
        if len(text) > LINE_BYTES:
            return None
        lines.append((*_named(key), text))
    if types:
        types.sort()
        lines.append((*_named("ao-types"), write_types(types)))
    return lines


def _inline(items: Mapping[str, Value]) -> str | None:
    """The key of the value that is all of the body; a nested message is a link, and is not."""
    if "body" in items:
        body = items["body"]
        if not isinstance(body, Message | list) and not (
            isinstance(body, Link) and body.kind == "message"
        ):
            return "body"
    return "data" if "data" in items else None


def _linked_lines(message: Message, body: str, link: LinkOf) -> list[_Line]:
    """The lines where the binary that is the body is linked."""
    binary = message[body]
    if not isinstance(binary, Link):
        raise BadRequest(f"Key {body!r} should be a link, not {describe(binary)}.")
    empty = Message.of({**message, body: b""})
    layout = lay_out(write(empty, link, commitments=False))
    digest = f"sha-256=:{to_base64(native_id(binary.id))}:".encode()
    headers = {**layout.headers, "content-digest": digest}
    return [(*_named_exactly(name), text) for name, text in headers.items()]


def _base(lines: list[_Line], key: bytes) -> bytes:
    lines.sort()
    parts = [prefix + value for _, prefix, _, value in lines]
    names = b" ".join([listed for _, _, listed, _ in lines])
    parts.append(b'"@signature-params": (%b);alg="hmac-sha256";keyid="%b"' % (names, key))
    return b"\n".join(parts) if lines else b"\n" + parts[0]


def _named(key: str) -> tuple[str, bytes, bytes]:
    return _cached_name(key) if len(key) <= _SHORT else _name(key)


def _name(key: str) -> tuple[str, bytes, bytes]:
    return _named_exactly(wire_name(key))


def _named_exactly(name: str) -> tuple[str, bytes, bytes]:
    return name, quoted(name).encode() + b": ", quoted(derived_name(name)).encode()


_cached_name = lru_cache(maxsize=4096)(_name)
