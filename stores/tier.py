"""One tier of a row of stores: what it may do, and how long we wait for a remote one.

Options of a tier, beside those of its store: `access` (`read`, `write`, `admin`, joined by `,`;
default all; `admin` deletes), `write` (`through`: a put waits for it; `back`: it is written later
from a durable queue), `fill` (whether values found further away are copied here), `deadline`
(seconds for one call of a remote tier, default 10).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import trio

from hyperbeam_trio.cache.flights import Flights
from hyperbeam_trio.errors import ConfigError, CorruptData, HyperbeamError, RemoteError, StoreError
from hyperbeam_trio.store import TIER_OPTIONS, Store, StoreSpec, open_store
from hyperbeam_trio.store_options import StoreOptions

T = TypeVar("T")

TROUBLES = (StoreError, CorruptData, RemoteError)
"""What a tier may raise that the next tier can make good."""

FAILURES_TO_OPEN = 5
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


@dataclass
class Breaker:
    """Stops asking a remote that keeps failing, and tries it again after a growing pause.

    Closed until `FAILURES_TO_OPEN` calls in a row fail; then open for a pause; then one call is
    let through as a probe, whose outcome closes it or doubles the pause.
    """

    place: str
    failures: int = 0
    pause: float = FIRST_PAUSE
    open_until: float = 0.0
    probing: bool = False

    def admit(self) -> None:
        """Let a call pass, or raise `StoreError`."""
        if self.failures < FAILURES_TO_OPEN:
            return
        wait = self.open_until - trio.current_time()
        if self.probing or wait > 0:
            raise StoreError(
                f"store {self.place}: it failed {self.failures} times in a row and is left alone "
                f"for {max(wait, 0):.1f} s more.",
                details={"retry-after": max(1, round(wait))},
            )
        self.probing = True

    def succeeded(self) -> None:
        """A call was answered."""
        self.failures, self.pause, self.probing = 0, FIRST_PAUSE, False

    def failed(self) -> None:
        """A call was not answered, or with trouble."""
        self.failures += 1
        if self.failures >= FAILURES_TO_OPEN:
            self.open_until = trio.current_time() + self.pause
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
        self.probing = False

    def abandoned(self) -> None:
        """A call was cancelled by its caller: it says nothing about the remote."""
        self.probing = False


@dataclass
class Tier:
    """A store and its policy. `call` guards a remote one; local ones are called directly."""

    store: Store
    reads: bool = True
    writes: bool = True
    admin: bool = True
    back: bool = False
    fills: bool = True
    deadline: float = 10.0
    place: str = field(init=False)
    remote: bool = field(init=False)
    breaker: Breaker = field(init=False)
    _flights: Flights[bytes | None] = field(init=False, default_factory=Flights)

    def __post_init__(self) -> None:
        self.place = self.store.describe()
        self.remote = self.store.scope == "remote"
        self.breaker = Breaker(self.place)

    @classmethod
    async def open(cls, spec: StoreSpec | str) -> Self:
        """Open the store of a spec and read its tier options; `ConfigError` for bad ones."""
        spec = StoreSpec.parse(spec) if isinstance(spec, str) else spec
        own = {name: value for name, value in spec.options.items() if name in TIER_OPTIONS}
        rest = {name: value for name, value in spec.options.items() if name not in TIER_OPTIONS}
        policy = _policy(str(spec), own)
        store = await open_store(StoreSpec(spec.scheme, spec.location, rest))
        writes, admin = (policy.pop(name) and store.writable for name in ("writes", "admin"))
        return cls(store, writes=writes, admin=admin, **policy)

    async def get(self, key: str) -> bytes | None:
        """The value of a key; equal reads of a remote under way at once are one."""
        if not self.remote:
            return await self.store.get(key)
        return await self._flights.share(key, lambda: self.call(lambda store: store.get(key)))

    async def call(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        """`ask(store)`, for a remote store with its deadline and breaker.

        Raises what the store raises, and `StoreError` when it takes too long or is left alone.
        """
        if not self.remote:
            return await ask(self.store)
        self.breaker.admit()
        try:
            with trio.fail_after(self.deadline):
                answer = await ask(self.store)
        except trio.TooSlowError as error:
            self.breaker.failed()
            raise StoreError(
                f"store {self.place}: no answer within {self.deadline:g} s.",
            ) from error
        except (StoreError, RemoteError):
            self.breaker.failed()
            raise
        except (HyperbeamError, ValueError):
            self.breaker.succeeded()
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self.breaker.succeeded()
        return answer


def _policy(place: str, given: Mapping[str, object]) -> dict[str, Any]:
    options = StoreOptions(f"tier {place}", given)
    access = _access(place, options.value("access"))
    return {
        "reads": "read" in access,
        "writes": "write" in access,
        "admin": "admin" in access,
        "back": options.choice("write", "through", ("through", "back")) == "back",
        "fills": options.flag("fill", True),
        "deadline": options.seconds("deadline", 10.0),
    }


def _access(place: str, given: object) -> frozenset[str]:
    known = frozenset({"read", "write", "admin"})
    if given is None:
        return known
    named = frozenset(given.split(",") if isinstance(given, str) else map(str, _listed(given)))
    if not named or named - known:
        raise ConfigError(
            f"store tier {place}: option 'access' is {given!r}; expected some of read,write,admin."
        )
    return named


def _listed(given: object) -> list[object]:
    return list(given) if isinstance(given, (list, tuple, set, frozenset)) else [given]
