"""Values between Python and Lua (spec/06 §5.5).

Text is bytes in both directions. Lists and messages become tables; a message whose keys are exactly
"1" … "n" becomes a list on the way in, a table with the keys 1 … n one on the way out. Results are
plain bytes, int, float, bool, None, list and dict, dicts in the order of their keys.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from lupa import lua53

from hyperbeam_trio.devices.lua_vm.failures import UnfitResult, UnfitValue, limit_reached

Value: TypeAlias = "bytes | str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
"""What goes in: text as bytes or str (an atom), and anything that is a sequence or a mapping."""

Result: TypeAlias = "bytes | int | float | bool | list[Result] | dict[str, Result] | None"
"""What comes out."""

DEPTH = 200
"""How deep values may be nested, in both directions."""

SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
_TABLE = type(lua53.LuaRuntime().table())
_SCALARS = frozenset({bytes, int, bool, type(None)})
_DROPPED = object()


class Lasting(dict[str, Any]):
    """A mapping that goes into many calls and never changes: a VM keeps it converted."""

    __slots__ = ()


Lend: TypeAlias = Callable[[Lasting], Any]
"""Gives a new table of the runtime that holds what a `Lasting` does."""


def to_lua(runtime: lua53.LuaRuntime, value: Value, lend: Lend | None = None) -> Any:
    """`value` as the binding takes it: a scalar, or a new table in `runtime`.

    `lend` makes what stands for a `Lasting` right below `value`. Raises UnfitValue for integers
    beyond 64 bits, too deep nesting, and types that aren't values.
    """
    if lend is not None and type(value) is dict:
        value = {k: lend(v) if type(v) is Lasting else v for k, v in value.items()}
    plain = _plain(value, DEPTH)
    if type(plain) is dict or type(plain) is list:
        return runtime.table_from(plain, recursive=True)
    return plain


def _plain(value: Any, depth: int) -> Any:
    """A fresh tree of dicts with bytes for keys: the binding must never see one object twice."""
    kind = type(value)
    if kind is bytes or kind is bool or value is None or kind is float or kind is _TABLE:
        return value
    if kind is int:
        return _checked_integer(value)
    if depth == 0:
        raise UnfitValue(f"A value for Lua is nested deeper than {DEPTH} levels.")
    if kind is dict or isinstance(value, Mapping):
        return _plain_mapping(value, depth - 1)
    if kind is list:
        return [item if type(item) is bytes else _plain(item, depth - 1) for item in value]
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Sequence):
        return [_plain(item, depth - 1) for item in value]
    raise UnfitValue(f"Lua can't hold a {kind.__name__}; load or convert it first.")


def _checked_integer(value: int) -> int:
    if SMALLEST <= value <= LARGEST:
        return value
    raise UnfitValue(f"The integer {value} doesn't fit the 64 bits that Lua has; give it as text.")


def _plain_mapping(value: Mapping[str, Any], depth: int) -> Any:
    if "1" in value and _counts_up(value):
        return [_plain(value[str(i)], depth) for i in range(1, len(value) + 1)]
    plain = {}
    for key, item in value.items():
        kind = type(item)
        plain[key.encode()] = item if kind is bytes else _plain(item, depth)
    return plain


def _counts_up(value: Mapping[str, Any]) -> bool:
    return all(str(i) in value for i in range(1, len(value) + 1))


class Reader:
    """Turns values of Lua into Python's, up to `items` of them in all."""

    def __init__(self, items: int) -> None:
        self._left = items

    @property
    def left(self) -> int:
        """How many items may still be read."""
        return self._left

    def read(self, value: Any) -> Any:
        """The value; functions and coroutines are dropped, at the top they give None.

        Raises UnfitResult for what no message can hold, and GuestLimit beyond `items`.
        """
        result = self._read(value, DEPTH)
        return None if result is _DROPPED else result

    def read_around(self, table: Any, key: bytes, known: Lasting, items: int) -> Any:
        """A table that holds under `key` what is `known`, and would have so many items."""
        self._left -= items
        return self._table(table, DEPTH - 1, key, known)

    def _read(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is float:
            if math.isfinite(value):
                return value
            raise UnfitResult(f"A result of Lua is {value}; messages hold finite numbers only.")
        if kind is not _TABLE:
            return _DROPPED
        if depth == 0:
            raise UnfitResult(f"A result of Lua is nested deeper than {DEPTH} levels, or a cycle.")
        return self._table(value, depth - 1)

    def _table(
        self, table: Any, depth: int, known_key: Any = _DROPPED, known: Lasting | None = None
    ) -> Any:
        items = []
        for key, value in table.items():
            self._left -= 1
            if self._left < 0:
                raise limit_reached("items")
            if key == known_key:
                value = known
            elif type(value) is not bytes:
                value = self._read(value, depth)
                if value is _DROPPED:
                    continue
            items.append((key, value))
        return _list_of(items) if _is_list(items) else _dict_of(items)


def is_table(value: Any) -> bool:
    """Whether a value that the binding gave is a table."""
    return type(value) is _TABLE


def alike(ours: Any, theirs: Any) -> bool:
    """Equal with types, as `1`, `1.0` and `True` are signed differently."""
    if ours is theirs:
        return True
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


def _is_list(items: list[tuple[Any, Any]]) -> bool:
    """Whether the keys are 1 … n, in any order: n different integers from 1 to n."""
    count = len(items)
    return count > 0 and all(type(key) is int and 1 <= key <= count for key, _ in items)


def _list_of(items: list[tuple[Any, Any]]) -> list[Any]:
    result = [None] * len(items)
    for key, value in items:
        result[key - 1] = value
    return result


def _dict_of(items: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Text keys win over numbers that read the same."""
    named = {_key_text(key): value for key, value in items if type(key) is not bytes}
    for key, value in items:
        if type(key) is bytes:
            named[_key_text(key)] = value
    return dict(sorted(named.items()))


def _key_text(key: Any) -> str:
    kind = type(key)
    if kind is bytes:
        try:
            return str(key, "utf-8")
        except UnicodeDecodeError:
            raise UnfitResult(f"A key of a result of Lua isn't UTF-8: {key!r}.") from None
    if kind is bool:
        return "true" if key else "false"
    if kind is int or kind is float:
        return str(key)
    raise UnfitResult("A key of a result of Lua is a table or a function; use text or a number.")
