"""Structured fields as peers write them, and the percent form of keys (spec/01 §2, §4.2, §5).

`http_sf` reads the values; the dictionaries around them are cut here, since their keys may hold
what RFC 9651 forbids (upper case, `%`, `/`, a digit in front).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from http_sf import StructuredFieldError, Token, parse

from hyperbeam_trio.crypto.encoding import to_base64
from hyperbeam_trio.crypto.signature_base import quoted
from hyperbeam_trio.errors import BadRequest

BareItem: TypeAlias = "int | float | str | Token | bytes | bool"
Parameters: TypeAlias = Mapping[str, BareItem]
Item: TypeAlias = tuple[BareItem, Parameters]
InnerList: TypeAlias = tuple[list[Item], Parameters]
Member: TypeAlias = "Item | InnerList"

SELF: Final = "."
"""The key of `ao-types` that says what the message itself is."""

_PLAIN_KEY: Final = re.compile(r"[a-z0-9._/?&-]*")
_ESCAPES: Final = tuple(
    chr(byte) if _PLAIN_KEY.fullmatch(chr(byte)) else f"%{byte:02x}" for byte in range(256)
)
_CACHED: Final = 1024
"""Type tables longer than this are not kept: whoever sends them chooses how many there are."""
# What `write_types` writes, and the tokens and the spacing that clients write; the rest is slow.
_TYPE: Final = re.compile(r'\s*([^\s=",;()]+)=(?:"([a-zA-Z-]+)"|([a-zA-Z-]+))\s*(?:,|$)')
_MEMBER: Final = re.compile(r'(?:[^",(]|"(?:[^"\\]|\\.)*+"|\((?:[^")]|"(?:[^"\\]|\\.)*+")*+\))*+')
_KEY: Final = re.compile(r'[^\s",;()]+\s*')
_PARAMETER: Final = re.compile(r';\s*([a-z*][a-z0-9_.*-]*)=(?:"((?:[^"\\]|\\.)*+)"|([^;"]*))')


# Keys.


def escape_key(key: str) -> str:
    """The percent form of a key: everything but `a-z 0-9 . - _ / ? &` as `%` and two digits."""
    if _PLAIN_KEY.fullmatch(key):
        return key
    return "".join([_ESCAPES[byte] for byte in key.encode()])


def unescape_key(text: str) -> str:
    """The key of a percent form; `BadRequest` if it is no UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise BadRequest(f"The key {text[:80]!r} is not UTF-8 behind its percent signs.") from None


def unescape_name(text: str) -> str:
    """As `unescape_key`, for names that only refer to keys: what is no UTF-8 refers to itself."""
    try:
        return unescape_key(text)
    except BadRequest:
        return text


# The type table of a message.


def write_types(types: Iterable[tuple[str, str]]) -> bytes:
    """`ao-types` for (key, type) in the order of the unescaped keys."""
    return ", ".join([f'{escape_key(key)}="{type_}"' for key, type_ in types]).encode()


def read_types(text: bytes) -> Mapping[str, str]:
    """`ao-types` by unescaped key, the types in lower case; `BadRequest` if it can't be read."""
    return _cached_types(text) if len(text) <= _CACHED else _read_types(text)


def _read_types(text: bytes) -> Mapping[str, str]:
    source = _decoded(text, "ao-types")
    types: dict[str, str] = {}
    place = 0
    while place < len(source):
        match = _TYPE.match(source, place)
        if match is None:
            return _slow_types(source)
        types[unescape_key(match[1])] = (match[2] or match[3]).lower()
        place = match.end()
    return types


_cached_types = lru_cache(maxsize=1024)(_read_types)


def _slow_types(source: str) -> Mapping[str, str]:
    types: dict[str, str] = {}
    for key, (value, _) in parse_dictionary(source, "ao-types").items():
        if not isinstance(value, str | Token | bool):
            raise BadRequest(f"ao-types: the type of {key!r} is {value!r}, expected a name.")
        types[unescape_key(key)] = str(value).lower()
    return types


# Items, lists, dictionaries. `what` names the field in errors.


def parse_item(text: str | bytes, what: str = "value") -> Item:
    """A single item with its parameters; an empty text is an empty binary."""
    return _item(_parsed(text, "item", what)) if text else (b"", {})


