"""What a guest gets from its host, and the one place where Lua calls Python.

Host functions run in the thread that called the VM, while the guest waits. Whoever runs VMs in
worker threads and needs the event loop from a host function must go there himself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from lupa import lua53

from hyperbeam_trio.devices.lua_vm.failures import limit_reached
from hyperbeam_trio.devices.lua_vm.sandbox import Limits
from hyperbeam_trio.devices.lua_vm.values import Reader, to_lua
from hyperbeam_trio.errors import NodeError

HASTY_BYTES: Final = 1 << 20
"""How much memory a guest may take in a call that is made in haste."""

PERIOD: Final = 0.05
"""Seconds of CPU time after which a running guest looks at its host again."""

HostFunction: TypeAlias = Callable[..., Any]
"""Takes results of Lua as positional arguments; gives one value, or a tuple of several."""


def _nothing(*_: object) -> None:
    return None


def _standstill() -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Host:
    """What a guest may ask for.

    `functions` are put under the global `ao` by name, but for those with an "@"; an Exception of
    theirs becomes a Lua error with its text, any other BaseException ends the guest. `clock` gives
    seconds since 1970, read once a call, for `os.time`, `os.clock` and `os.date`; by default it
    stands still. `write` takes what the guest printed, once at the end of a call that printed.
    `check` is called several times a second of a running guest and ends it by raising, as
    `trio.from_thread.check_cancelled` does. With `haste` whoever calls can't be kept waiting: after
    so many seconds of CPU time of the process, or when it needs much memory, the guest is ended
    with `GuestLimit`; up to there it can't tell.
    """

    functions: Mapping[str, HostFunction] = field(default_factory=dict)
    clock: Callable[[], float] = _standstill
    write: Callable[[bytes], None] = _nothing
    check: Callable[[], None] = _nothing
    haste: float | None = None


@dataclass(frozen=True, slots=True)
class HostCall:
    """One answer of a host function, kept so that a call can be replayed without asking again."""

    name: str
    results: tuple[Any, ...]
    error: Exception | None = None


class HostTrouble(BaseException):
    """What a host function raises to end the whole call with `error`, whatever the guest does.

    For trouble of the host's own, which must not become part of what a program computes.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Bridge:
    """Python's side of one VM: what its prelude calls. Holds the VM's runtime until closed.

    The runtime refers to this object from Lua, where Python's collector can't follow, so the VM
    breaks the circle with `close`.
    """

    def __init__(self, runtime: lua53.LuaRuntime, limits: Limits, host: Host) -> None:
        self.runtime = runtime
        self.host = host
        self.abort: BaseException | None = None
        self.error: Exception | None = None
        self.late = False
        self.tape: list[HostCall] = []
        self._replay: Iterator[HostCall] | None = None
        self._limits = limits
        self._memory = limits.memory
        self._deadline = 0.0
        self._looked = False

    def close(self) -> None:
        """Lets go of the runtime."""
        self.runtime = None

    def begin(self, host: Host, replay: tuple[HostCall, ...] | None) -> None:
        """A call starts: with the functions of `host`, or with their recorded answers."""
        self.host = host
        self.abort = self.error = None
        self.late = False
        self.tape = []
        self._replay = None if replay is None else iter(replay)
        self._memory, self._looked = self._limits.memory, False
        self._deadline = time.monotonic() + self._limits.seconds
        if host.haste is not None:
            held: int = self.runtime.get_memory_used()
            self._memory = min(self._memory, held + HASTY_BYTES)

    @property
    def is_replaying(self) -> bool:
        """Whether this call has been made before."""
        return self._replay is not None

    def arm(self) -> float:
        """From here on memory is limited. CPU time in seconds after which `check` is due again."""
        self.runtime.set_max_memory(self._memory)
        return PERIOD if self.host.haste is None else self.host.haste

    def disarm(self) -> None:
        """From here on memory is not limited: the binding allocates unprotected."""
        self.runtime.set_max_memory(0)

    def check(self) -> bool:
        """Whether the guest must end now."""
        # The first look comes at once. In haste there is no second one, since each takes some of
        # the instructions between two hooks, and the same call without haste has fewer looks.
        hastes = self.host.haste is not None and self._looked
        self.late, self._looked = hastes or time.monotonic() > self._deadline, True
        try:
            self.host.check()
        except BaseException as reason:
            # Kept for `LuaVM.call`, which raises it where the caller can see it.
            self.abort = reason
        return self.late or self.abort is not None

    def call(self, name: bytes, *arguments: Any) -> tuple[Any, ...]:
        """A guest calls a host function: True and the results, False and a text, or None to end."""
        try:
            if len(self.tape) >= self._limits.host_calls:
                self.abort = limit_reached("host-calls")
                return (None,)
            answer = self._answer(name.decode(), arguments)
            self.tape.append(answer)
            if answer.error is not None:
                raise answer.error
            return (True, *(to_lua(self.runtime, result) for result in answer.results))
        except Exception as error:
            self.error = error
            return False, str(error).encode()
        except HostTrouble as trouble:
            self.abort = trouble.error
            return (None,)
        except BaseException as reason:
            # Cancellation and the like: no business of the guest, raised again by `LuaVM.call`.
            self.abort = reason
            return (None,)

    def _answer(self, name: str, arguments: tuple[Any, ...]) -> HostCall:
        if self._replay is not None:
            return self._recorded(name)
        function = self.host.functions.get(name)
        if function is None:
            raise NodeError(f"The host of this call has no function ao.{name}.")
        reader = Reader(self._limits.items)
        try:
            result = function(*(reader.read(argument) for argument in arguments))
        except Exception as error:
            return HostCall(name, (), error)
        return HostCall(name, result if type(result) is tuple else (result,))

    def _recorded(self, name: str) -> HostCall:
        answer = next(self._replay or iter(()), None)
        if answer is None or answer.name != name:
            raise NodeError(f"A replayed Lua call asked for ao.{name}, which it didn't ask before.")
        return answer
