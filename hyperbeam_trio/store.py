"""What a store is, and opening one from its configuration (spec/04 §12; the layout is the cache's).

A store maps short text keys to bytes. Keys are printable text of at most `MAX_KEY_BYTES` UTF-8
bytes, parts separated by `/`; values are any bytes. The cache puts content, messages and results
on top of this contract, once, for every backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import ClassVar, Literal, Self, TypeVar

from hyperbeam_trio.errors import ConfigError

T = TypeVar("T")

MAX_KEY_BYTES = 400
ENTRY_POINTS = "hyperbeam_trio.stores"

Scope = Literal["local", "remote"]


class Store(ABC):
    """One backend. All methods may be called from many tasks at once.

    Errors: `StoreError` (503) when the backend can't answer, `CorruptData` when it finds damage,
    `ValueError` for a key that is empty, longer than `MAX_KEY_BYTES`, or holds NUL, an empty part
    or a `..` part.
    """

    scope: ClassVar[Scope] = "local"
    writable: bool = True

    @classmethod
    @abstractmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open the store at `location` (what follows `scheme:` in its URI; may be empty).

        Raises `ConfigError` for a location or option that can't be used (not writable, unknown).
        """

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The value of `key`, or `None` when there is none."""

    async def view(self, key: str, use: Callable[[memoryview], T]) -> T | None:
        """`use(value)` on a read-only view that is valid only during the call; `None` without key.

        Backends that map their file override this, so that one key of a large record costs no copy.
        """
        value = await self.get(key)
        return None if value is None else use(memoryview(value))

    @abstractmethod
    async def put(self, items: Mapping[str, bytes]) -> None:
        """Write all of `items` or none, durably: on return they survive a crash and a power cut."""

    @abstractmethod
    async def create(self, key: str, value: bytes) -> bool:
        """Write `key` only if it is absent, durably; `True` for the one caller that wins."""

    @abstractmethod
    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        """Keys that start with `prefix`, in byte order, from behind `after`, at most `limit`."""

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`, durably; absent keys are no error."""

    @abstractmethod
    async def close(self) -> None:
        """Finish pending writes and let go of files and sockets; a second call does nothing."""

    def describe(self) -> str:
        """One line for people: what and where, without secrets."""
        return type(self).__name__


@dataclass(frozen=True)
class StoreSpec:
    """One store of a configuration: `scheme:location` and its options."""

    scheme: str
    location: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, uri: str) -> StoreSpec:
        """`lmdb:./data`, `memory:`, `fs:/var/x?mode=ro` → its parts; `ConfigError` otherwise."""
        scheme, colon, rest = uri.partition(":")
        if not colon or not scheme:
            raise ConfigError(
                f"store: {uri!r} is not a store URI; expected SCHEME:LOCATION with a scheme of "
                f"{', '.join(sorted(store_schemes()))}."
            )
        location, _, query = rest.partition("?")
        return cls(scheme, location, dict(_query_options(uri, query)))

    def __str__(self) -> str:
        return f"{self.scheme}:{self.location}"


def _query_options(uri: str, query: str) -> list[tuple[str, str]]:
    options = []
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"store: option {part!r} of {uri!r} has no value; write NAME=VALUE.")
        options.append((name, value))
    return options


def store_schemes() -> Mapping[str, str]:
    """Installed schemes and where their classes are (`module:Class`)."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def store_class(scheme: str) -> type[Store]:
    """The class behind a scheme; `ConfigError` that lists the known ones."""
    for point in entry_points(group=ENTRY_POINTS, name=scheme):
        loaded: type[Store] = point.load()
        return loaded
    known = ", ".join(sorted(store_schemes()))
    raise ConfigError(f"store: no store of scheme {scheme!r} is installed; known are {known}.")


async def open_store(spec: StoreSpec | str) -> Store:
    """Open one store from its URI or spec."""
    if isinstance(spec, str):
        spec = StoreSpec.parse(spec)
    return await store_class(spec.scheme).open(spec.location, spec.options)


async def open_stores(specs: Sequence[StoreSpec | str]) -> Store:
    """Open a row of stores: one is itself, several are a tiered store, nearest first."""
    if not specs:
        raise ConfigError("store: at least one store is needed, such as 'lmdb:./data'.")
    if len(specs) == 1:
        return await open_store(specs[0])
    return await store_class("tiered").open("", {"tiers": list(specs)})


def check_key(key: str) -> bytes:
    """The UTF-8 bytes of a key that keeps the contract; `ValueError` otherwise."""
    raw = key.encode()
    if not raw or len(raw) > MAX_KEY_BYTES:
        raise ValueError(
            f"A store key has 1 to {MAX_KEY_BYTES} bytes; {key[:80]!r} has {len(raw)}."
        )
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"A store key has no NUL and no empty, '.' or '..' part: {key[:80]!r}.")
    return raw
