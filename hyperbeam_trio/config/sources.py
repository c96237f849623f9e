"""Where a configuration comes from: files, environment, flags (spec/07 §2.1 to §2.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

from hyperbeam_trio.errors import ConfigError

PREFIX: Final = "HB_"
FILES_VARIABLE: Final = "HB_CONFIG"
REFERENCE_VARIABLES: Final[Mapping[str, str]] = {
    "HB_KEY": "priv-key-location",
    "HB_INDEX": "default-index",
}
"""Variables of the reference whose option has another name."""

UNUSED_VARIABLES: Final = frozenset(
    {
        *("HB_PRINT", "HB_PRELOADED_STORE", "HB_PARANOID"),
        *("HB_LOG", "HB_LOG_DIR", "HB_LOG_MAX_FILES", "HB_LOG_MAX_BYTES"),
    }
)
"""Variables of the reference that mean nothing here; they are no mistake."""


class Setting:
    """A value as somebody wrote it, and where."""

    # Not a named tuple: making one takes a millisecond of every start.
    __slots__ = ("name", "source", "value")

    def __init__(self, name: str, value: object, source: str = "") -> None:
        self.name = dashed(name)
        self.value = value
        self.source = source


def dashed(name: str) -> str:
    """An option's name as it is stored: lower case, dashes."""
    return name.lower().replace("_", "-")


def from_environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    """The options that `HB_*` variables set; empty ones set nothing."""
    for variable in sorted(environ):
        ours = variable.startswith(PREFIX) and variable not in UNUSED_VARIABLES
        if ours and variable != FILES_VARIABLE and environ[variable]:
            name = REFERENCE_VARIABLES.get(variable) or variable[len(PREFIX) :]
            yield Setting(name, environ[variable], variable)


def files_in(environ: Mapping[str, str]) -> list[str]:
    """The files that `HB_CONFIG` names, separated by commas."""
    named = environ.get(FILES_VARIABLE, "").split(",")
    return [name.strip() for name in named if name.strip()]


def from_file(path: str | PurePath) -> Iterator[Setting]:
    """The options of a `.toml`, `.json` or flat file; `ConfigError` says what is wrong where."""
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
    except OSError as problem:
        raise ConfigError(f"config: can't read {path}: {problem.strerror}.") from None
    except UnicodeDecodeError as problem:
        raise ConfigError(f"config: {path} is not UTF-8 text ({problem}).") from None
    for name, value in _parsed(path, text).items():
        yield Setting(name, value, str(path))


def _parsed(path: str | PurePath, text: str) -> Mapping[str, Any]:
    suffix = PurePath(path).suffix.lower()
    if suffix == ".toml":
        return _toml(path, text)
    if suffix == ".json":
        return _json(path, text)
    if suffix in ("", ".flat", ".tabm"):
        return _flat(path, text)
    raise ConfigError(f"config: {path} should end in .toml, .json or .flat.")


def _toml(path: str | PurePath, text: str) -> Mapping[str, Any]:
    # Each format is loaded when a file needs it: a node without files needs none.
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"config: {path} is not TOML: {problem}.") from None


def _json(path: str | PurePath, text: str) -> Mapping[str, Any]:
    import json

    try:
        parsed = json.loads(text)
    except ValueError as problem:
        raise ConfigError(f"config: {path} is not JSON: {problem}.") from None
    if not isinstance(parsed, dict):
        raise ConfigError(f"config: {path} should hold a JSON object of options.")
    return parsed


def _flat(path: str | PurePath, text: str) -> Mapping[str, Any]:
    """`key: value` a line, `a/b: value` nests; blank lines and `#` comments say nothing."""
    options: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        if line and not line.startswith("#"):
            key, colon, value = line.partition(": ")
            if not colon:
                raise ConfigError(f"config: {path}, line {number}: expected 'key: value'.")
            _nest(options, key, value, f"{path}, line {number}")
    return options


def _nest(options: dict[str, Any], key: str, value: str, place: str) -> None:
    *parents, last = [part for part in key.split("/") if part] or [key]
    for parent in parents:
        options = options.setdefault(parent, {})
        if not isinstance(options, dict):
            raise ConfigError(f"config: {place}: {parent!r} is a value already, not a table.")
    if isinstance(options.get(last), dict):
        raise ConfigError(f"config: {place}: {last!r} is a table already, not a value.")
    options[last] = value


def merged(below: object, above: object) -> object:
    """`above` laid over `below`: tables key by key, anything else as a whole."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    return {**below, **{key: merged(below.get(key), value) for key, value in above.items()}}
