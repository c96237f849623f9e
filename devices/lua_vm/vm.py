"""One Lua VM: modules in, calls, snapshots (spec/06 §5.3, §5.4, §7.8).

A VM changes with every call and serves one call at a time, in any thread. States as values are
built on top of it in `state.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from lupa import lua53

from hyperbeam_trio.devices.lua_vm import snapshot as envelope
from hyperbeam_trio.devices.lua_vm.failures import (
    Frame,
    LuaError,
    LuaSyntaxError,
    NoSuchFunction,
    SnapshotMismatch,
    SnapshotRefused,
    limit_reached,
)
from hyperbeam_trio.devices.lua_vm.host import Bridge, Host, HostCall
from hyperbeam_trio.devices.lua_vm.lending import Lender
from hyperbeam_trio.devices.lua_vm.sandbox import Limits, load_prelude, new_runtime
from hyperbeam_trio.devices.lua_vm.values import Reader, Value, to_lua
from hyperbeam_trio.errors import GuestError

Modules = Sequence[tuple[str, bytes]]
"""Names of chunks, as error texts show them, with their source."""


class LuaVM:
    """A Lua 5.3 machine in a sandbox.

    Make one with `new` or `restore`. `spoiled` says why it can't be used any more, or is None.
    """

    def __init__(self, limits: Limits, host: Host) -> None:
        self.spoiled: str | None = None
        self._limits = limits
        self._busy = False
        self._host = host
        self._runtime = new_runtime()
        self._bridge = Bridge(self._runtime, limits, host)
        with self._runtime.nogc():
            self._kit = load_prelude(self._runtime, _kit(self._bridge, limits))
            self._entry = {name.decode(): f for name, f in self._kit[b"entry"].items()}
            self._lender = Lender(self._runtime, self._entry)
            for name in sorted(host.functions):
                self._entry["define"](name.encode())
            self._kit[b"remember_provided"]()

    def __del__(self) -> None:
        if hasattr(self, "_bridge"):
            self._bridge.close()

    @classmethod
    def new(
        cls,
        modules: Modules,
        *,
        limits: Limits | None = None,
        seed: bytes = b"",
        host: Host | None = None,
        replace: Mapping[str, Value] | None = None,
    ) -> LuaVM:
        """A VM that has run `modules` in order in one set of globals.

        `seed` decides `math.random` (a process gives its id). Afterwards `replace` is applied
        (dotted path to value, such as `SANDBOXED`) and the host's functions are put under `ao`.
        Raises LuaSyntaxError, LuaError, or GuestLimit if a module runs too long.
        """
        host = host or Host()
        vm = cls(limits or Limits(), host)
        chance = hashlib.sha256(seed).digest()[:8]
        vm._kit[b"set_chance"](int.from_bytes(chance, "little", signed=True))
        for name, source in modules:
            vm._run_module(name, source, host)
        for path, value in (replace or {}).items():
            vm._entry["replace"](path.encode(), to_lua(vm._runtime, value))
        vm._entry["install"]()
        return vm

    @classmethod
    def restore(
        cls, data: bytes, *, limits: Limits | None = None, host: Host | None = None
    ) -> LuaVM:
        """A VM in the state that `snapshot` gave. `data` must come from a store that is trusted.

        Raises SnapshotMismatch if it was made by another version or needs a function that `host`
        doesn't have, CorruptData if it is damaged.
        """
        state = envelope.unwrap(data)
        vm = cls(limits or Limits(), host or Host())
        answer = vm._entry["restore"](state)
        if answer is not True:
            missing = answer[1].decode("utf-8", "replace")
            raise SnapshotMismatch(f"The snapshot needs {missing!r}, which this node doesn't give.")
        return vm

    @property
    def memory(self) -> int:
        """Bytes that the VM holds now."""
        used: int = self._runtime.get_memory_used(total=True)
        return used

    def functions(self) -> list[str]:
        """The names of all global functions, in order."""
        names = self._entry["functions"]()
        return [name.decode("utf-8", "replace") for name in names.values()]

    def call(
        self,
        function: str,
        arguments: Sequence[Value],
        *,
        live: bool = False,
        host: Host | None = None,
        time: float | None = None,
        replay: tuple[HostCall, ...] | None = None,
    ) -> list[Any]:
        """Calls a global function; gives its results, none to many (spec/06 §5.4, §5.5).

        With `live`, tables in the first argument stand for messages: reading an absent key asks the
        host function `@get(table, key)`, writing one asks `@set(table, key, value)` for the new
        contents. `host` takes the place of the VM's own for this call, with functions of the same
        names; `time` takes the place of its clock. With `replay` nothing is asked of the host nor
        printed: the answers of its functions come from the list.

        Raises LuaError, NoSuchFunction, UnfitValue for an argument, UnfitResult, GuestLimit, or
        whatever `host.check` or a host function raised that is no Exception. After GuestLimit and
        after such a BaseException the VM is spoiled; after LuaError it is in the state that the
        guest left.
        """
        host = host or self._host
        given = self._lender.into(arguments)
        now = host.clock() if time is None else time
        self._begin(host, replay)
        answer = self._enter("call_live" if live else "call", function.encode(), now, *given)
        if answer == b"missing":
            raise NoSuchFunction(function)
        reader = Reader(self._limits.items)
        return [self._lender.read(reader, result) for result in self._outcome(answer)]

    def host_calls(self) -> tuple[HostCall, ...]:
        """What host functions answered in the last call, for `replay`."""
        return tuple(self._bridge.tape)

    def snapshot(self) -> bytes:
        """The VM's whole state; equal states give equal bytes.

        Raises SnapshotRefused if it holds a suspended coroutine or an iterator.
        """
        self._check_usable()
        answer = self._entry["snapshot"]()
        if type(answer) is bytes:
            return envelope.wrap(answer)
        what, path = (text.decode("utf-8", "replace") for text in answer[1:3])
        raise SnapshotRefused(f"A Lua state with {what} can't be written: {path.lstrip('.')}")

    def _run_module(self, name: str, source: bytes, host: Host) -> None:
        self._begin(host, None)
        answer = self._enter("run", name.encode(), host.clock(), source)
        if answer[0] == b"syntax":
            raise LuaSyntaxError(answer[1].decode("utf-8", "replace"))
        self._outcome(answer)

    def _check_usable(self) -> None:
        if self.spoiled is not None:
            raise GuestError(f"This Lua VM can't be used any more: {self.spoiled}")
        if self._busy:
            raise GuestError("This Lua VM is running; one call at a time.")

    def _begin(self, host: Host, replay: tuple[HostCall, ...] | None) -> None:
        self._check_usable()
        self._bridge.begin(host, replay)

    def _enter(self, entry: str, *given: Any) -> Any:
        """Runs guest code through an entry of the prelude."""
        self._busy = True
        try:
            return self._entry[entry](*given)
        except lua53.LuaMemoryError:
            self.spoiled = "memory"
            raise limit_reached("memory") from None
        except lua53.LuaError as error:
            self._bridge.disarm()
            reason = self._entry["reason"]()
            if reason is not None:
                return None, None, reason
            self.spoiled = str(error)
            raise GuestError(f"The Lua engine failed: {error}") from error
        finally:
            self._bridge.disarm()
            self._busy = False

    def _outcome(self, answer: tuple[Any, ...]) -> tuple[Any, ...]:
        """The results that a guest gave, or the error that ended it; prints what it printed."""
        status, output, *rest = answer
        # A call that haste has ended is made again, and prints then.
        vain = status is None and self._bridge.host.haste is not None
        if output is not None and not self._bridge.is_replaying and not vain:
            self._bridge.host.write(output)
        if status is None:
            raise self._stopped(rest[0].decode())
        if status is False:
            raise self._error(*rest)
        return tuple(rest)

    def _stopped(self, reason: str) -> BaseException:
        limit = "seconds" if self._bridge.late else reason
        self.spoiled = f"its last call was stopped ({limit})"
        return self._bridge.abort or limit_reached(limit)

    def _error(self, value: Any, trace: Any) -> LuaError:
        texts = (
            [] if trace is None else [text.decode("utf-8", "replace") for text in trace.values()]
        )
        frames = tuple(map(Frame, texts[::2], texts[1::2]))
        error = LuaError(Reader(self._limits.items).read(value), frames)
        cause = self._bridge.error
        if cause is not None and value == str(cause).encode():
            error.__cause__ = cause
        return error


def _kit(bridge: Bridge, limits: Limits) -> dict[bytes, Any]:
    """What the prelude starts from."""
    return {
        b"budget": limits.instructions,
        b"string": limits.string,
        b"arm": bridge.arm,
        b"disarm": bridge.disarm,
        b"check": bridge.check,
        b"bridge": bridge.call,
    }
