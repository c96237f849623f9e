"""Spreading the keys of a request over the elements of its path (spec/03 §14.2, §14.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import As, Link, Message, Value

MAX_SPREAD: Final = 100_000
"""Elements times keys: what one request may make of its keys."""

_SCOPED: Final = re.compile(r"-?[0-9]+\.[^.]+", re.DOTALL)
_LONGEST_SCOPE: Final = 6
"""Digits of a scope; more can't name an element that exists."""


class NegativeScope(Exception):
    """A key such as `-1.slot`."""


@dataclass(slots=True)
class Keys:
    """Keys that are not part of a segment: those for all elements, and those for one (`2.slot`)."""

    common: dict[str, Value] = field(default_factory=dict)
    scoped: dict[int, dict[str, Value]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.common or self.scoped)

    def add(self, key: str, value: Value) -> None:
        """File `key` under the element that it names, or under all.

        One dot behind digits names an element; any other key is an ordinary one
        (spec/README decision 3).
        """
        if not is_scoped(key):
            self.common[key] = value
            return
        scope, _, name = key.partition(".")
        if scope[:1] == "-":
            raise NegativeScope
        if len(scope) <= _LONGEST_SCOPE:
            self.scoped.setdefault(int(scope), {})[name] = value

    def under(self, stronger: Keys) -> Keys:
        """Both together; where they name the same key, `stronger` wins."""
        scoped = {place: dict(items) for place, items in self.scoped.items()}
        for place, items in stronger.scoped.items():
            scoped.setdefault(place, {}).update(items)
        return Keys({**self.common, **stronger.common}, scoped)


def is_scoped(key: str) -> bool:
    """Whether a key names an element: digits, exactly one dot, and a name behind it."""
    return "." in key and _SCOPED.fullmatch(key) is not None


def receives(element: Value) -> bool:
    """Whether keys from outside its segment are added to an element."""
    if isinstance(element, As):
        return not isinstance(element.message.get("path"), Link)
    return isinstance(element, Message)


def spread(elements: Sequence[Value], keys: Keys) -> list[Value]:
    """The elements with the keys that apply to them; a segment's own keys win."""
    if not keys:
        return list(elements)
    _check_size(elements, keys)
    return [
        _with(element, {**keys.common, **keys.scoped.get(place, {})})
        if receives(element)
        else element
        for place, element in enumerate(elements)
    ]


def spread_signed(elements: Sequence[Value], keys: Keys, source: Message) -> list[Value]:
    """`spread` for a request that carries commitments or private data.

    Every element keeps the private data, and those commitments that cover only keys which it has
    unchanged. The whole signed request, of which each element is a part, is the private entry
    `singleton`.
    """
    _check_size(elements, keys)
    if source.commitments:
        source = source.with_private(singleton=source)
    gone = [key for key in source if key not in keys.common]
    common = source.without(*gone).set_values(keys.common).with_hashpath(None)
    scoped = keys.scoped
    return [
        _onto(common.set_values(scoped[place]) if place in scoped else common, element)
        if receives(element)
        else element
        for place, element in enumerate(elements)
    ]


def _check_size(elements: Sequence[Value], keys: Keys) -> None:
    if len(elements) * len(keys.common) > MAX_SPREAD:
        raise PathError(
            f"{len(keys.common)} keys for each of {len(elements)} path elements are too many; "
            f"{MAX_SPREAD} in all are allowed."
        )


def _with(element: Value, extra: Mapping[str, Value]) -> Value:
    if isinstance(element, As):
        return As(element.device, Message.of({**extra, **element.message}))
    return Message.of({**extra, **element}) if isinstance(element, Message) else element


def _onto(common: Message, element: Value) -> Value:
    if isinstance(element, As):
        return As(element.device, common.set_values(element.message))
    return common.set_values(element) if isinstance(element, Message) else element
