"""Where two states part: the keys whose values differ, down to the plain ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from hyperbeam_trio.codec.ids import message_id
from hyperbeam_trio.message import (
    Link,
    Message,
    Value,
    as_text,
    describe,
    enumerated,
    public_keys,
    same,
)

Load: TypeAlias = Callable[[Value], Awaitable[Value]]
"""Gives what a link leads to; other values as they are."""

LONGEST = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Parting:
    """A key, by the path to it, and what the two sides have there: `absent` for nothing."""

    path: str
    left: str
    right: str


async def partings(
    left: Message, right: Message, load_left: Load, load_right: Load, prefix: str = ""
) -> AsyncIterator[Parting]:
    """All keys that differ, in their order; only what differs is loaded."""
    for key in sorted({*public_keys(left), *public_keys(right)}):
        one, other = left.get(key), right.get(key)
        if _equal(one, other):
            continue
        ours, theirs = _nested(await load_left(one)), _nested(await load_right(other))
        if isinstance(ours, Message) and isinstance(theirs, Message):
            async for found in partings(ours, theirs, load_left, load_right, f"{prefix}{key}/"):
                yield found
        elif not same(ours, theirs):
            yield _parting(prefix + key, ours, theirs)


def _parting(path: str, ours: Value, theirs: Value) -> Parting:
    left, right = _shown(ours), _shown(theirs)
    if left == right:
        # The same text, but of different types or different further on.
        left, right = describe(ours), describe(theirs)
    return Parting(path, left, right)


_WITH_ID = (Message, list, Link, bytes)


def _equal(one: Value, other: Value) -> bool:
    """Without loading anything; what stands for another thing has its id."""
    if isinstance(one, _WITH_ID) and isinstance(other, _WITH_ID):
        return message_id(one) == message_id(other)
    return same(one, other)


def _nested(value: Value) -> Value:
    return enumerated(value) if isinstance(value, list) else value


def _shown(value: Value) -> str:
    if value is None:
        return "absent"
    text = as_text(value)
    shown = describe(value) if text is None else text
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
