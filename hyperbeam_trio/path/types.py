"""Typed keys: `slot+integer=5` and its like (spec/03 §14.3, spec/README decision 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from hyperbeam_trio.codec.scalars import read_scalar
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Atom, Resolve, Value
from hyperbeam_trio.path.scan import Separators

ATOMS: Final = frozenset(
    {
        *("ok", "error", "failure", "skip", "pass", "created", "unavailable", "not_found"),
        *("undefined", "unset", "always", "never", "ignore", "reset", "update", "deep"),
        *("explicit", "infinity", "all", "none", "default"),
    }
)
"""Symbols that a path may name beside `true`, `false` and `null`."""

_SINGLE: Final[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
_SCALARS: Final[Mapping[str, str]] = {
    "integer": "integer",
    "int": "integer",
    "float": "float",
    "list": "list",
    "map": "map",
}
_NAMES: Final = ", ".join(sorted([*_SCALARS, "atom", "bool", "resolve", "res"]))
_TYPE_MARKS: Final = Separators(b"+ ")

Nested = Callable[[bytes], Resolve]
"""Reads path text as a sub-path, for `+resolve`."""


class Mistyped(Exception):
    """The text does not fit the type; the message says what would."""


def split_type(key: bytes) -> tuple[bytes, bytes | None]:
    """`slot+integer` → `slot` and `integer`; a key without a type has `None`."""
    mark = _TYPE_MARKS.first(key)
    return (key, None) if mark == len(key) else (key[:mark], key[mark + 1 :])


def cast(key: str, type_name: bytes, text: bytes, nested: Nested) -> Value:
    """The value that `text` writes in the type; `Mistyped` says what is wrong with it."""
    name = type_name.decode("utf-8", "replace").lower()
    if name in ("resolve", "res"):
        return nested(text)
    stripped = text.strip(b" ")
    if name in ("atom", "bool"):
        return _symbol(stripped.decode("utf-8", "replace"), only_bool=name == "bool")
    if name not in _SCALARS:
        raise Mistyped(f"Unexpected type {name[:40]!r}; expected one of {_NAMES}")
    try:
        return read_scalar(key, _SCALARS[name], stripped)
    except BadRequest as problem:
        raise Mistyped(problem.text.rstrip(".")) from None


def _symbol(name: str, only_bool: bool) -> Value:
    if name in _SINGLE and not (only_bool and name == "null"):
        return _SINGLE[name]
    if only_bool:
        raise Mistyped("Expected true or false")
    if name not in ATOMS:
        raise Mistyped("Expected a known atom such as true, false, null or unset")
    return Atom(name)
