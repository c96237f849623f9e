"""The immutable values that everything passes around (spec/01 §1, §2, §10).

A `Message` maps text keys to values and never changes: `set`, `without` and the `with_*` methods
return new messages that share what did not change, so nobody copies one defensively and an id,
once computed, stays on the object. Commitments ride on a message but are none of its keys; private
data belongs to this process and never reaches a store, an encoding or an id.
"""

from __future__ import annotations

import math
from collections.abc import (
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    ValuesView,
)
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import immutables

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.reading import Reading

if TYPE_CHECKING:
    from hyperbeam_trio.commitment import Commitment

D = TypeVar("D")

SHARED_ABOVE = 64
"""Messages with more keys than this share structure when they change; smaller ones are copied."""


class Atom(str):
    """A symbol such as `ok` or `unset`; `True`, `False` and `None` stand for their own three."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({str.__repr__(self)})"


UNSET = Atom("unset")
"""The value that removes a key when it is set (spec/01 §13)."""


@dataclass(frozen=True, slots=True)
class Link:
    """Something that isn't loaded yet.

    `kind` "message": the id of a message or list, `key+link` on the wire. `kind` "binary": the
    b64url SHA-256 of a large binary in the store, `size` bytes long. The cache loads both.
    """

    id: str
    kind: Literal["message", "binary"] = "message"
    size: int = 0


@dataclass(frozen=True, slots=True)
class As:
    """`message` seen through another device (`~device` in a path) (spec/03 §4)."""

    device: Value
    message: Message


@dataclass(frozen=True, slots=True)
class Resolve:
    """A sequence to be resolved in place (`(…)` in a path) (spec/03 §2)."""

    sequence: tuple[Value, ...]


Value: TypeAlias = (
    "bytes | int | float | bool | Atom | list[Value] | Message | Link | As | Resolve | None"
)

Plain: TypeAlias = "Value | str | Sequence[Plain] | Mapping[str, Plain]"
"""What constructors accept: values, and the Python literals that stand for them."""

_NOTHING: Any = object()
_NO_COMMITMENTS: Mapping[str, Commitment] = MappingProxyType({})
_NO_PRIVATE: Mapping[str, Any] = MappingProxyType({})


def to_value(plain: Plain) -> Value:
    """Python literals as values: text becomes bytes, mappings messages, sequences lists.

    Raises `BadRequest` for what a message can't hold (functions, NaN, arbitrary objects).
    """
    if isinstance(plain, bytes | bool | int | Atom | Message | Link | As | Resolve | None):
        return plain
    if isinstance(plain, str):
        return plain.encode()
    if isinstance(plain, float):
        if not math.isfinite(plain):
            raise BadRequest(f"A message can't hold the float {plain!r}; finite numbers only.")
        return plain
    if isinstance(plain, Mapping):
        return Message(plain)
    if isinstance(plain, list | tuple):
        return [to_value(item) for item in plain]
    if isinstance(plain, bytearray | memoryview):
        return bytes(plain)
    raise BadRequest(f"A message can't hold a {type(plain).__name__}: {plain!r:.80}")


def to_plain(value: Value) -> object:
    """A value as Python literals: text for binaries, dicts and lists; the rest as it is.

    Raises `BadRequest` for a binary that is no text.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"Expected text in UTF-8, not {value!r:.80}.") from None
    if isinstance(value, Message):
        return {key: to_plain(item) for key, item in value.items()}
    return [to_plain(item) for item in value] if isinstance(value, list) else value


