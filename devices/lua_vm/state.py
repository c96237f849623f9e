"""States of a Lua program as values, on top of VMs that change (spec/06 §5.8, §7.8).

A state never changes: calling on it gives results and a new state, and the old one can be called
again at any time. The newest state owns the live VM, and a call hands the VM on to the state that
it makes. A state without a VM is rebuilt when it is needed: from its checkpoint, or from that of
the nearest ancestor by replaying the calls in between with the recorded time and host answers.
Checkpoints are taken when replaying would take several times as long as writing one, so ordinary
calls pay little for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from hyperbeam_trio.devices.lua_vm.failures import (
    NoSuchFunction,
    SnapshotRefused,
    TooHasty,
    UnfitValue,
    limit_reached,
)
from hyperbeam_trio.devices.lua_vm.host import Host, HostCall, HostTrouble
from hyperbeam_trio.devices.lua_vm.sandbox import Limits
from hyperbeam_trio.devices.lua_vm.values import Value
from hyperbeam_trio.devices.lua_vm.vm import LuaVM, Modules
from hyperbeam_trio.errors import GuestLimit

REPLAY_FACTOR = 8
"""How many times longer than writing a checkpoint a replay may take before one is written."""

LONGEST_REPLAY = 256
"""How many calls a replay may have before a checkpoint is tried."""

HASTY_SECONDS = 0.0015
"""How long a call in haste may take, in CPU time of the whole process: other threads count."""

SHORT_SECONDS = 0.0005
"""After a call without haste that took longer the next one is not made in haste."""

HASTY_MEMORY = 8 << 20
"""No calls in haste on a VM that holds more: single instructions may take long there."""

FIRST_SETBACK, LAST_SETBACK = 8, 1 << 20
"""How many short calls must be made before the next in haste, after one that was not short."""

LONGEST_JOURNAL = 10_000
"""How many calls may wait for a checkpoint that the state refuses; the next one is GuestLimit."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What leads from a state to the next one, and gives the same again when replayed."""

    function: str
    arguments: Sequence[Value]
    live: bool
    time: float
    answers: tuple[HostCall, ...]


@dataclass(slots=True)
class _Program:
    """What all states of one program share."""

    modules: Modules
    limits: Limits
    seed: bytes
    host: Host
    replace: Mapping[str, Value]
    started: float
    lock: Lock = field(default_factory=Lock)
    write_seconds: float = 0.0005
    patience: int = 1
    setback: int = FIRST_SETBACK

    def note(self, seconds: float, answers: Sequence[HostCall], short: float) -> None:
        """A call was made: after enough short ones the next may be made in haste."""
        if answers or seconds > short:
            self.patience = max(self.patience, FIRST_SETBACK)
        elif self.patience:
            self.patience -= 1

    def fall_back(self) -> None:
        """A call in haste was ended: not so soon again."""
        self.patience, self.setback = self.setback, min(2 * self.setback, LAST_SETBACK)

    def fresh_vm(self) -> LuaVM:
        return LuaVM.new(
            self.modules,
            limits=self.limits,
            seed=self.seed,
            host=replace(self.host, clock=lambda: self.started),
            replace=self.replace,
        )