def parse_list(text: str | bytes, what: str = "value") -> list[Member]:
    """The items and inner lists of a list."""
    return [_member(member) for member in _parsed(text, "list", what)]


def parse_dictionary(text: str | bytes, what: str = "value") -> dict[str, Member]:
    """The members of a dictionary by key, as they are first given; the last of a key counts."""
    return {
        key: _dictionary_value(value, what) for key, value in _members(_decoded(text, what), what)
    }


def parameter(text: str, name: str) -> str | None:
    """A parameter of a header like `content-type` or `content-disposition`, if it is there."""
    for match in _PARAMETER.finditer(text):
        if match[1] == name:
            return match[3].strip() if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
    return None


def _members(source: str, what: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(source):
        match = cast("re.Match[str]", _MEMBER.match(source, place))
        end = match.end()
        key, _, value = match[0].strip(" \t").partition("=")
        bare, semicolon, _ = key.partition(";")
        if (
            not _KEY.fullmatch(bare)
            or (end < len(source) and source[end] != ",")
            or end == len(source) - 1
        ):
            raise BadRequest(f"{what} is not a dictionary at character {end}: {source[:80]!r}")
        if semicolon or "=" not in match[0]:
            value = f"?1{match[0].strip()[len(bare) :]}" if semicolon else "?1"
        yield bare.rstrip(" \t"), value
        place = end + 1


def _dictionary_value(text: str, what: str) -> Member:
    if not text:
        return b"", {}
    members = parse_list(text, what)
    if len(members) != 1:
        raise BadRequest(f"{what} has {len(members)} values where one is expected: {text[:80]!r}")
    return members[0]


def _parsed(text: str | bytes, kind: str, what: str) -> list[object]:
    raw = text.encode() if isinstance(text, str) else text
    try:
        return cast("list[object]", parse(raw, tltype=kind))
    except StructuredFieldError as problem:
        raise BadRequest(f"{what} can't be read: {problem} in {raw[:80]!r}") from None


def _member(raw: object) -> Member:
    value, parameters = cast("tuple[object, Mapping[str, object]]", raw)
    if isinstance(value, list):
        return [_item(item) for item in value], _parameters(parameters)
    return _item(raw)


def _item(raw: object) -> Item:
    value, parameters = cast("tuple[object, Mapping[str, object]]", raw)
    return _bare(value), _parameters(parameters)


def _parameters(raw: Mapping[str, object]) -> Parameters:
    return {name: _bare(value) for name, value in raw.items()}


def _bare(value: object) -> BareItem:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bool | int | float | str | Token | bytes):
        return value
    return str(value)


def _decoded(text: str | bytes, what: str) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{what} is not UTF-8: {text[:80]!r}") from None


# Writing.


def write_item(item: Item) -> str:
    """An item with its parameters; text is written as it is, also where RFC 9651 forbids it."""
    value, parameters = item
    return _write_bare(value) + _write_parameters(parameters)


def write_list(members: Sequence[Member]) -> str:
    """A list of items and inner lists."""
    return ", ".join(map(_write_member, members))


def write_dictionary(members: Mapping[str, Member]) -> str:
    """A dictionary in the order given; a member that is true is a bare key."""
    return ", ".join(_write_entry(key, member) for key, member in members.items())


def _write_entry(key: str, member: Member) -> str:
    if member[0] is True:
        return key + _write_parameters(member[1])
    return f"{key}={_write_member(member)}"


def _write_member(member: Member) -> str:
    value, parameters = member
    if not isinstance(value, list):
        return write_item((value, parameters))
    return f"({' '.join(map(write_item, value))})" + _write_parameters(parameters)


def _write_parameters(parameters: Parameters) -> str:
    return "".join(
        f";{name}" if value is True else f";{name}={_write_bare(value)}"
        for name, value in parameters.items()
    )


def _write_bare(value: BareItem) -> str:
    if isinstance(value, bool):
        return "?1" if value else "?0"
    if isinstance(value, bytes):
        return f":{to_base64(value)}:"
    return quoted(value) if isinstance(value, str) else str(value)