class Message(Reading, Mapping[str, Value]):
    """An immutable mapping of text keys to values (see the module)."""

    __slots__ = ("_commitments", "_hashpath", "_id", "_items", "_private")

    _items: Mapping[str, Value]
    _commitments: Mapping[str, Commitment]
    _private: Mapping[str, Any]
    _hashpath: str | None
    _id: str | None

    def __init__(self, items: Mapping[str, Plain] | None = None, /, **keys: Plain) -> None:
        merged: dict[str, Value] = {}
        for source in (items or {}, keys):
            for key, plain in source.items():
                merged[str(key)] = to_value(plain)
        self._items = merged
        self._commitments = _NO_COMMITMENTS
        self._private = _NO_PRIVATE
        self._hashpath = None
        self._id = None

    @classmethod
    def of(cls, items: Mapping[str, Value]) -> Message:
        """A message around `items` as they are: values only, and the caller gives them away."""
        self = object.__new__(cls)
        self._items = items
        self._commitments = _NO_COMMITMENTS
        self._private = _NO_PRIVATE
        self._hashpath = None
        self._id = None
        return self

    def _like(self) -> Message:
        other = object.__new__(Message)
        other._items = self._items
        other._commitments = self._commitments
        other._private = self._private
        other._hashpath = self._hashpath
        other._id = self._id
        return other

    # As a mapping.

    def __getitem__(self, key: str) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    # A dictionary's own views walk several times as fast as the general ones.

    def items(self) -> ItemsView[str, Value]:
        """Keys and values."""
        items = self._items
        return items.items() if type(items) is dict else super().items()

    def keys(self) -> KeysView[str]:
        """The keys, private ones too."""
        items = self._items
        return items.keys() if type(items) is dict else super().keys()

    def values(self) -> ValuesView[Value]:
        """The values."""
        items = self._items
        return items.values() if type(items) is dict else super().values()

    @overload
    def get(self, key: str, /) -> Value: ...
    @overload
    def get(self, key: str, default: Value | D, /) -> Value | D: ...
    def get(self, key: str, default: Any = None, /) -> Any:
        """The value of exactly this key, or `default`."""
        return self._items.get(key, default)

    def __eq__(self, other: object) -> bool:
        """Equal keys with equal values of equal types; commitments and private data don't count."""
        if not isinstance(other, Message):
            return NotImplemented
        return self is other or same(self, other)

    def __hash__(self) -> int:
        return hash(frozenset(self._items))

    def __repr__(self) -> str:
        signers = f", {len(self._commitments)} commitments" if self._commitments else ""
        return f"Message({dict(self._items)!r}{signers})"

    # Changing.

    def set(self, items: Mapping[str, Plain] | None = None, /, **keys: Plain) -> Message:
        """A message with these keys set; commitments are dropped as spec/01 §13 says (rule L).

        A commitment goes when its `committed` list names a key whose value changed, or when the
        change alters the types (`ao-types`) that it commits.
        """
        changes = {str(key): to_value(plain) for key, plain in {**(items or {}), **keys}.items()}
        return self.set_values(changes)

    def set_values(self, changes: Mapping[str, Value]) -> Message:
        """`set` for values that need no conversion."""
        held, changed = self._items, {}
        for key, value in changes.items():
            old = held.get(key, _NOTHING)
            if old is not value and (type(old) is not type(value) or not same(old, value)):
                changed[key] = value
        if not changed:
            return self
        other = self._derive(_updated(self._items, changed))
        other._commitments = _surviving(self, other, changed)
        return other

    def beside(self, added: Mapping[str, Value]) -> Message:
        """A message with more keys, none of which it had: every commitment stays as it was.

        For what a transport says beside a signed message: the new keys are nobody's statement.
        """
        other = self._derive(_updated(self._items, added))
        other._commitments = self._commitments
        return other

    def without(self, *keys: str) -> Message:
        """A message without these keys; commitments that cover one of them are dropped."""
        other = self.without_beside(keys)
        if other is not self and self._commitments:
            gone = [key for key in keys if key in self._items]
            other._commitments = _surviving(self, other, gone)
        return other

    def without_beside(self, keys: Iterable[str]) -> Message:
        """A message without keys that no commitment covers: every commitment stays as it was."""
        gone = [key for key in keys if key in self._items]
        return self._derive(_removed(self._items, gone)) if gone else self

    def _derive(self, items: Mapping[str, Value]) -> Message:
        other = self._like()
        other._items = items
        other._id = None
        other._hashpath = None
        return other

    # Commitments.

    @property
    def commitments(self) -> Mapping[str, Commitment]:
        """Commitments by their ids."""
        return self._commitments

    @property
    def signers(self) -> list[str]:
        """Committers of the signed commitments, in the order of the commitments' ids."""
        found = [c for c in self._commitments.values() if c.committer is not None]
        if len(found) > 1:
            found.sort(key=attrgetter("id"))
        return [c.committer for c in found if c.committer is not None]

    def with_commitments(self, commitments: Iterable[Commitment]) -> Message:
        """The same keys with exactly these commitments."""
        other = self._like()
        other._commitments = MappingProxyType({c.id: c for c in commitments})
        return other

    def uncommitted(self) -> Message:
        """The same keys without any commitment."""
        return self.with_commitments(()) if self._commitments else self

    # Private data and hashpath.

    @property
    def private(self) -> Mapping[str, Any]:
        """Objects of this process that belong to the message (a live guest, a peer's address)."""
        return self._private

    def with_private(self, **entries: Any) -> Message:
        """The same message with private entries set; a value of `None` removes the entry."""
        merged = {**self._private, **entries}
        other = self._like()
        other._private = MappingProxyType({k: v for k, v in merged.items() if v is not None})
        return other

    @property
    def caller(self) -> Message:
        """The verified request that this one is a part of, or the message itself.

        A path is spread over several requests; whoever signed the whole is asked for with
        `request.caller.signers`.
        """
        caller: Message | None = self._private.get("singleton")
        return self if caller is None else caller

    @property
    def hashpath(self) -> str | None:
        """How this message was computed, if it was and is known (spec/03 §8)."""
        return self._hashpath

    def with_hashpath(self, hashpath: str | None) -> Message:
        """The same message with another hashpath."""
        if hashpath == self._hashpath:
            return self
        other = self._like()
        other._hashpath = hashpath
        return other

    def reset(self) -> Message:
        """The same message without private data and hashpath, at this level."""
        if not self._private and self._hashpath is None:
            return self
        other = self._like()
        other._private = _NO_PRIVATE
        other._hashpath = None
        return other


