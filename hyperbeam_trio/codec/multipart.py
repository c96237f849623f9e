"""Bodies of several parts: nested messages and long values over HTTP (spec/02 §3.1, §3.3, §4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from hyperbeam_trio.codec.structured_fields import parameter
from hyperbeam_trio.codec.tabm import Tabm, insert
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import BadRequest, TooLarge

LINE_BYTES: Final = 4096
"""A value longer than this is not written as a header or as a line of a part."""

MAX_PARTS: Final = 4096

Parts: TypeAlias = "dict[str, bytes | dict[str, bytes]]"
"""What stands in the body, by path: single values, and groups of values of one message."""

_CRLF: Final = b"\r\n"
_BLANK: Final = b"\r\n\r\n"
_DISPOSITION: Final = "content-disposition"
_EMPTY: Final = b"empty-message"
_UNWRITABLE: Final = re.compile(r"[\r\n]|: |\A\Z|\Acontent-disposition\Z|\Aao-body-key\Z")
_USUAL: Final = re.compile(r'form-data;name="([^"\\]*)"')
_OWN_TYPE: Final = b"content-type: multipart/"
_OWN_BOUNDARY: Final = re.compile(
    rb'(?:\A|\r\n)content-type: multipart/[^\r\n]*?;[ ]*boundary="([^"\r\n]{1,256})"(?=\r\n)'
)
_DROPPED: Final = frozenset({_DISPOSITION, "content-digest", "ao-body-key"})


# Writing.


def group(members: Mapping[str, bytes | Tabm]) -> Parts:
    """The parts of a body whose top level is `members` (spec/02 §3.1, step 4).

    Raises `BadRequest` for a key that a part can't carry.
    """
    parts: Parts = {}
    top = _group(members, "", parts)
    parts.update(top)
    return parts


def _group(members: Mapping[str, bytes | Tabm], path: str, parts: Parts) -> dict[str, bytes]:
    current: dict[str, bytes] = {}
    for key, value in members.items():
        place = _join(path, key)
        if isinstance(value, bytes):
            # The peer writes line breaks into lines, and can't read them back.
            if len(value) > LINE_BYTES or (path and _CRLF in value):
                parts[place] = value
            else:
                current[key] = value
        elif not value:
            parts[place] = {"ao-types": _EMPTY}
        elif inner := _group(value, place, parts):
            parts[place] = inner
    return current


def _join(path: str, key: str) -> str:
    if "/" in key or not key:
        raise BadRequest(f"Key {key!r} can't be nested in a body: a part is named by its path.")
    return f"{path}/{key}" if path else key


def write_body(parts: Parts, inline: str) -> tuple[bytes, str]:
    """The bytes of a multipart body, and its boundary; `inline` is the key of the inline part."""
    written = _CRLF.join
    encoded = [_write_part(path, parts[path], inline) for path in sorted(parts)]
    boundary = hash_id(written(encoded))
    marker = b"--" + boundary.encode()
    pieces: list[bytes] = []
    for part in encoded:
        pieces += (marker, part)
    pieces.append(marker + b"--")
    return written(pieces), boundary


def _write_part(path: str, value: bytes | dict[str, bytes], inline: str) -> bytes:
    if isinstance(value, bytes):
        return _disposition(path, inline).encode() + _BLANK + value
    body = value.get("body")
    if body and len(value) == 1:
        return _disposition(f"{path}/body", inline).encode() + _BLANK + body
    lines = [(key, member) for key, member in value.items() if key != "body" or not body]
    for key, _ in lines:
        if _UNWRITABLE.search(key):
            raise BadRequest(f"Key {key!r} of {path!r} can't be written as a line of a part.")
    head, _, name = _disposition(path, inline).partition(": ")
    lines.append((head, name.encode()))
    text = _CRLF.join([key.encode() + b": " + member for key, member in sorted(lines)])
    return text + _BLANK + body if body else text


def _disposition(path: str, inline: str) -> str:
    if path == inline:
        return f"{_DISPOSITION}: inline"
    if '"' in path or "\\" in path or not path.isprintable():
        raise BadRequest(f"Key {path!r} can't name a part of a body.")
    return f'{_DISPOSITION}: form-data;name="{path}"'


# Reading.


def read_body(body: bytes, boundary: str, inline: str) -> dict[str, bytes | Tabm]:
    """The members that the parts of a body hold, nested by their paths.

    Raises `BadRequest` for what is no multipart body of this boundary, `TooLarge` for too many
    parts.
    """
    members: dict[str, bytes | Tabm] = {}
    for part in _split(body, boundary):
        path, value = _read_part(part, inline)
        insert(members, path, value)
    return members


def _split(body: bytes, boundary: str) -> list[bytes]:
    marker = b"--" + boundary.encode()
    start = 0 if body.startswith(marker) else body.find(_CRLF + marker) + 2
    if start < 2 and not body.startswith(marker):
        raise BadRequest(f"The body has no part: the boundary {boundary[:80]!r} is not in it.")
    end = body.rfind(_CRLF + marker + b"--")
    first = start + len(marker)
    if end < start:
        raise BadRequest("The body's last part is not closed.")
    if body.count(_CRLF + marker, first, end) >= MAX_PARTS:
        raise TooLarge(f"The body has over {MAX_PARTS} parts.")
    return body[first:end].split(_CRLF + marker) if end > first else []


def _read_part(part: bytes, inline: str) -> tuple[str, bytes | Tabm]:
    rest, enclosed = _without_enclosed(part.removeprefix(_CRLF))
    head, blank, body = rest.partition(_BLANK)
    headers = {**dict(_lines(head)), **enclosed}
    path = _path(headers.get(_DISPOSITION), inline)
    inner = headers.get("ao-body-key") or headers.get("inline-body-key") or b"body"
    members: Tabm = {key: value for key, value in headers.items() if key not in _DROPPED}
    if body:
        if not members:
            return path, body
        members[inner.decode("utf-8", "replace")] = body
    elif not members and blank:
        return path, b""
    if members.get("ao-types") == _EMPTY:
        del members["ao-types"]
    return path, members


def _without_enclosed(part: bytes) -> tuple[bytes, dict[str, bytes]]:
    """A part without the line whose value is itself a body of several parts, and that value.

    A client of May 2025 commits to the parts of a message that has `data` as to its `data`, and
    then writes it, of many lines, as one (spec/08 §6.3). The line is known by the boundary that
    the part's own `content-type` announces.
    """
    found = _OWN_TYPE in part
    own = _OWN_BOUNDARY.search(part.partition(_BLANK)[0]) if found else None
    if own is None:
        return part, {}
    marker = b"--" + own[1]
    before, named, value = part.partition(b": " + marker + _CRLF)
    head, _, key = before.rpartition(_CRLF)
    inner, closed, after = value.partition(_CRLF + marker + b"--")
    if not (named and closed) or _BLANK in before or not (after + _CRLF).startswith(_CRLF):
        return part, {}
    return head + after, {_text(key): marker + _CRLF + inner + closed}


def _lines(head: bytes) -> Iterator[tuple[str, bytes]]:
    for line in head.split(_CRLF):
        name, colon, value = line.partition(b": ")
        if colon or line.endswith(b":"):
            key = _text(name if colon else line[:-1])
            yield (_DISPOSITION if key.lower() == _DISPOSITION else key), value


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"A part has a line whose name is not UTF-8: {raw[:80]!r}") from None


def _path(disposition: bytes | None, inline: str) -> str:
    if disposition is None:
        raise BadRequest("A part of the body has no content-disposition.")
    text = _text(disposition)
    usual = _USUAL.fullmatch(text)
    if usual:
        return usual[1]
    if text.strip().lower().startswith("inline"):
        return inline
    name = parameter(text, "name")
    if name is None:
        raise BadRequest(f"A part's content-disposition names no key: {text[:80]!r}")
    return name
