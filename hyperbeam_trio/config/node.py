"""`NodeConfig`: all options together, read from files, environment and flags (spec/07 §2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hyperbeam_trio.config.core import (
    DeviceOptions,
    IdentityOptions,
    LogOptions,
    StoreOptions,
)
from hyperbeam_trio.config.option import Option, Options, freeze, table
from hyperbeam_trio.config.sources import (
    PREFIX,
    Setting,
    dashed,
    files_in,
    from_environment,
    from_file,
    merged,
)
from hyperbeam_trio.config.web import ClientOptions, LimitOptions, NetworkOptions, ServerOptions
from hyperbeam_trio.config.work import ProcessOptions, PushOptions, SchedulerOptions
from hyperbeam_trio.errors import ConfigError

if TYPE_CHECKING:
    from hyperbeam_trio.http.limits import Limits
    from hyperbeam_trio.message import Message
    from hyperbeam_trio.store import StoreSpec

_SHOWN: Final = 80
_LOGIN: Final = re.compile(r"//[^/@\s]*@")


class NodeConfig(
    IdentityOptions,
    StoreOptions,
    DeviceOptions,
    LogOptions,
    ServerOptions,
    LimitOptions,
    ClientOptions,
    NetworkOptions,
    ProcessOptions,
    SchedulerOptions,
    PushOptions,
):
    """A node's options, frozen; each is an attribute with underscores for its dashes.

    `NodeConfig(port=0, store=["memory:"])` sets some and leaves the rest at their defaults. Every
    mistake is a `ConfigError` that names the option, its value and what was expected.
    """

    __slots__ = ()

    def __init__(self, **options: object) -> None:
        settings = [Setting(name, value) for name, value in options.items()]
        self._values = _read(settings, {})

    @classmethod
    def from_sources(
        cls,
        files: Sequence[str | PurePath] = (),
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> NodeConfig:
        """Defaults, then `HB_*` variables, then files from left to right, then flags; later wins.

        Without `files` those of `HB_CONFIG` are read. Tables are merged key by key. A flag that
        is `None` was not given.
        """
        environ = environ or {}
        settings = [*from_environment(environ)]
        for path in files or files_in(environ):
            settings += from_file(path)
        given = (flags or {}).items()
        settings += [Setting(k, v, "the flags") for k, v in given if v is not None]
        return cls._of(_read(settings, {}, merge=True))

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> NodeConfig:
        self = object.__new__(cls)
        self._values = values
        return self

    def with_options(
        self, changes: Mapping[str, object] | None = None, /, **options: object
    ) -> NodeConfig:
        """The same with some options changed, under their names with dashes or underscores."""
        named = {**(changes or {}), **options}
        settings = [Setting(name, value) for name, value in named.items()]
        return self._of(_read(settings, self._values)) if settings else self

    def get(self, name: str) -> Any:
        """The value of an option by its name; `ConfigError` for one that there isn't."""
        option = _option(dashed(name), "")
        return option.__get__(self, type(self))

    def stores(self) -> list[StoreSpec]:
        """The stores, nearest first, with what `store-defaults` says of their schemes."""
        from hyperbeam_trio.store import StoreSpec

        specs = [s if isinstance(s, StoreSpec) else StoreSpec.parse(s) for s in self.store]
        return [
            StoreSpec(
                spec.scheme,
                spec.location,
                {**self.store_defaults.get(spec.scheme, {}), **spec.options},
            )
            for spec in specs
        ]

    def http_limits(self) -> Limits:
        """The bounds of the front door."""
        from hyperbeam_trio.http.limits import Limits

        return Limits(
            head_bytes=self.http_head_bytes,
            header_count=self.http_header_count,
            body_bytes=max(self.max_body, self.max_item),
            connections=self.max_connections,
            connections_per_address=self.http_connections_per_address,
            requests=self.http_requests,
            retry_after=self.http_retry_after,
            idle_seconds=self.idle_timeout / 1000,
            head_seconds=self.http_head_seconds,
            body_seconds=self.http_body_seconds,
            body_rate=self.http_body_rate,
            write_seconds=self.http_write_seconds,
            handshake_seconds=self.http_handshake_seconds,
            grace_seconds=self.http_grace_seconds,
        )

    def to_message(self) -> Message:
        """The options as anyone may see them: nothing under a name that begins with `priv`.

        Stores appear without their options and URLs without a login, since these may hold
        passwords; those of identities, `store-defaults` and `device-options` not at all. What is
        not set is absent.
        """
        from hyperbeam_trio.message import Message

        hidden = ("priv", "store-defaults", "device-options")
        public = (name for name in OPTIONS if not name.startswith(hidden))
        shown = {name: _public(self.get(name)) for name in public}
        shown["store"] = [_without_options(store) for store in self.store]
        return Message({name: value for name, value in shown.items() if value is not None})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeConfig):
            return NotImplemented
        return all(self.get(name) == other.get(name) for name in OPTIONS)

    def __repr__(self) -> str:
        shown = (f"{n.replace('-', '_')}={_shown(OPTIONS[n], v)}" for n, v in self._values.items())
        return f"NodeConfig({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Frozen tables can't be pickled, and worker processes are given their configuration so.
        return _rebuilt, ({name: _thawed(value) for name, value in self._values.items()},)