def _updated(items: Mapping[str, Value], changed: Mapping[str, Value]) -> Mapping[str, Value]:
    if len(items) <= SHARED_ABOVE:
        return {**items, **changed}
    shared = items if isinstance(items, immutables.Map) else immutables.Map(items)
    return shared.update(changed)


def _removed(items: Mapping[str, Value], gone: Iterable[str]) -> Mapping[str, Value]:
    if not isinstance(items, immutables.Map):
        dropped = frozenset(gone)
        return {key: value for key, value in items.items() if key not in dropped}
    for key in gone:
        items = items.delete(key)
    return items


def _surviving(old: Message, new: Message, changed: Iterable[str]) -> Mapping[str, Commitment]:
    if not old._commitments:
        return _NO_COMMITMENTS
    touched = set(changed)
    if any(_typed(old.get(key)) != _typed(new.get(key)) for key in touched):
        touched.add("ao-types")
    kept = {id: c for id, c in old._commitments.items() if touched.isdisjoint(c.committed)}
    return MappingProxyType(kept)


def _typed(value: Value) -> str | None:
    """What `ao-types` says of a value (spec/01 §4.1): nothing for binaries and messages."""
    if type(value) is bytes or value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer"
    if isinstance(value, float):
        return "float"
    return "atom" if isinstance(value, bool | Atom) else None


def same(a: Value, b: Value) -> bool:
    """Equal, with types: `1`, `1.0`, `True` and `b"1"` all differ; lists and messages go deep."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Message) and isinstance(b, Message):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def is_private(key: str) -> bool:
    """Whether a key belongs to the process alone (spec/01 §2, §10)."""
    return key.startswith("priv")


def public_keys(message: Message) -> list[str]:
    """The keys that anyone may see, sorted (spec/03 §7 `keys`)."""
    return sorted(key for key in message if not is_private(key))


def numbered(message: Message) -> list[Value] | None:
    """The values of a message whose keys are exactly "1".."n", in order; `None` for any other."""
    keys = [str(number) for number in range(1, len(message) + 1)]
    if not keys or any(key not in message for key in keys):
        return None
    return [message[key] for key in keys]


def enumerated(items: Sequence[Value]) -> Message:
    """A list as the message `{"1": …, "2": …}` (spec/03 §2)."""
    return Message.of({str(number): item for number, item in enumerate(items, 1)})


def as_text(value: Value) -> str | None:
    """Binaries (UTF-8), atoms, booleans and integers as text; `None` for anything else."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Atom):
        return str(value)
    return None


def describe(value: Value) -> str:
    """A value in a few words, for error messages; long ones are cut."""
    if isinstance(value, Message):
        return f"a message with keys {', '.join(public_keys(value)[:8]) or '(none)'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bytes):
        shown = value[:60].decode("utf-8", "backslashreplace")
        return f"the binary {shown!r}" + (f"… of {len(value)} bytes" if len(value) > 60 else "")
    if isinstance(value, Link):
        return f"a link to {value.id}"
    names: dict[type, str] = {float: "the float", int: "the integer", bool: "the atom"}
    text = "null" if value is None else as_text(value) or repr(value)
    return f"{names.get(type(value), 'the atom')} {text}"