class LuaState:
    """One state of a Lua program. Make the first with `new` or `restore`, others with `call`.

    States may be used from several threads; each running call has a VM of its own.
    """

    __slots__ = ("_call", "_checkpoint", "_journal", "_parent", "_program", "_seconds", "_vm")

    def __init__(
        self,
        program: _Program,
        vm: LuaVM | None,
        *,
        checkpoint: bytes | None = None,
        parent: LuaState | None = None,
        call: _Call | None = None,
        seconds: float = 0.0,
    ) -> None:
        self._program = program
        self._vm = vm
        self._checkpoint = checkpoint
        self._parent = parent
        self._call = call
        self._seconds = seconds
        self._journal: int = 0 if parent is None else parent._journal + 1

    @classmethod
    def new(
        cls,
        modules: Modules,
        *,
        limits: Limits | None = None,
        seed: bytes = b"",
        host: Host | None = None,
        replace: Mapping[str, Value] | None = None,
    ) -> LuaState:
        """The state after running `modules`; parameters and errors as in `LuaVM.new`."""
        host = host or Host()
        program = _Program(modules, limits or Limits(), seed, host, replace or {}, host.clock())
        return cls(program, program.fresh_vm())

    @classmethod
    def restore(
        cls, data: bytes, *, limits: Limits | None = None, host: Host | None = None
    ) -> LuaState:
        """The state that `snapshot` wrote; errors as in `LuaVM.restore`."""
        program = _Program((), limits or Limits(), b"", host or Host(), {}, 0.0)
        vm = LuaVM.restore(data, limits=program.limits, host=program.host)
        return cls(program, vm, checkpoint=data)

    def call(
        self,
        function: str,
        arguments: Sequence[Value],
        *,
        live: bool = False,
        host: Host | None = None,
        keep: bool = True,
    ) -> tuple[list[Any], LuaState]:
        """Calls a global function; gives its results and the state to go on with.

        The arguments must not be changed afterwards: they may be replayed. With `keep` off the call
        runs on a copy, the live VM stays warm, and the state to go on with is this one; the same
        holds, at a price, for a caller who drops the new state. `live`, `host` and errors as in
        `LuaVM.call`; after any error this state is what it was.
        """
        host = host or self._program.host
        now = host.clock()
        vm = self._take(host) if keep else self._copy(host)
        start = time.thread_time()
        try:
            results = vm.call(function, arguments, live=live, host=host, time=now)
        except (NoSuchFunction, UnfitValue):
            self._give_back(vm)  # the guest didn't run
            raise
        if not keep:
            return results, self
        took, answers = time.thread_time() - start, vm.host_calls()
        # In haste too: what goes in and comes out takes its time as well, and nothing ends that.
        self._program.note(took, answers, SHORT_SECONDS if host.haste is None else HASTY_SECONDS)
        made_by = _Call(function, arguments, live, now, answers)
        seconds = self._seconds + took
        return results, LuaState(self._program, vm, parent=self, call=made_by, seconds=seconds)

    @property
    def brisk(self) -> bool:
        """Whether a call may be made in haste: those before it were short and asked for nothing."""
        vm = self._vm
        return (
            self._program.patience == 0
            and vm is not None
            and not self._is_due()
            and vm.memory <= HASTY_MEMORY
        )

    def call_in_haste(
        self,
        function: str,
        arguments: Sequence[Value],
        *,
        live: bool = False,
        clock: Callable[[], float],
        write: Callable[[bytes], None],
    ) -> tuple[list[Any], LuaState]:
        """As `call` without a host, in about a millisecond at most, and with the same outcome.

        Raises `TooHasty` if it takes longer, needs much memory, or asks the host for something:
        nothing has happened then, and `call` will do.
        """
        names = self._program.host.functions
        host = Host(dict.fromkeys(names, _refuse), clock, write, haste=HASTY_SECONDS)
        try:
            return self.call(function, arguments, live=live, host=host)
        except (GuestLimit, TooHasty):
            self._program.fall_back()
            raise TooHasty from None

    def functions(self) -> list[str]:
        """The names of all global functions, in order."""
        vm = self._take(self._program.host)
        names = vm.functions()
        self._give_back(vm)
        return names

    def snapshot(self) -> bytes:
        """This state as bytes; equal states give equal bytes. Raises SnapshotRefused."""
        if self._checkpoint is None:
            vm = self._take(self._program.host)
            try:
                return self._checkpoint or self._write(vm)
            finally:
                self._give_back(vm)
        return self._checkpoint

    def park(self) -> None:
        """Gives up the live VM to save memory; the next call rebuilds it from a snapshot."""
        self.snapshot()
        with self._program.lock:
            self._vm = None

    @property
    def memory(self) -> int:
        """Bytes that the live VM holds; 0 if this state has none."""
        vm = self._vm
        return 0 if vm is None else vm.memory

    def _take(self, host: Host) -> LuaVM:
        """A VM in this state that belongs to the caller alone."""
        with self._program.lock:
            vm, self._vm = self._vm, None
        if vm is None:
            if host.haste is not None:
                raise TooHasty
            return self._rebuild(host)
        if host.haste is None and self._is_due():
            try:
                self._try_to_write(vm)
            except GuestLimit:
                self._give_back(vm)
                raise
        return vm

    def _give_back(self, vm: LuaVM) -> None:
        with self._program.lock:
            self._vm = self._vm or vm

    def _copy(self, host: Host) -> LuaVM:
        """Another VM in this state; the live one, if any, stays where it is."""
        with self._program.lock:
            vm, self._vm = self._vm, None
        if vm is not None:
            if self._checkpoint is None:
                self._try_to_write(vm)
            self._give_back(vm)
        return self._rebuild(host)

    def _past(self) -> tuple[bytes | None, LuaState | None, _Call | None]:
        with self._program.lock:
            return self._checkpoint, self._parent, self._call

    def _rebuild(self, host: Host) -> LuaVM:
        """A new VM in this state; `host` may end the replay."""
        calls: list[_Call] = []
        checkpoint, parent, call = self._past()
        while checkpoint is None and parent is not None and call is not None:
            calls.append(call)
            checkpoint, parent, call = parent._past()
        vm = self._start(checkpoint)
        for call in reversed(calls):
            vm.call(
                call.function,
                call.arguments,
                live=call.live,
                host=host,
                time=call.time,
                replay=call.answers,
            )
        if calls:
            # A state that is asked for out of turn will be asked for again.
            self._try_to_write(vm)
        return vm

    def _start(self, checkpoint: bytes | None) -> LuaVM:
        if checkpoint is None:
            return self._program.fresh_vm()
        return LuaVM.restore(checkpoint, limits=self._program.limits, host=self._program.host)

    def _is_due(self) -> bool:
        if self._parent is None:
            return False
        if self._journal % LONGEST_REPLAY == 0:
            return True
        return (
            self._journal < LONGEST_REPLAY
            and self._seconds > REPLAY_FACTOR * self._program.write_seconds
        )

    def _write(self, vm: LuaVM) -> bytes:
        """Makes this state a checkpoint; what led to it is forgotten."""
        start = time.thread_time()
        data = vm.snapshot()
        with self._program.lock:
            self._program.write_seconds = time.thread_time() - start
            self._checkpoint, self._parent, self._call = data, None, None
            self._journal, self._seconds = 0, 0.0
        return data

    def _try_to_write(self, vm: LuaVM) -> None:
        try:
            self._write(vm)
        except SnapshotRefused:
            if self._journal >= LONGEST_JOURNAL:
                raise limit_reached("journal") from None


def _refuse(*_: object) -> None:
    raise HostTrouble(TooHasty())
