"""Reading a message's keys with an expectation (`request.int("slot")`).

Each reader takes a key and optionally what to give when the key is absent. It raises `BadRequest`
that names the key, what was expected and what came; an absent key without a default is one too.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hyperbeam_trio.errors import BadRequest

if TYPE_CHECKING:
    from hyperbeam_trio.message import Message, Value

D = TypeVar("D")

_REQUIRED: Any = object()


class Reading:
    """The typed readers of a `Message`."""

    __slots__ = ()

    _items: Mapping[str, Value]

    def _read(self, key: str, expected: str, default: Any, convert: Callable[[Any], Any]) -> Any:
        value = self._items.get(key, _REQUIRED)
        if value is _REQUIRED:
            if default is _REQUIRED:
                raise BadRequest(f"Key {key!r} is missing; expected {expected}.")
            return default
        converted = convert(value)
        if converted is _REQUIRED:
            from hyperbeam_trio.message import describe

            raise BadRequest(f"Key {key!r} should be {expected}, not {describe(value)}.")
        return converted

    @overload
    def int(self, key: str) -> builtins.int: ...
    @overload
    def int(self, key: str, default: builtins.int) -> builtins.int: ...
    @overload
    def int(self, key: str, default: D) -> builtins.int | D: ...
    def int(self, key: str, default: Any = _REQUIRED) -> Any:
        """An integer; decimal text counts (spec/README decision 7)."""
        return self._read(key, "an integer", default, _to_int)

    @overload
    def float(self, key: str) -> builtins.float: ...
    @overload
    def float(self, key: str, default: builtins.float) -> builtins.float: ...
    @overload
    def float(self, key: str, default: D) -> builtins.float | D: ...
    def float(self, key: str, default: Any = _REQUIRED) -> Any:
        """A number; decimal text counts."""
        return self._read(key, "a number", default, _to_float)

    @overload
    def text(self, key: str) -> str: ...
    @overload
    def text(self, key: str, default: str) -> str: ...
    @overload
    def text(self, key: str, default: D) -> str | D: ...
    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """UTF-8 text; atoms, booleans and integers count as their text."""
        return self._read(key, "text", default, _to_text)

    @overload
    def binary(self, key: str) -> bytes: ...
    @overload
    def binary(self, key: str, default: bytes) -> bytes: ...
    @overload
    def binary(self, key: str, default: D) -> bytes | D: ...
    def binary(self, key: str, default: Any = _REQUIRED) -> Any:
        """A binary."""
        return self._read(key, "a binary", default, _to_binary)

    @overload
    def bool(self, key: str) -> builtins.bool: ...
    @overload
    def bool(self, key: str, default: builtins.bool) -> builtins.bool: ...
    @overload
    def bool(self, key: str, default: D) -> builtins.bool | D: ...
    def bool(self, key: str, default: Any = _REQUIRED) -> Any:
        """`true` or `false`, as an atom or as text."""
        return self._read(key, "true or false", default, _to_bool)

    @overload
    def message(self, key: str) -> Message: ...
    @overload
    def message(self, key: str, default: Message) -> Message: ...
    @overload
    def message(self, key: str, default: D) -> Message | D: ...
    def message(self, key: str, default: Any = _REQUIRED) -> Any:
        """A message that is loaded."""
        return self._read(key, "a message", default, _to_message)

    @overload
    def list(self, key: str) -> Sequence[Value]: ...
    @overload
    def list(self, key: str, default: Sequence[Value]) -> Sequence[Value]: ...
    @overload
    def list(self, key: str, default: D) -> Sequence[Value] | D: ...
    def list(self, key: str, default: Any = _REQUIRED) -> Any:
        """A list; a message whose keys are exactly 1..n counts as one."""
        return self._read(key, "a list", default, _to_list)


def _to_int(value: Value) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return _parsed(value, int)


def _to_float(value: Value) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return _parsed(value, float)


def _parsed(value: Value, kind: type[Any]) -> Any:
    if not isinstance(value, bytes):
        return _REQUIRED
    try:
        return kind(value.decode("ascii"))
    except ValueError:
        return _REQUIRED


def _to_text(value: Value) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return _REQUIRED
    from hyperbeam_trio.message import as_text

    text = as_text(value)
    return _REQUIRED if text is None else text


def _to_binary(value: Value) -> Any:
    return value if isinstance(value, bytes) else _REQUIRED


def _to_bool(value: Value) -> Any:
    if isinstance(value, bool):
        return value
    words: dict[Any, bool] = {b"true": True, b"false": False}
    return words.get(value, _REQUIRED) if isinstance(value, bytes) else _REQUIRED


def _to_message(value: Value) -> Any:
    from hyperbeam_trio.message import Message

    return value if isinstance(value, Message) else _REQUIRED


def _to_list(value: Value) -> Any:
    from hyperbeam_trio.message import Message, numbered

    if isinstance(value, Message):
        value = numbered(value)
    return value if isinstance(value, list) else _REQUIRED