class OptionRow(NamedTuple):
    """An option for documentation."""

    name: str
    kind: str
    default: object
    variable: str
    doc: str
    group: str


def options_table() -> list[OptionRow]:
    """Every option, by group: name, type, default, environment variable, what it is for."""
    rows = []
    for group in NodeConfig.__mro__[1:]:
        for option in vars(group).values():
            if isinstance(option, Option):
                variable = PREFIX + option.name.replace("-", "_").upper()
                default = _thawed(option.default)
                group_name = group.__name__.removesuffix("Options").lower()
                rows.append(
                    OptionRow(
                        option.name, option.kind.name, default, variable, option.doc, group_name
                    )
                )
    return rows


def _all_options() -> dict[str, Option[Any]]:
    classes: Sequence[type[Options]] = [c for c in NodeConfig.__mro__ if issubclass(c, Options)]
    members = [member for c in classes for member in vars(c).values()]
    return {member.name: member for member in members if isinstance(member, Option)}


OPTIONS: Final[Mapping[str, Option[Any]]] = _all_options()
"""Every option by its name."""

_ALIASES: Final = {alias: option for option in OPTIONS.values() for alias in option.aliases}


def _read(
    settings: Iterable[Setting], values: Mapping[str, Any], *, merge: bool = False
) -> Mapping[str, Any]:
    read = dict(values)
    for setting in settings:
        option = _option(setting.name, setting.source)
        value = _value(option, setting)
        if merge and option.kind is table:
            value = freeze(merged(read.get(option.name, option.default), value))
        read[option.name] = value
    return read


def _option(name: str, source: str) -> Option[Any]:
    option = OPTIONS.get(name) or _ALIASES.get(name)
    if option is None:
        where = f" (in {source})" if source else ""
        near = _near(name, [*OPTIONS, *_ALIASES])
        raise ConfigError(f"{name}: there is no such option{where}.{near}")
    return option


def _value(option: Option[Any], setting: Setting) -> Any:
    try:
        return option.kind.read(setting.value)
    except ValueError:
        where = f" (in {setting.source})" if setting.source else ""
        near = _near(str(setting.value), option.kind.choices)
        raise ConfigError(
            f"{option.name}: {_shown(option, setting.value)}{where} does not fit; "
            f"expected {option.kind.expected}.{near}"
        ) from None


def _near(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _shown(option: Option[Any], value: object) -> str:
    if option.secret:
        return "(hidden)"
    shown = repr(_thawed(value))
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _thawed(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _thawed(item) for key, item in value.items()}
    return [_thawed(item) for item in value] if isinstance(value, tuple | list) else value


def _without_options(store: StoreSpec | str) -> str:
    return _LOGIN.sub("//", str(store).partition("?")[0])


def _public(value: object) -> Any:
    if isinstance(value, str):
        return _LOGIN.sub("//", value)
    if isinstance(value, Mapping):
        return {k: _public(v) for k, v in value.items() if not str(k).startswith(("priv", "store"))}
    if isinstance(value, tuple):
        return [_public(item) for item in value]
    return value


def _rebuilt(values: Mapping[str, Any]) -> NodeConfig:
    return NodeConfig().with_options(values)
