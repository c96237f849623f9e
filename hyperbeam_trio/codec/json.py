"""json@1.0: messages as JSON, numbers and lists natively, atoms by their names (spec/01 §8)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import orjson

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.ids import link_id
from hyperbeam_trio.codec.scalars import MAX_NESTING, read_scalar, write_scalar
from hyperbeam_trio.codec.structured import read_commitment
from hyperbeam_trio.codec.structured_fields import SELF, read_types, write_types
from hyperbeam_trio.codec.tabm import REGENERATED
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.crypto.signature_headers import MAX_SIGNATURES
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import (
    As,
    Link,
    Message,
    Resolve,
    Value,
    describe,
    enumerated,
    is_private,
    numbered,
)

_LINK: Final = "+link"
# orjson reads integers of over 64 bits as floats, and takes the last of equal members.
_LONG_NUMBER: Final = re.compile(rb"[0-9]{19}")


# Writing.


def write_json(value: Message | list[Value], *, bundle: bool) -> bytes:
    """JSON of a message or a list, members sorted; with `bundle` all that is nested is inside.

    Raises `BadRequest` naming the key of a binary that is not UTF-8, or of another value that
    JSON can't hold.
    """
    plain = _Writer(bundle).plain(value, 0)
    try:
        return orjson.dumps(plain)
    except TypeError:  # an integer of over 64 bits
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()


class _Writer:
    __slots__ = ("_bundle",)

    def __init__(self, bundle: bool) -> None:
        self._bundle = bundle

    def plain(self, value: Message | list[Value], depth: int) -> Any:
        if depth > MAX_NESTING:
            raise BadRequest(f"Messages are nested over {MAX_NESTING} deep.")
        if isinstance(value, list):
            return self._list(value, depth)
        members, types = self._members(value, depth)
        if "ao-types" in value:
            members["ao-types"] = _text("ao-types", value.binary("ao-types"))
        elif types:
            members["ao-types"] = write_types(types).decode()
        if value.commitments:
            members["commitments"] = {
                id: _Writer(True).plain(commitment.to_message(), depth + 1)
                for id, commitment in sorted(value.commitments.items())
            }
        return members

    def _list(self, items: list[Value], depth: int) -> Any:
        members, types = self._members(enumerated(items), depth)
        if len(members) == len(items) and not types and not any(_LINK in key for key in members):
            return [members[str(place)] for place in range(1, len(items) + 1)]
        types.append((SELF, "list"))
        return {**members, "ao-types": write_types(sorted(types)).decode()}

    def _members(
        self, message: Mapping[str, Value], depth: int
    ) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        members: dict[str, Any] = {}
        types: list[tuple[str, str]] = []
        for key in sorted(message):
            value = message[key]
            if is_private(key) or key in REGENERATED or key == "ao-types":
                continue
            if isinstance(value, bytes):
                members[key] = _text(key, value)
            elif isinstance(value, Message | list | Link | As | Resolve):
                self._nested(members, key, value, depth)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                members[key] = value
            else:
                text, kind = write_scalar(key, value)
                members[key] = text.decode()
                types.append((key, kind))
        return members, types

    def _nested(self, members: dict[str, Any], key: str, value: Value, depth: int) -> None:
        if isinstance(value, Link) and value.kind == "message":
            members[key + _LINK] = value.id
        elif isinstance(value, Message | list) and self._bundle:
            members[key] = self.plain(value, depth + 1)
        elif isinstance(value, Message | list):
            members[key + _LINK] = link_id(value)
        else:
            problem = "has to be loaded first" if isinstance(value, Link) else "can't be encoded"
            raise BadRequest(f"Key {key!r} {problem}: {describe(value)}.")


def _text(key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as problem:
        raise BadRequest(
            f"Key {key!r} can't be JSON: its byte {problem.start} is not UTF-8."
        ) from None


# Reading.


def read_json(text: bytes) -> Message | list[Value] | bytes:
    """The message, list or binary of a JSON text; of equal members the first counts.

    Raises `BadRequest` for what is not JSON, for a lone number or literal, for nesting too deep.
    """
    if not _LONG_NUMBER.search(text) and b"\\\\" not in text:
        reader = _Reader()
        value = reader.value(_load(text), 0)
        # Fewer strings than were written: some member was given twice.
        if reader.strings * 2 == text.count(b'"') - text.count(b'\\"'):
            return _whole(value)
    return _whole(_Reader().value(_load_exactly(text), 0))


def _load(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise BadRequest(f"This is not JSON: {problem}") from None


def _load_exactly(text: bytes) -> Any:
    try:
        return json.loads(text.decode(), object_pairs_hook=_first, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise BadRequest(f"This is not JSON: {problem}") from None


def _first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _whole(value: Value) -> Message | list[Value] | bytes:
    if isinstance(value, Message | list | bytes):
        return value
    raise BadRequest(f"A JSON message is an object, a list or a text, not {describe(value)}.")


class _Reader:
    """Turns parsed JSON into values, and counts the strings that it meets."""

    __slots__ = ("strings",)

    def __init__(self) -> None:
        self.strings = 0

    def value(self, raw: Any, depth: int) -> Value:
        if isinstance(raw, str):
            self.strings += 1
            return _encoded(raw)
        if isinstance(raw, float) and not math.isfinite(raw):
            raise BadRequest("A number of the JSON is too large for a float.")
        if not isinstance(raw, dict | list):
            plain: int | float | bool | None = raw
            return plain
        if depth > MAX_NESTING:
            raise BadRequest(f"The JSON is nested over {MAX_NESTING} deep.")
        if isinstance(raw, list):
            return [self.value(item, depth + 1) for item in raw]
        return self._object(raw, depth)

    def _object(self, raw: dict[str, Any], depth: int) -> Value:
        types = read_types(_encoded(raw["ao-types"])) if _has_types(raw) else {}
        items: dict[str, Value] = {}
        for key, member in raw.items():
            self.strings += 1
            value = self.value(member, depth + 1)
            if key in ("ao-types", "commitments", "commitments+link") or is_private(key):
                continue
            if key.endswith(_LINK) and isinstance(value, bytes):
                items[key.removesuffix(_LINK)] = _link(key, value)
            elif key in types and isinstance(value, bytes):
                items[key] = read_scalar(key, types[key], value, depth)
            else:
                items[key] = value
        message = Message.of(items)
        if types.get(SELF) == "list":
            return _listed(message)
        return _with_commitments(message, raw.get("commitments"))


def _has_types(raw: dict[str, Any]) -> bool:
    return isinstance(raw.get("ao-types"), str)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadRequest("The JSON has half of a surrogate pair.") from None


def _link(key: str, value: bytes) -> Link:
    text = value.decode()
    if not is_id(text):
        raise BadRequest(f"Key {key!r} should be an id of 43 characters, not {text[:64]!r}.")
    return Link(text)


def _listed(message: Message) -> list[Value]:
    items = numbered(message) if message else []
    if items is None:
        raise BadRequest(f"A list has the keys {', '.join(sorted(message)[:8])}, expected 1 to n.")
    return items


def _with_commitments(message: Message, raw: Any) -> Message:
    if raw is None:
        return message
    if not isinstance(raw, dict) or len(raw) > MAX_SIGNATURES:
        raise BadRequest(f"'commitments' should be an object of at most {MAX_SIGNATURES}.")
    found = []
    for id, fields in raw.items():
        value = _Reader().value(fields, 1)
        found.append(read_commitment(id, value))
    return message.with_commitments(found)


class JsonCodec(Codec):
    """json@1.0."""

    name = "json@1.0"
    content_type = "application/json"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        return write_json(message, bundle=bundle)

    def from_bytes(self, data: bytes) -> Message:
        value = read_json(data)
        if isinstance(value, bytes):
            raise BadRequest("The JSON is a text, where an object is expected.")
        return enumerated(value) if isinstance(value, list) else value


JSON: Final = JsonCodec()
