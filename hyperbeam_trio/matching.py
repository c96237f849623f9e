"""Comparing messages: match and diff (spec/01 §12)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Atom, Message, Value, enumerated, is_private, same

ANY: Final = Atom("_")
"""The value that matches any other that is there."""

_MODES: Final = frozenset({"strict", "primary", "only_present"})
_REGENERATED: Final = frozenset({"unsigned_id", "content-digest"})
_TRANSPORT: Final = frozenset({"content-type", "ao-body-key"})
_EMPTY_TEXTS: Final = frozenset(
    {"id", "owner", "target", "anchor", "last_tx", "signature", "data", "data_root"}
)
_EMPTY_NUMBERS: Final = frozenset({"quantity", "reward", "data_size", "denomination"})


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where two messages differ first: the kind, the keys that lead there, and both values."""

    kind: Literal["keys", "value"]
    path: tuple[str, ...]
    left: Value
    right: Value


def match(left: Value, right: Value, mode: str = "strict") -> bool:
    """Whether two values match.

    `strict`: the same keys with matching values, at every level. `primary`: every key of `left` is
    in `right`. `only_present`: what both have matches. Raises `BadRequest` for another mode.
    """
    return mismatch(left, right, mode) is None


def mismatch(left: Value, right: Value, mode: str = "strict") -> Mismatch | None:
    """The first difference of two values, if they don't match."""
    if mode not in _MODES:
        raise BadRequest(f"A match mode is one of {', '.join(sorted(_MODES))}, not {mode!r}.")
    return next(_differences(left, right, mode, ()), None)


def _differences(left: Value, right: Value, mode: str, path: tuple[str, ...]) -> Iterator[Mismatch]:
    if same(left, ANY) or same(right, ANY):
        return
    if not isinstance(left, Message | list) or not isinstance(right, Message | list):
        if not same(left, right):
            yield Mismatch("value", path, left, right)
        return
    ours, theirs = _compared(left, top=not path), _compared(right, top=not path)
    wanted = ours.keys() | theirs.keys() if mode == "strict" else ours.keys()
    for key in sorted(wanted):
        if key in ours and key in theirs:
            yield from _differences(ours[key], theirs[key], mode, (*path, key))
        elif mode != "only_present":
            yield Mismatch("keys", (*path, key), ours.get(key), theirs.get(key))


def _compared(value: Message | list[Value], *, top: bool) -> dict[str, Value]:
    message = enumerated(value) if isinstance(value, list) else value
    return {key: item for key, item in message.items() if not _ignored(key, item, top)}


def _ignored(key: str, value: Value, top: bool) -> bool:
    if is_private(key) or key in _REGENERATED or (top and key in _TRANSPORT):
        return True
    if key in _EMPTY_TEXTS:
        return value == b""
    return key in _EMPTY_NUMBERS and same(value, 0)


def diff(left: Message, right: Message) -> Message:
    """What has to change in `left` to come to `right`; keys that only `left` has are left out.

    Equal values are omitted, of two numbers the difference is given, two messages are compared key
    by key.
    """
    changed: dict[str, Value] = {}
    for key, value in right.items():
        old = left.get(key)
        if key in left and same(old, value):
            continue
        changed[key] = _changed(old, value)
    return Message.of(changed)


def _changed(old: Value, new: Value) -> Value:
    if isinstance(old, Message) and isinstance(new, Message):
        return diff(old, new)
    if _is_number(old) and _is_number(new) and isinstance(old, int | float):
        return new - old if isinstance(new, int | float) else new
    return new


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
