"""A sequence of requests → the request message that asks for it (spec/03 §14.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import Message, Resolve, Value, same
from hyperbeam_trio.path.spread import is_scoped, receives
from hyperbeam_trio.path.text import (
    bare_base,
    escape,
    own_keys,
    scopable,
    segment,
    subpath,
    typable,
)


def unparse(sequence: Sequence[Value]) -> Message:
    """The request whose `parse_request` is `sequence`; its first element is the base.

    The path names every element. A key that all elements share is a key of the request, any other
    is scoped to its element (`2.slot`); integers and sub-paths are typed (`2.slot+integer`); a key
    that can't be scoped stands in the segment. `method` is not scoped if the elements that have it
    agree. Scopes count the elements as given: give the base too, or the keys of a later element
    are read back one element earlier. Raises `PathError` for what no path can say, such as a
    request for `a/b` or a list in a sub-path.
    """
    shared = _shared([own_keys(element) for element in sequence if receives(element)])
    keys: dict[str, Value] = {}
    for key, value in shared.items():
        _put(keys, key, value)
    path = b"".join(_steps(sequence, shared, keys))
    keys["path"] = escape(path) or b"/"
    return Message.of(keys)


def _shared(messages: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    """The keys that are written once for all elements."""
    shared: dict[str, Value] = {}
    if len(messages) > 1:
        first = messages[0]
        shared = {k: v for k, v in first.items() if _sharable(k) and _all_have(messages, k, v)}
    methods = [items["method"] for items in messages if "method" in items]
    if methods and all(same(methods[0], method) for method in methods):
        shared["method"] = methods[0]
    return shared


def _sharable(key: str) -> bool:
    return "+" not in key and not is_scoped(key)


def _all_have(messages: Sequence[Mapping[str, Value]], key: str, value: Value) -> bool:
    return all(key in items and same(items[key], value) for items in messages)


def _steps(
    sequence: Sequence[Value], shared: Mapping[str, Value], keys: dict[str, Value]
) -> list[bytes]:
    """The text of every element; keys that are scoped to one go into `keys`."""
    bare = bare_base(sequence)
    steps = []
    for place, element in enumerate(sequence):
        inline: dict[str, Value] = {}
        for key, value in own_keys(element).items():
            if receives(element) and key in shared:
                continue
            if receives(element) and scopable(key):
                _put(keys, f"{place}.{key}", value)
            else:
                inline[key] = value
        if place or not bare:
            steps.append(b"/" + segment(element, inline))
        elif inline:
            raise PathError(f"A path can't give its base the key {next(iter(inline))!r}.")
    return steps


def _put(keys: dict[str, Value], key: str, value: Value) -> None:
    if not typable(key):
        keys[key] = value
    elif isinstance(value, int) and not isinstance(value, bool):
        keys[f"{key}+integer"] = str(value).encode()
    elif isinstance(value, Resolve):
        keys[f"{key}+resolve"] = escape(subpath(value.sequence))
    else:
        keys[key] = value
