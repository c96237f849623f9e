"""Messages that lie in tags, fields and data: what items and transactions share (spec/02 §11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hyperbeam_trio.codec.ids import link_id
from hyperbeam_trio.codec.scalars import write_scalar
from hyperbeam_trio.codec.structured import from_tabm
from hyperbeam_trio.codec.structured_fields import SELF, read_types, write_types
from hyperbeam_trio.codec.tabm import REGENERATED, Tabm
from hyperbeam_trio.crypto.encoding import from_base64, to_base64url
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, Tag
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import (
    Link,
    Message,
    Value,
    describe,
    enumerated,
    is_private,
    numbered,
    same,
)

BUNDLE_TAGS: Final = ("bundle-format", "bundle-version", "bundle-map")
DATA_KEY: Final = "ao-data-key"
TRANSPORT: Final = frozenset({*BUNDLE_TAGS, DATA_KEY})
"""Tags that say how the data is to be read, and are no keys."""

POINTER_CHARACTERS: Final = 43
"""Length of the text of a target or an anchor."""

_LINK: Final = "+link"
_FIELD_NAMES: Final = frozenset({"data", "anchor", "target"})


# Reading.


def tag_name(raw: bytes) -> str:
    """The key of a tag: its name in lower case. `BadRequest` if it is not UTF-8."""
    try:
        return raw.decode().lower()
    except UnicodeDecodeError:
        raise BadRequest(f"A tag's name is not UTF-8: {raw[:80]!r}") from None


def read_tags(tags: Iterable[Tag]) -> dict[str, bytes]:
    """Values by key; those of a name that comes twice become one list of texts."""
    found: dict[str, list[bytes]] = {}
    for name, value in tags:
        found.setdefault(tag_name(name), []).append(value)
    values = {name: v[0] if len(v) == 1 else _text_list(v) for name, v in found.items()}
    if "ao-types" in values:
        lowered = {key.lower(): kind for key, kind in read_types(values["ao-types"]).items()}
        values["ao-types"] = write_types(sorted(lowered.items()))
    return values


def _text_list(values: Sequence[bytes]) -> bytes:
    escaped = (value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') for value in values)
    return b", ".join(b'"%b"' % value for value in escaped)


def original_tags(tags: Sequence[Tag]) -> Message | None:
    """The tags as they were, if their keys and values alone would not give them back."""
    names = [name.decode("utf-8", "replace") for name, _ in tags]
    if all(name == name.lower() and name not in _FIELD_NAMES for name in names):
        return None
    return enumerated([Message.of({"name": name, "value": value}) for name, value in tags])


def tags_of(original: Value) -> list[Tag]:
    """The tags of `original-tags`; `BadRequest` if they can't be read."""
    listed = numbered(original) if isinstance(original, Message) else None
    if listed is None:
        raise BadRequest("original-tags should be a message of tags, numbered from 1.")
    return [_tag(tag) for tag in listed]


def _tag(tag: Value) -> Tag:
    if not isinstance(tag, Message):
        raise BadRequest(f"original-tags should hold names and values, not {describe(tag)}.")
    return tag.binary("name"), tag.binary("value", b"")


def is_bundle(tags: Mapping[str, bytes]) -> bool:
    """Whether these tags say that the data is a bundle (spec/02 §11.4)."""
    kind, version = (tags.get(name, b"").lower() for name in BUNDLE_TAGS[:2])
    return kind == b"binary" and version == b"2.0.0"


def data_key(tags: Mapping[str, bytes]) -> str:
    """The key of data that is one binary."""
    return (tags.get(DATA_KEY) or b"data").decode("utf-8", "replace")


def assembled(
    tags: Mapping[str, bytes], fields: Mapping[str, bytes], data: Mapping[str, Value]
) -> Message | list[Value]:
    """The value of all three; what the data says wins over fields, and those over tags."""
    flat: Tabm = {key: value for key, value in tags.items() if key not in TRANSPORT}
    flat.update(fields)
    flat.update({key: value for key, value in data.items() if isinstance(value, bytes)})
    types = dict(read_types(tags.get("ao-types", b"")))
    is_list = types.get(SELF) == "list"
    if is_list:
        del types[SELF]
    flat["ao-types"] = write_types(sorted(types.items()))
    message = from_tabm(flat)
    if not isinstance(message, Message):
        raise BadRequest("An item can't be a list by its types alone.")
    inner = {key: value for key, value in data.items() if not isinstance(value, bytes)}
    whole = Message.of({**message, **inner})
    return _listed(whole) if is_list else whole


