"""Typed values as text and back: integers, floats, atoms, and lists of older forms (spec/01 §4)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from http_sf import Token

from hyperbeam_trio.codec.structured_fields import (
    BareItem,
    Member,
    parse_dictionary,
    parse_item,
    parse_list,
)
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Atom, Message, Value, describe

MAX_DIGITS: Final = 4300
"""Digits of an integer; Python itself refuses longer texts, since reading them is quadratic."""

MAX_NESTING: Final = 256
"""How deep messages and lists may be nested in one another."""

_INTEGER: Final = re.compile(rb"-?[0-9]{1,%d}" % MAX_DIGITS)
_FLOAT: Final = re.compile(rb"-?[0-9]{1,400}(?:\.[0-9]{1,800})?(?:[eE][+-]?[0-9]{1,4})?")
_ATOM: Final = re.compile(r"[A-Za-z_*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,254}")
_ITEM: Final = re.compile(rb"\(ao-type-([a-zA-Z-]+)\) ?")
_UNQUOTED: Final = re.compile(rb",\s*(?=\(ao-type-[a-z-]+\) )")
_NAMED: Final[dict[str, Value]] = {"true": True, "false": False, "null": None}
_EMPTY: Final[dict[str, Callable[[], Value]]] = {
    "empty-binary": lambda: b"",
    "empty-list": lambda: [],
    "empty-message": lambda: Message.of({}),
}


def write_scalar(key: str, value: Value) -> tuple[bytes, str]:
    """Text and type name of an integer, a float or an atom.

    Raises `BadRequest` naming `key` for a value that has no text.
    """
    if isinstance(value, bool):
        return (b"true" if value else b"false"), "atom"
    if isinstance(value, int):
        return _integer_text(key, value), "integer"
    if isinstance(value, float):
        return b"%.20e" % value, "float"
    if value is None:
        return b"null", "atom"
    if isinstance(value, Atom) and _ATOM.fullmatch(value):
        return str(value).encode(), "atom"
    raise BadRequest(f"Key {key!r} can't be encoded: {describe(value)}.")


def _integer_text(key: str, value: int) -> bytes:
    try:
        return b"%d" % value
    except ValueError:
        raise BadRequest(f"Key {key!r} has an integer of over {MAX_DIGITS} digits.") from None


def read_scalar(key: str, kind: str, text: bytes, depth: int = 0) -> Value:
    """The value that `text` holds as type `kind` (lower case).

    Lists and maps are those of older forms, in one line. Raises `BadRequest` naming `key`.
    """
    reader = _READERS.get(kind)
    if reader is not None:
        return reader(key, text)
    if kind == "list":
        return _read_list(key, text, depth + 1)
    if kind == "map":
        members = parse_dictionary(text, f"Key {key!r}")
        return Message.of({name: _plain(key, member, depth) for name, member in members.items()})
    raise BadRequest(f"Key {key!r} has the unknown type {kind[:40]!r}.")


def read_empty(kind: str) -> Value | None:
    """The value that older forms announce by its type alone (`empty-list` …), else `None`."""
    make = _EMPTY.get(kind)
    return None if make is None else make()


def _read_integer(key: str, text: bytes) -> Value:
    if not _INTEGER.fullmatch(text):
        raise _unreadable(key, "an integer", text)
    return int(text)


def _read_float(key: str, text: bytes) -> Value:
    if not _FLOAT.fullmatch(text) or text.lstrip(b"-").isdigit():
        raise _unreadable(key, "a float with a point or an exponent", text)
    number = float(text)
    if not math.isfinite(number):
        raise _unreadable(key, "a finite float", text)
    return number


def _read_atom(key: str, text: bytes) -> Value:
    name = parse_item(text, f"Key {key!r}")[0] if text[:1] == b'"' else text.decode("latin-1")
    if not isinstance(name, str) or not _ATOM.fullmatch(name):
        raise _unreadable(key, "an atom", text)
    return _NAMED[name] if name in _NAMED else Atom(name)


def _read_binary(key: str, text: bytes) -> Value:
    return text


_READERS: Final[dict[str, Callable[[str, bytes], Value]]] = {
    "integer": _read_integer,
    "float": _read_float,
    "atom": _read_atom,
    "binary": _read_binary,
}


def _read_list(key: str, text: bytes, depth: int) -> list[Value]:
    if depth > MAX_NESTING:
        raise BadRequest(f"Key {key!r} has lists nested over {MAX_NESTING} deep.")
    if text.startswith(b"(ao-type-"):
        return [_read_item(key, item, depth) for item in _UNQUOTED.split(text)]
    return [_plain(key, member, depth) for member in parse_list(text, f"Key {key!r}")]


def _read_item(key: str, text: bytes, depth: int) -> Value:
    match = _ITEM.match(text)
    if match is None:
        return text
    kind, rest = match[1].decode().lower(), text[match.end() :]
    return _EMPTY[kind]() if kind in _EMPTY else read_scalar(key, kind, rest, depth)


def _plain(key: str, member: Member, depth: int) -> Value:
    value, _ = member
    if isinstance(value, list):
        return [_bare(key, item, depth) for item, _ in value]
    return _bare(key, value, depth)


def _bare(key: str, value: BareItem, depth: int) -> Value:
    if isinstance(value, Token):
        return _NAMED[str(value)] if str(value) in _NAMED else str(value).encode()
    return _read_item(key, value.encode(), depth) if isinstance(value, str) else value


def _unreadable(key: str, expected: str, text: bytes) -> BadRequest:
    return BadRequest(f"Key {key!r} should be {expected}, not {describe(text)}.")
