"""HyperPATH text → the elements of a sequence (spec/03 §14.1, §14.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import As, Link, Message, Resolve, Value
from hyperbeam_trio.path.scan import (
    Fault,
    Separators,
    form_decode,
    percent_decode,
    raw_offset,
    unescape_quotes,
    unquote,
)
from hyperbeam_trio.path.spread import Keys, NegativeScope, spread
from hyperbeam_trio.path.types import Mistyped, cast, split_type

MAX_PATH_BYTES: Final = 64 * 1024
MAX_SEGMENT_BYTES: Final = 512
MAX_SEGMENTS: Final = 1000
MAX_DEPTH: Final = 64

_SLASH: Final = Separators(b"/")
_QUERY: Final = Separators(b"?")
_AMPERSAND: Final = Separators(b"&")
_EQUALS: Final = Separators(b"=")
_MARKS: Final = Separators(b"&~+ =")
_NOTHING: Final = Message()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a path says before a request's other keys are known.

    `elements` as the segments give them; `query` the keys of the query; `whole` both together.
    """

    elements: tuple[Value, ...]
    query: Keys
    whole: tuple[Value, ...]


def read_path(raw: bytes) -> Plan:
    """The plan of a whole path as it came in; `PathError` shows the part that is wrong."""
    if len(raw) > MAX_PATH_BYTES:
        raise PathError(
            f"The path has {len(raw)} bytes; {MAX_PATH_BYTES} are allowed.", details={"at": 0}
        )
    try:
        text = percent_decode(raw, 0)
    except Fault as fault:
        raise fault.error(fault.at) from None
    try:
        return _plan(text, 0, 0)
    except Fault as fault:
        raise fault.error(raw_offset(raw, fault.at)) from None


def read_nested(text: bytes) -> Resolve:
    """The sub-path that a typed key of a message writes (`k+resolve`), percent-encoded."""
    return Resolve(read_path(text).whole)


def _plan(text: bytes, at: int, depth: int) -> Plan:
    if depth > MAX_DEPTH:
        raise Fault(f"Sub-paths are nested more than {MAX_DEPTH} deep", text, at)
    mark = _QUERY.first(text)
    parts = _SLASH.split(text[:mark], at)
    if len(parts) > MAX_SEGMENTS:
        raise Fault(f"A path has at most {MAX_SEGMENTS} segments", text, parts[MAX_SEGMENTS][0])
    elements = [_segment(part, offset, depth) for offset, part in parts]
    if elements and type(elements[0]) is Message:
        elements.insert(0, _NOTHING)
    query = _query(text[mark + 1 :], at + mark + 1, depth)
    return Plan(tuple(elements), query, tuple(spread(elements, query)))


# Segments.


def _segment(text: bytes, at: int, depth: int) -> Value:
    if len(text) > MAX_SEGMENT_BYTES:
        raise Fault(f"A segment has at most {MAX_SEGMENT_BYTES} bytes", text, at)
    if _is_subpath(text):
        return _subpath(text, at, depth)
    mark = _MARKS.first(text)
    name = text[:mark]
    if mark == len(text):
        return _link(name) or Message.of({"path": name})
    modifier = text[mark]
    if modifier == 0x7E:
        return _cast(name, text[mark + 1 :], at + mark + 1, depth)
    if modifier == 0x26:
        return _request(name, _inlines(text[mark + 1 :], at + mark + 1, depth))
    if modifier == 0x20:
        return Message.of({"path": name})
    return _argument(name, text, at, depth)


def _link(text: bytes) -> Link | None:
    if len(text) not in (42, 43) or not text.isascii():
        return None
    id = text.decode("ascii")
    return Link(id) if is_id(id) else None


def _request(name: bytes, keys: dict[str, Value]) -> Message:
    keys["path"] = name
    return Message.of(keys)


def _argument(name: bytes, text: bytes, at: int, depth: int) -> Message:
    """`name=value` and `name+type=value`: the key is its own argument."""
    first = text[: _AMPERSAND.first(text)]
    if _EQUALS.first(first) == len(first):
        raise Fault("A typed key needs a value, such as slot+integer=5", first, at)
    return _request(name, _inlines(text, at, depth))


def _cast(name: bytes, text: bytes, at: int, depth: int) -> As:
    mark = _AMPERSAND.first(text)
    device = text[:mark]
    if not device:
        raise Fault("A '~' needs the name of a device", name + b"~" + text, at - 1 - len(name))
    keys = _inlines(text[mark + 1 :], at + mark + 1, depth)
    if name:
        keys["path"] = _link(name) or name
    seen = _subpath(device, at, depth) if _is_subpath(device) else device
    return As(seen, Message.of(keys))


def _is_subpath(text: bytes) -> bool:
    return text[:1] == b"(" and text[-1:] == b")"


def _subpath(text: bytes, at: int, depth: int) -> Resolve:
    return Resolve(_plan(text[1:-1], at + 1, depth + 1).whole)


# Keys.


def _inlines(text: bytes, at: int, depth: int) -> dict[str, Value]:
    keys: dict[str, Value] = {}
    for offset, part in _AMPERSAND.split(text, at):
        mark = _EQUALS.first(part)
        if mark == len(part):
            keys[_key(part, offset)] = True
        else:
            name, type_name = split_type(part[:mark])
            key = _key(name, offset)
            text_value = unquote(part[mark + 1 :])
            keys[key] = _value(part, key, type_name, text_value, offset, depth)
    return keys


def _key(name: bytes, at: int) -> str:
    if not name:
        raise Fault("A key needs a name", name, at)
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Fault("The name of a key should be UTF-8 text", name, at) from None


def _value(
    part: bytes, key: str, type_name: bytes | None, text: bytes, at: int, depth: int
) -> Value:
    if _is_subpath(text):
        if type_name is not None:
            raise Fault("A sub-path takes no type", part, at)
        return _subpath(text, at + part.find(text), depth)
    return text if type_name is None else _typed(part, key, type_name, text, at, depth)


def _typed(part: bytes, key: str, type_name: bytes, text: bytes, at: int, depth: int) -> Value:
    def nested(path: bytes) -> Resolve:
        return Resolve(_plan(path, at, depth + 1).whole)

    try:
        return cast(key, type_name, unescape_quotes(text), nested)
    except Mistyped as wrong:
        raise Fault(str(wrong), part, at) from None


def _query(text: bytes, at: int, depth: int) -> Keys:
    """The keys of a query, form-decoded; of equal ones the last wins (spec/03 §14.2 step 2)."""
    keys = Keys()
    for part in text.split(b"&") if text else ():
        if part:
            name, value = _query_key(part, at, depth)
            try:
                keys.add(name, value)
            except NegativeScope:
                raise Fault("Elements count from 0", part, at) from None
        at += len(part) + 1
    return keys


def _query_key(part: bytes, at: int, depth: int) -> tuple[str, Value]:
    written, equals, text = part.partition(b"=")
    name, type_name = split_type(form_decode(written, at))
    key = _key(name, at)
    if equals:
        value = unquote(form_decode(text, at))
        return key, value if type_name is None else _typed(part, key, type_name, value, at, depth)
    if type_name is not None:
        raise Fault("A typed key needs a value, such as slot+integer=5", part, at)
    return key, True
