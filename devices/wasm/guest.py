"""The store of one instance, and what every call into it shares: limits, depth, failures."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wasmtime

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.epochs import TICK_SECONDS, Epochs
from hyperbeam_trio.devices.wasm.traps import limit_error, take_error, take_trap
from hyperbeam_trio.errors import BadRequest, GuestTrap

NOT_ARMED = -1
MAX_TABLE_ELEMENTS = 1_000_000
MAX_INSTANCES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What one guest may use (spec/06 §7.5; the defaults are ours, the reference has none).

    `seconds` of wall clock per call from outside (in steps of 10 ms), bytes of linear `memory`,
    units of `fuel` per call from outside (None: not metered; only images compiled as metered).
    """

    seconds: float = 30.0
    memory: int = 2 << 30
    fuel: int | None = None

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.memory < 0 or (self.fuel is not None and self.fuel < 0):
            raise BadRequest(f"Guest limits must be positive: {self}")

    @property
    def ticks(self) -> int:
        """The time limit in epochs, one more than asked because the first may be almost over."""
        return math.ceil(min(self.seconds, 1e9) / TICK_SECONDS) + 1


class Guest:
    """A store with its limits. One thread at a time may use it (spec/06 §7.9).

    `hosts` are the callbacks that the store points to; `depth` counts the imports that are running
    now; `raised` is what a host function raised, kept
    while the trap it caused unwinds the guest; `damaged` says that a call ended in its middle.
    """

    __slots__ = (
        *(
            "context",
            "damaged",
            "depth",
            "epochs",
            "fuel",
            "fuel_left",
            "fuel_limit",
            "hosts",
            "raised",
            "store",
        ),
        *("ticks", "trap", "trap_pointer", "trap_slot"),
    )

    def __init__(self, engine: wasmtime.Engine, epochs: Epochs, limits: Limits) -> None:
        self.store = wasmtime.Store(engine)
        self.store.set_limits(
            memory_size=limits.memory,
            table_elements=MAX_TABLE_ELEMENTS,
            instances=MAX_INSTANCES,
        )
        self.context: Any = raw.context_of(self.store)
        self.trap = ctypes.c_void_p()
        self.trap_pointer: Any = ctypes.byref(self.trap)
        self.trap_slot = memoryview(self.trap).cast("B").cast("Q")
        self.epochs = epochs
        # An int would go as a C int.
        self.ticks: Any = ctypes.c_uint64(limits.ticks)
        self.fuel_limit = limits.fuel
        self.fuel: Any = ctypes.c_uint64(limits.fuel or 0)
        self.fuel_left = ctypes.c_uint64()
        self.hosts: list[object] = []
        self.depth = 0
        self.raised: BaseException | None = None
        self.damaged = False
        self.arm()
        self.refuel()

    def arm(self) -> int:
        """Let a call from outside run `ticks` epochs from now; gives the epoch it was armed in.

        A call from within an import runs on the outer call's time.
        """
        if self.depth:
            return NOT_ARMED
        now = self.epochs.now
        raw.set_epoch_deadline(self.context, self.ticks)
        return now

    @contextmanager
    def hurried(self, seconds: float) -> Iterator[None]:
        """Calls from outside may take this long together, if that is less than the limit."""
        ticks, self.ticks = self.ticks, self.ticks
        if seconds / TICK_SECONDS + 1 < ticks.value:
            self.ticks = ctypes.c_uint64(math.ceil(seconds / TICK_SECONDS) + 1)
        try:
            yield
        finally:
            self.ticks = ticks
            self.arm()

    def refuel(self) -> None:
        """Give a call from outside its fuel."""
        if self.fuel_limit is not None and not self.depth:
            raw.set_fuel(self.context, self.fuel)

    def spend(self, fuel: int) -> None:
        """Take fuel from the call that runs now; raises `GuestLimit` if that has not so much."""
        if self.fuel_limit is None:
            return
        left = self.fuel_left
        raw.get_fuel(self.context, ctypes.byref(left))
        if left.value < fuel:
            raise limit_error("fuel")
        left.value -= fuel
        raw.set_fuel(self.context, left)

    @property
    def fuel_used(self) -> int:
        """Fuel that the last call from outside used; 0 when not metered."""
        return 0 if self.fuel_limit is None else self.fuel_limit - self.store.get_fuel()

    def failure(self, error: int | None) -> BaseException:
        """What to raise after a call that gave the engine error at `error`, or a trap."""
        self.damaged = True
        found = take_error(error) if error else None
        if self.trap.value is not None:
            found = take_trap(self.trap.value, self.store)
            self.trap.value = None
        raised, self.raised = self.raised, None
        return raised or found or GuestTrap("Guest call failed without a reason.")
