"""How a TABM lies in an HTTP message: headers, body, and what is signed of it (spec/02 §3, §5)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.codec.multipart import LINE_BYTES, group, write_body
from hyperbeam_trio.codec.structured_fields import escape_key
from hyperbeam_trio.codec.tabm import Tabm
from hyperbeam_trio.crypto.signature_base import content_digest
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import is_private

ID_LENGTHS: Final = frozenset({32, 42, 43})
"""Lengths of keys that are taken for ids, which are written in percent form."""

_TRANSPORT: Final = frozenset({"commitments", "signature", "signature-input"})
_UNSAFE_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\A[ \t]|[ \t]\Z")
_SAFE_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_SAFE_CHARACTER: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]")


@dataclass(frozen=True, slots=True)
class Layout:
    """Headers by name, the body, and the names of the members inside of it.

    `body` is `None` where there is no body member, and empty where there is an empty one;
    `content-digest` is not among the headers, see `components`. `composed`: the body was put
    together of parts, and `content-type` is about these.
    """

    headers: dict[str, bytes]
    body: bytes | None
    inside: Collection[str]
    composed: bool = False

    @property
    def is_multipart(self) -> bool:
        """Whether who reads this takes `content-type` for the parts', and not for a key."""
        return self.headers.get("content-type", b"").startswith(b"multipart/")

    def names(self) -> list[str]:
        """The names of `components`."""
        names = [*self.headers] if self.body is None else [*self.headers, "content-digest"]
        return sorted(set(names))

    def components(self) -> list[tuple[str, bytes]]:
        """Name and value of everything that a signature covers, sorted by name (variant S)."""
        named = dict(self.headers)
        if self.body is not None:
            named["content-digest"] = content_digest(self.body).encode()
        return sorted(named.items())


def lay_out(tabm: Mapping[str, bytes | Tabm], *, safe: bool = False) -> Layout:
    """Headers and body of a TABM, without its commitments.

    As the reference lays them out, which is what signatures and ids are about. With `safe`, what
    HTTP can't carry in a header goes elsewhere: control characters and outer spaces to the body,
    odd names to their percent form. Every reader finds the same keys in both. Raises `BadRequest`
    for keys that fit nowhere.
    """
    inline, added = inline_key(tabm)
    headers: dict[str, bytes] = dict(added)
    inside: dict[str, bytes | Tabm] = {}
    for key, value in tabm.items():
        if key in _TRANSPORT or is_private(key):
            continue
        name = _unmistakable(key) if safe else wire_name(key)
        if isinstance(value, dict) or len(value) > LINE_BYTES or key in ("body", inline):
            inside[name] = value
        elif safe:
            _place_safely(headers, inside, name, value)
        else:
            headers[name] = value
    return _with_body(headers, inside, inline, safe)


def wire_name(key: str) -> str:
    """The name of a key at the top level: its percent form if it is as long as an id."""
    return escape_key(key) if len(key.encode()) in ID_LENGTHS else key


def _unmistakable(key: str) -> str:
    """As `wire_name`, but for keys that look like a percent form and are none."""
    name = wire_name(key)
    return name.replace("%", "%25") if name == key else name


def inline_key(tabm: Mapping[str, bytes | Tabm]) -> tuple[str, dict[str, bytes]]:
    """The key whose value is the body itself, and the header that says so if one is to be added."""
    given = tabm.get("ao-body-key")
    if isinstance(given, bytes):
        return given.decode("utf-8", "replace"), {}
    if "body" not in tabm and "data" in tabm:
        return "data", {"ao-body-key": b"data"}
    return "body", {}


def _place_safely(
    headers: dict[str, bytes], inside: dict[str, bytes | Tabm], name: str, value: bytes
) -> None:
    if _UNSAFE_VALUE.search(value):
        inside[name] = value
    elif _SAFE_NAME.fullmatch(name):
        headers[name] = value
    else:
        headers[escape_name(name)] = value


def escape_name(name: str) -> str:
    """A name that HTTP can carry, for one that may have percent forms; readers undo them."""
    if not name:
        raise BadRequest("An empty key can't be a header.")
    return "".join(
        part if _SAFE_CHARACTER.fullmatch(part) else "".join(f"%{b:02x}" for b in part.encode())
        for part in name
    )


def _with_body(
    headers: dict[str, bytes], inside: dict[str, bytes | Tabm], inline: str, safe: bool
) -> Layout:
    if not inside:
        return Layout(headers, None, ())
    parts = group(inside)
    only = parts.get(inline)
    if len(parts) == 1 and isinstance(only, bytes):
        return Layout(headers, only, inside)
    if safe and "content-type" in headers:
        parts["content-type"] = headers["content-type"]
    body, boundary = write_body(parts, inline)
    headers["content-type"] = f'multipart/form-data; boundary="{boundary}"'.encode()
    return Layout(headers, body, inside, composed=True)
