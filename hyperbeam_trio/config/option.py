"""One option of a configuration: its type, its default, what it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, overload

if TYPE_CHECKING:
    from hyperbeam_trio.store import StoreSpec

T = TypeVar("T")
U = TypeVar("U")

_TRUTH: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_SIZE: Final = re.compile(r"(\d{1,18}) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SCALE: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:")


class Kind(Generic[T]):
    """How a value is read: `read` raises `ValueError` for what is not `expected`.

    `name` is for documentation; `choices` are all values there are, if they can be listed.
    """

    # Not a named tuple: making one takes a millisecond of every start.
    __slots__ = ("choices", "expected", "name", "read")

    def __init__(
        self,
        name: str,
        expected: str,
        read: Callable[[object], T],
        choices: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.expected = expected
        self.read = read
        self.choices = choices


class Options:
    """Holds the options that were set; the classes that list options derive from it."""

    __slots__ = ("_values",)

    _values: Mapping[str, Any]


class Option(Generic[T]):
    """An option as an attribute: `port = Option(integer(0), 8734, "…")`.

    Its name is that of the attribute with dashes. A `secret` one is never shown.
    """

    def __init__(
        self, kind: Kind[T], default: Any, doc: str, *, aliases: tuple[str, ...] = ()
    ) -> None:
        self.kind = kind
        self.default: T = kind.read(default)
        self.doc = doc
        self.aliases = aliases
        self.name = ""

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = attribute.replace("_", "-")

    @overload
    def __get__(self, holder: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, holder: Options, owner: type) -> T: ...
    def __get__(self, holder: Options | None, owner: type) -> Option[T] | T:
        if holder is None:
            return self
        value: T = holder._values.get(self.name, self.default)
        return value

    def __set__(self, holder: Options, value: object) -> None:
        raise AttributeError(f"A configuration is frozen; use with_options({self.name!r}=…).")

    @property
    def secret(self) -> bool:
        """Whether its value may appear nowhere."""
        return self.name.startswith("priv") and not self.name.endswith("-location")


def text_of(raw: object) -> str:
    """Text, also from bytes; `ValueError` for anything else."""
    if isinstance(raw, bytes):
        return raw.decode()
    if not isinstance(raw, str):
        raise ValueError(raw)
    return raw


def _integer(raw: object) -> int:
    return raw if type(raw) is int else int(text_of(raw))


def _number(raw: object) -> float:
    number = raw if type(raw) is float else float(str(raw) if type(raw) is int else text_of(raw))
    if not -1e300 < number < 1e300:
        raise ValueError(raw)
    return number


def integer(low: int, high: int | None = None) -> Kind[int]:
    """Whole numbers from `low` to `high`."""

    def read(raw: object) -> int:
        number = _integer(raw)
        if number < low or (high is not None and number > high):
            raise ValueError(raw)
        return number

    to = f" to {high}" if high is not None else ""
    return Kind("integer", f"a whole number from {low}{to}", read)


def seconds(low: float = 0.0) -> Kind[float]:
    """Seconds from `low`."""

    def read(raw: object) -> float:
        number = _number(raw)
        if number < low:
            raise ValueError(raw)
        return number

    return Kind("seconds", f"a number of seconds from {low:g}", read)


def _size(raw: object) -> int:
    found = _SIZE.fullmatch(str(raw) if type(raw) is int else text_of(raw))
    if found is None:
        raise ValueError(raw)
    return int(found[1]) * _SCALE[found[2].lower()]


size: Final = Kind("bytes", "a size such as 1048576 or 64MiB", _size)


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    try:
        return _TRUTH[str(raw) if type(raw) is int else text_of(raw).lower()]
    except KeyError:
        raise ValueError(raw) from None


boolean: Final = Kind("boolean", "true or false", _boolean, ("true", "false"))


def _text(raw: object) -> str:
    text = text_of(raw)
    if not text:
        raise ValueError(raw)
    return text


text: Final = Kind("text", "text", _text)


def optional(kind: Kind[U]) -> Kind[U | None]:
    """The same, or nothing: `null` where the format has it, else an empty text."""

    def read(raw: object) -> U | None:
        return None if raw is None or raw == "" else kind.read(raw)

    return Kind(f"{kind.name}, optional", f"{kind.expected}, or nothing", read, kind.choices)


def choice(*names: str) -> Kind[Any]:
    """One of some names; `true` and `false` may be booleans."""

    def read(raw: object) -> str:
        name = str(raw).lower() if isinstance(raw, bool) else text_of(raw)
        if name not in names:
            raise ValueError(raw)
        return name

    return Kind("choice", f"one of {', '.join(names)}", read, names)


def _json(text: str) -> Any:
    # Tables and lists from the environment and the command line, which hold text alone.
    import json

    return json.loads(text)


def _sequence(raw: object) -> tuple[object, ...]:
    if isinstance(raw, str | bytes):
        listed = text_of(raw)
        if listed.startswith("["):
            return tuple(_json(listed))
        return tuple(part.strip() for part in listed.split(",") if part.strip())
    if isinstance(raw, list | tuple):
        return tuple(raw)
    if isinstance(raw, Mapping):
        # A numbered message, as a flat file or a posted one says a list.
        return tuple(raw[str(number)] for number in range(1, len(raw) + 1))
    raise ValueError(raw)


def listing(kind: Kind[U]) -> Kind[tuple[U, ...]]:
    """A list; as text its items are separated by commas."""

    def read(raw: object) -> tuple[U, ...]:
        try:
            return tuple(kind.read(item) for item in _sequence(raw))
        except KeyError:
            raise ValueError(raw) from None

    return Kind(f"list of {kind.name}", f"a list, each item {kind.expected}", read)


def _mapping(raw: object) -> Mapping[str, Any]:
    if isinstance(raw, str) and raw.startswith("{"):
        raw = _json(raw)
    if not isinstance(raw, Mapping):
        raise ValueError(raw)
    return MappingProxyType({str(key): freeze(value) for key, value in raw.items()})


def freeze(value: object) -> Any:
    """Nested tables and lists that nobody can change, and that follow no later change.

    `ValueError` for what no message can hold.
    """
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    if not isinstance(value, str | bytes | int | float | None) or value != value:
        raise ValueError(value)
    if isinstance(value, float):
        return _number(value)
    return value


table: Final = Kind("table", "a table of keys and values", _mapping)


def _table_or_text(raw: object) -> Mapping[str, Any] | str:
    return _mapping(raw) if isinstance(raw, Mapping) else _text(raw)


table_or_text: Final = Kind("table or text", "a table or text", _table_or_text)


def _index(raw: object) -> Mapping[str, Any]:
    if isinstance(raw, Mapping):
        return _mapping(raw)
    known = {"ui": "hyperbuddy@1.0", "text": "hyperbuddy@1.0/format"}
    device, _, path = known.get(_text(raw), _text(raw)).partition("/")
    return MappingProxyType({"device": device, "path": path} if path else {"device": device})


index: Final = Kind("table or text", "ui, text, a device, or a device and a key", _index)


def _store(raw: object) -> StoreSpec | str:
    if not isinstance(raw, Mapping):
        from_class = getattr(raw, "scheme", None)
        uri = str(_text(raw)) if from_class is None else ""
        if from_class is None and not _SCHEME.match(uri):
            raise ValueError(raw)
        # What has a scheme is a spec already.
        return uri or cast("StoreSpec", raw)
    # Only a node opens stores: a configuration alone should not load what they need.
    from hyperbeam_trio.store import StoreSpec

    options = {str(name): value for name, value in raw.items()}
    scheme, location = options.pop("scheme", None), options.pop("location", "")
    return StoreSpec(_text(scheme), text_of(location), options)


stores: Final = listing(
    Kind("store", "a URI such as lmdb:./data, or a table with scheme and location", _store)
)