def _listed(message: Message) -> list[Value]:
    items = numbered(message) if message else []
    if items is None:
        raise BadRequest(f"An item that is a list has the keys {', '.join(sorted(message)[:8])}.")
    return items


def committed_by(
    data: Iterable[str], tags: Iterable[Tag], fields: Iterable[str]
) -> tuple[str, ...]:
    """The keys that a signature covers, in the order of spec/02 §11.5."""
    names = [name for name in (tag_name(raw) for raw, _ in tags) if name not in TRANSPORT]
    keys = (key.removesuffix(_LINK) for key in (*sorted(data), *names, *fields))
    return tuple(dict.fromkeys(key for key in keys if not is_private(key)))


def says_the_same(read: Message, message: Message, committed: Iterable[str]) -> bool:
    """Whether two messages have the same values under the committed keys, links being values."""
    return all(
        key in read and key in message and same(_named(read[key]), _named(message[key]))
        for key in committed
        if key != "ao-types"
    )


def _named(value: Value) -> Value:
    return Link(link_id(value)) if isinstance(value, Message | list) else value


# Writing.


class Parts:
    """A message taken apart: `flat` values that can be tags, `inside` what has to be nested.

    With `bundle`, nested messages are inside, else their ids are flat. Values and names that are
    too long for a tag are inside.
    """

    __slots__ = ("flat", "inside")

    def __init__(self, value: Message | list[Value], *, bundle: bool) -> None:
        self.flat: dict[str, bytes] = {}
        self.inside: dict[str, Value] = {}
        message = enumerated(value) if isinstance(value, list) else value
        types = [(SELF, "list")] if isinstance(value, list) else []
        for key in sorted(message):
            if not is_private(key) and key not in REGENERATED and key != "ao-types":
                self._put(key, message[key], types, bundle)
        if "ao-types" in message:
            self.flat["ao-types"] = message.binary("ao-types")
        elif types:
            self.flat["ao-types"] = write_types(types)

    def _put(self, key: str, value: Value, types: list[tuple[str, str]], bundle: bool) -> None:
        if isinstance(value, bytes):
            self.flat[key] = value
        elif isinstance(value, Message | list) and bundle:
            self.inside[key] = value
        elif isinstance(value, Message | list):
            self.flat[key + _LINK] = link_id(value).encode()
        elif isinstance(value, Link):
            if value.kind == "binary":
                raise BadRequest(f"Key {key!r} has to be loaded first: {describe(value)}.")
            self.flat[key + _LINK] = value.id.encode()
        else:
            self.flat[key], kind = write_scalar(key, value)
            types.append((key, kind))

    def take_data(self) -> tuple[str, bytes]:
        """Take out the value that is the data itself, and its key; an empty value stays a tag."""
        key = self.flat.pop(DATA_KEY, b"").decode("utf-8", "replace")
        if not key:
            key = "body" if "data" not in self.flat and "body" in self.flat else "data"
        return (key, self.flat.pop(key)) if self.flat.get(key) else (key, b"")

    def take_pointer(self, name: str) -> bytes:
        """Take out a key whose value is the id that a field of that name holds, if it is one."""
        raw = pointer(self.flat.get(name, b""))
        if raw:
            del self.flat[name]
        return raw

    def nest_long(self) -> None:
        """Put inside what is too long for a tag."""
        limits = DEFAULT_TAG_LIMITS
        for key, value in list(self.flat.items()):
            if len(value) > limits.value or len(key.encode()) > limits.name:
                self.inside[key] = self.flat.pop(key)

    def tags(self, order: Sequence[str] = ()) -> list[Tag]:
        """The flat values as tags: sorted, or in the order of these keys."""
        names = [name for key in order for name in (key, key + _LINK) if name in self.flat]
        rest = [name for name in sorted(self.flat) if name not in names]
        return [(name.encode(), self.flat[name]) for name in (*names, *rest)]


def pointer(text: bytes) -> bytes:
    """The 32 bytes that a text of 43 characters stands for; none if it is no such text."""
    if len(text) != POINTER_CHARACTERS:
        return b""
    try:
        raw = from_base64(text)
    except BadRequest:
        return b""
    return raw if to_base64url(raw).encode() == text else b""
