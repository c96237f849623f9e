"""Live guests behind states that are values (spec/06 §1.3, design "Guests").

A guest is mutable, a state is not. So a state carries a `Handle`: the live guest, the generation
that the state belongs to, and how to get there again. The newest generation uses the guest in
place; any other one gets a guest of its own, rebuilt from the nearest copy of the memory and the
calls since then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.outside import StateOutsideMemory
from hyperbeam_trio.devices.wasm.signature import Argument, Number
from hyperbeam_trio.devices.wasm.snapshot import MemoryCopy, copy_memory
from hyperbeam_trio.devices.wasm.tables import KnownTable
from hyperbeam_trio.devices.wasm.wasi import Wasi
from hyperbeam_trio.message import Link, Message

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.ahead import Ahead

CALLS_BETWEEN_COPIES = 64
"""After so many calls the memory is copied, so that rebuilding never replays more."""


class Live:
    """One guest: its instance, its files, and the state that an import sees while it runs.

    `kept` is the newest snapshot of its memory that is stored. `alone` says that nobody but the
    guest answers for what it does, so that it may be called before it is asked; then `ahead` holds
    what it did.
    """

    __slots__ = (
        *("ahead", "alone", "generation", "importing", "instance"),
        *("kept", "lock", "state", "table", "wasi"),
    )

    def __init__(self, instance: Instance, wasi: Wasi) -> None:
        self.instance = instance
        self.wasi = wasi
        self.generation = 0
        self.alone = False
        self.ahead: Ahead | None = None
        self.lock = trio.Lock()
        self.table = KnownTable()
        self.state = Message()
        self.importing = False
        self.kept: Link | None = None

    def take_state(self) -> Message:
        """What has become of the state in a call; the guest, which it leads to, lets go of it."""
        state, self.state = self.state, Message()
        return state


@dataclass(frozen=True, slots=True)
class Call:
    """A call that led from one state to the next; with `texts` they were written instead."""

    function: str
    arguments: tuple[Argument, ...]
    state: Message
    files: FileTable | None
    texts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Handle:
    """How a state gets at its guest.

    `memory` is a copy of the whole memory at this state, or the link to one that is stored; without
    one the guest is rebuilt from `parent` by `call`, or from the fresh image where there is no
    parent.
    """

    image: Image
    live: Live
    generation: int
    memory: MemoryCopy | Link | None = None
    parent: Handle | None = None
    call: Call | None = None
    depth: int = 0

    @property
    def current(self) -> bool:
        """Whether the live guest is in this very state and may be used now."""
        live = self.live
        return (
            live.generation == self.generation and not live.importing and not live.instance.damaged
        )

    @property
    def due(self) -> bool:
        """Whether the memory is to be copied after the next call."""
        return self.depth + 1 >= CALLS_BETWEEN_COPIES

    def after(self, call: Call, memory: MemoryCopy | None = None) -> Handle:
        """The handle of the state after a call in place: the guest's new generation.

        `memory` is a copy of the guest's whole memory, which ends what would have to be repeated.
        """
        self.live.generation += 1
        return self.reached(self.live.generation, call, memory)

    def reached(self, generation: int, call: Call, memory: MemoryCopy | None = None) -> Handle:
        """The handle of the state after a call that made a generation of the guest."""
        if memory is not None:
            return Handle(self.image, self.live, generation, memory)
        # Texts are cheap to repeat, so they don't bring the next copy nearer.
        depth = self.depth if call.texts else self.depth + 1
        return Handle(self.image, self.live, generation, None, self, call, depth)

    def steps(self) -> tuple[MemoryCopy | Link | None, list[Call]]:
        """What to rebuild from: a copy of the memory or `None`, and the calls after it."""
        calls: list[Call] = []
        handle = self
        while handle.memory is None and handle.parent is not None:
            if handle.call is not None:
                calls.append(handle.call)
            handle = handle.parent
        return handle.memory, calls[::-1]


def call_guest(live: Live, call: Call) -> list[Number]:
    """Run one call in this thread; the guest must be in the state that the call starts from.

    Gives the results, or the addresses of the texts.
    """
    live.state = call.state
    if call.texts:
        return [live.instance.write_string(text) for text in call.texts]
    if call.files is not None:
        live.wasi.lend(call.files)
    return live.instance.call(call.function, call.arguments)


def call_and_copy(handle: Handle, call: Call) -> tuple[list[Number], MemoryCopy | None]:
    """As `call_guest`, and a copy of the memory if one is due."""
    output = call_guest(handle.live, call)
    return output, copy_of(handle.live) if handle.due else None


def copy_of(live: Live) -> MemoryCopy | None:
    """A copy of the guest's memory, if that is all that the guest has; takes milliseconds."""
    try:
        return copy_memory(live.instance)
    except StateOutsideMemory:
        return None
