"""What a state may hold: all that can be stored and read again as it was (spec/01 §3, §4)."""

from __future__ import annotations

import math
from operator import is_
from typing import Final

from hyperbeam_trio.codec.structured import from_tabm, to_tabm
from hyperbeam_trio.codec.tabm import REGENERATED
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, Value

_TYPES: Final = "ao-types"
_LINK: Final = "+link"
_NOT_CONTENT: Final = REGENERATED | {"commitments", "signature", "signature-input"}
"""Keys of which nothing is stored: they are about a message, not of it (spec/01 §5)."""
_LOOKED_AT: Final = frozenset({Message, list, float})
"""Types of values that may not be fit; all others are."""


def fit(state: Message) -> Message:
    """The state in the form in which it will be read from a store; mostly the state itself.

    A program chooses the keys of what it makes, and may spell out types or links there. Raises
    `BadRequest` for what no store could keep: a link without an id, types of the state's own keys,
    a number that is not finite. What has its id already was looked at with an earlier state.
    """
    if _TYPES in state:
        raise BadRequest(f"A state can't have a key {_TYPES!r}: it says what the other keys are.")
    fitted = _fit(state, "")
    return fitted if isinstance(fitted, Message) else state


def _fit(message: Message, path: str) -> Message | list[Value]:
    changed: dict[str, Value] = {}
    items = message._items
    for key, value in items.items():
        if type(value) in _LOOKED_AT:
            fitted = _fit_value(value, f"{path}{key}")
            if fitted is not value:
                changed[key] = fitted
    if changed:
        message = message.set_values(changed)
    if not _NOT_CONTENT.isdisjoint(items):
        message = message.without(*_NOT_CONTENT)
    # One search in all names; most messages have none of these.
    if _TYPES in items or _LINK in "".join(items):
        return from_tabm(to_tabm(message))
    return message


def _fit_value(value: Value, path: str) -> Value:
    if isinstance(value, Message):
        # What is signed came in as it was signed, in its only form.
        return value if value._id is not None or value.commitments else _fit(value, f"{path}/")
    if isinstance(value, list):
        if _LOOKED_AT.isdisjoint(map(type, value)):
            return value
        fitted = [_fit_value(item, f"{path}/{place}") for place, item in enumerate(value, 1)]
        return value if all(map(is_, fitted, value)) else fitted
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(f"A state can't hold {value} under {path}: numbers are finite.")
    return value
