"""Setting keys of a message, deep by default (spec/03 §7, spec/01 §13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hyperbeam_trio.message import UNSET, Atom, Link, Message, Value, is_private

if TYPE_CHECKING:
    from hyperbeam_trio.context import Context

RESERVED = frozenset(
    {
        *("id", "commitments", "committers", "keys", "path", "set", "remove", "verify"),
        *("set-mode", "commit", "committed", "get", "index"),
    }
)
"""Keys of a `set` request that are instructions, never values."""

_TRANSPORT = frozenset({"set-path", "set_path"})


def values_to_set(request: Message) -> dict[str, Value]:
    """The keys of a `set` request that are to be set."""
    return {
        key: value
        for key, value in request.items()
        if key not in RESERVED
        and key not in _TRANSPORT
        and not is_private(key)
        and not _is_atom(value, "undefined")
    }


async def deep_set(base: Message, values: Mapping[str, Value], context: Context) -> Message:
    """`base` with `values` set; a message over a message is set into it by the child's own device.

    `UNSET` (`unset`) removes a key. Commitments that no longer hold are dropped.
    """
    changes: dict[str, Value] = {}
    for key, value in values.items():
        old = base.get(key)
        if type(value) is not bytes or old is not value:
            changes[key] = await _merged(old, value, context)
    return apply_set(base, changes)


def apply_set(base: Message, values: Mapping[str, Value]) -> Message:
    """Shallow: every value replaces the old one, `UNSET` removes it (`set-mode: explicit`)."""
    removed = [key for key, value in values.items() if _is_atom(value, UNSET)]
    changed = {key: value for key, value in values.items() if not _is_atom(value, UNSET)}
    result = base.set_values(changed)
    return result.without(*removed) if removed else result


def _is_atom(value: Value, name: str) -> bool:
    return isinstance(value, Atom) and value == name


async def _merged(old: Value, new: Value, context: Context) -> Value:
    if not isinstance(new, Message) or old is None:
        return new
    if isinstance(old, Link) and old.kind == "message":
        old = await context.load(old)
    if not isinstance(old, Message):
        return new
    if "device" in old:
        return await context.internal().resolve(old, new.set(path="set"))
    return await deep_set(old, new, context)


async def set_path(base: Message, path: list[str], value: Value, context: Context) -> Message:
    """`base` with `value` at a path of keys; parents that are missing become messages."""
    key, rest = path[0], path[1:]
    if not rest:
        return apply_set(base, {key: value})
    child = await context.view(base, key)
    inner = child if isinstance(child, Message) else Message()
    return apply_set(base, {key: await set_path(inner, rest, value, context)})
