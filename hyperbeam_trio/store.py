"""What a store is, and opening one from its configuration (spec/04 §12; the layout is the cache's).

A store maps short text keys to bytes. Keys are text of at most `MAX_KEY_BYTES` UTF-8 bytes, parts
separated by `/`; values are any bytes up to `MAX_VALUE_BYTES`. The cache puts content, messages
and results on top of this contract, once, for every backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Literal, Self, TypeVar

import trio

from hyperbeam_trio.errors import ConfigError, TooLarge

T = TypeVar("T")

MAX_KEY_BYTES = 400
MAX_VALUE_BYTES = 1 << 30
CONTENT_PREFIX = "data/"
"""Keys below it hold bytes under their hash, which refer to nothing (spec/04 §4)."""
ENTRY_POINTS = "hyperbeam_trio.stores"
ROWS = "hyperbeam_trio.store_rows"
"""Entry points of the store that makes several in a row one."""

TIER_OPTIONS = frozenset({"access", "write", "fill", "deadline"})
"""Options of a store's place in a row; all others are its own."""

Scope = Literal["local", "remote"]


class Store(ABC):
    """One backend. All methods may be called from many tasks of one event loop at once.

    Errors: `StoreError` (503) when the backend can't answer, or after `close`; `CorruptData` when
    it finds damage; `ValueError` for a key that breaks `check_key`; `TooLarge` for a value over
    `MAX_VALUE_BYTES`. After a `StoreError` of `put`, `create` or `delete` the change is there or
    not, wholly, and asking again is harmless; a remote store may have done its first items. A
    cancelled change of a local store did not happen; once its commit has begun, the call waits
    for it and returns.

    A store starts no task of its own: what it has to do in the background is in `serve`.
    """

    scope: Scope = "local"
    durable: bool = True
    """Whether an acknowledged change survives the process; only a memory store says no."""
    writable: bool = True
    shared: bool = False
    """Whether several nodes may meet in it and each key takes a round trip: then they take turns
    at what they would else do twice."""
    opens_read_only: bool = False
    """Whether it takes the option `read-only`: then opening it creates and changes nothing."""

    @classmethod
    @abstractmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open the store at `location` (what follows `scheme:` in its URI; may be empty).

        Raises `ConfigError` for a location or option that can't be used (not writable, unknown).
        """

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The value of `key`, or `None` when there is none."""

    async def get_current(self, key: str) -> bytes | None:
        """The value that decides: like `get`, but never from a copy that may be behind.

        For keys that change, such as pointers; content and records never need it.
        """
        return await self.get(key)

    def get_nowait(self, key: str) -> bytes | None:
        """`get` for stores whose reads never wait; `trio.WouldBlock` from all others."""
        raise trio.WouldBlock

    def peek(self) -> Callable[[str], bytes | None]:
        """The cheapest way to what is at hand: its `None` only says that `get` has to be asked.

        It may raise as `get_nowait` does.
        """
        return self.get_nowait

    async def view(self, key: str, use: Callable[[memoryview], T]) -> T | None:
        """`use(value)` on a read-only view that is valid only during the call; `None` without key.

        Backends that map their file override this, so that one key of a large record costs no copy.
        """
        value = await self.get(key)
        return None if value is None else use(memoryview(value))

    @abstractmethod
    async def put(self, items: Mapping[str, bytes]) -> None:
        """Write all of `items` or none, durably: on return they survive a crash and a power cut.

        Readers never see a later item of the mapping without the earlier ones, so content comes
        before the names that point at it. Neighbours below `CONTENT_PREFIX` have no order.
        """

    @abstractmethod
    async def create(self, key: str, value: bytes) -> bool:
        """Write `key` only if it is absent, durably; `True` for the one caller that wins."""

    async def claim(self, keys: Mapping[str, bytes], content: Mapping[str, bytes]) -> int:
        """Create `keys` in their order until one exists already; how many were created.

        `content` is what they refer to; it is written first, also when no key is created. Backends
        that can do it all in one durable step override this.
        """
        if content:
            await self.put(content)
        created = 0
        for key, value in keys.items():
            if not await self.create(key, value):
                break
            created += 1
        return created

    @abstractmethod
    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        """Keys that start with `prefix`, in byte order, from behind `after`, at most `limit`.

        Keys that come or go during the call may be listed or not.
        """

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None:
        """Remove `keys`, durably; absent keys are no error. Not all at once, in some stores."""

    async def be_alone(self) -> bool:
        """Keep other processes from opening the store for writing, until it is closed.

        `StoreError` while one has it open; `False` from stores that can't tell, such as far ones.
        """
        return False

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Background work while the store is open; its owner starts it in a nursery of its own.

        Returns at once for stores that have none.
        """
        task_status.started()

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
        """`SCHEME:LOCATION?NAME=VALUE&…` → its parts; `ConfigError` otherwise."""
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
    """Open a row of stores, nearest first; a single one without a policy is opened as it is."""
    if not specs:
        known = ", ".join(sorted(store_schemes()))
        raise ConfigError(
            f"store: at least one store is needed, as SCHEME:LOCATION; schemes are {known}."
        )
    parsed = [StoreSpec.parse(spec) if isinstance(spec, str) else spec for spec in specs]
    if len(parsed) == 1 and TIER_OPTIONS.isdisjoint(parsed[0].options):
        return await open_store(parsed[0])
    return await _row_class().open("", {"tiers": parsed})


def _row_class() -> type[Store]:
    for point in entry_points(group=ROWS):
        loaded: type[Store] = point.load()
        return loaded
    raise ConfigError("store: nothing is installed that makes one store of several in a row.")


def check_key(key: str) -> bytes:
    """The UTF-8 bytes of a key that keeps the contract; `ValueError` otherwise.

    A key has 1 to `MAX_KEY_BYTES` bytes, no NUL, and no part that is empty, `.` or `..`.
    """
    raw = key.encode()
    # Nearly all keys are plain: a few substring searches settle them in a tenth of a microsecond.
    if "/." in key or "//" in key or "\0" in key or key[:1] in "/." or key[-1:] == "/":
        _check_parts(key)
    if len(raw) > MAX_KEY_BYTES:
        raise ValueError(
            f"A store key has 1 to {MAX_KEY_BYTES} bytes; {key[:80]!r}… has {len(raw)}."
        )
    return raw


def _check_parts(key: str) -> None:
    if not key:
        raise ValueError(f"A store key has 1 to {MAX_KEY_BYTES} bytes, not none.")
    if "\0" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"A store key has no NUL and no empty, '.' or '..' part: {key[:80]!r}.")


def check_value(key: str, value: bytes) -> None:
    """`TooLarge` for a value that no store takes."""
    if len(value) > MAX_VALUE_BYTES:
        raise TooLarge(
            f"store: the value of {key!r} has {len(value)} bytes; the limit is {MAX_VALUE_BYTES}."
        )
