"""The options of one store, read with types; each error names the option and what fits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from hyperbeam_trio.errors import ConfigError

T = TypeVar("T")

_FLAGS = {"true": True, "yes": True, "on": True, "1": True}
_FLAGS |= {"false": False, "no": False, "off": False, "0": False}
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SCALE = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class StoreOptions:
    """Typed access to the options that a URI (text) or a configuration file (typed) gave.

    Ask for every option that the store knows, then call `done`: what nobody asked for is a
    `ConfigError` that suggests the nearest name.
    """

    def __init__(self, scheme: str, given: Mapping[str, object]) -> None:
        self._scheme = scheme
        self._given = {name.replace("_", "-"): value for name, value in given.items()}
        self._known: list[str] = []

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no."""
        return self._read(name, default, "true or false", _flag)

    def size(self, name: str, default: int) -> int:
        """A number of bytes, such as `1048576`, `64MiB` or `2T`."""
        return self._read(name, default, "a size such as 64MiB", _size)

    def count(self, name: str, default: int, *, least: int = 1) -> int:
        """A whole number of at least `least`."""
        return self._read(
            name, default, f"a whole number from {least}", lambda value: _count(value, least)
        )

    def seconds(self, name: str, default: float) -> float:
        """A positive number of seconds."""
        return self._read(name, default, "a positive number of seconds", _seconds)

    def text(self, name: str, default: str) -> str:
        """Any text."""
        return self._read(name, default, "text", _text)

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of `choices`."""
        wanted = "one of " + ", ".join(choices)
        return self._read(name, default, wanted, lambda value: _choice(value, choices))

    def value(self, name: str) -> object:
        """The option as it was given, or `None`."""
        self._known.append(name)
        return self._given.get(name)

    def done(self) -> None:
        """`ConfigError` for options that this store does not have."""
        for name in self._given:
            if name not in self._known:
                near = get_close_matches(name, self._known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else self._listing()
                raise ConfigError(f"store {self._scheme}: there is no option {name!r}; {hint}")

    def _listing(self) -> str:
        return f"known are: {', '.join(sorted(self._known)) or 'none'}."

    def _read(self, name: str, default: T, wanted: str, parse: Callable[[object], T]) -> T:
        given = self.value(name)
        if given is None:
            return default
        try:
            return parse(given)
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"store {self._scheme}: option {name!r} is {given!r}; expected {wanted}."
            ) from error


def _flag(value: object) -> bool:
    return value if isinstance(value, bool) else _FLAGS[_text(value).lower()]


def _size(value: object) -> int:
    match = _SIZE.fullmatch(_text(value).strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(value)
    return int(match[1]) * _SCALE[match[2].lower()]


def _count(value: object, least: int) -> int:
    number = int(_text(value))
    if number < least:
        raise ValueError(value)
    return number


def _seconds(value: object) -> float:
    number = float(_text(value))
    if not 0 < number < float("inf"):
        raise ValueError(value)
    return number


def _choice(value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(value)
    return str(value)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise TypeError(value)
