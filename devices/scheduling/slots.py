"""The slots of a process in a store: names that lead to assignments (spec/05 §4.6).

Slot `n` of a process is the name `~scheduler@1.0/assignments/PROCESS/n` of its assignment. Such a
name is only ever created, never replaced, and slot `n` never before slot `n-1`; so there are no
holes, and a few looks find the newest slot. Nothing of this is kept in memory as a truth: any
number of nodes and processes may share the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.flights import fetch_each
from hyperbeam_trio.devices.scheduling.legacy_slots import LegacySlots, is_ours
from hyperbeam_trio.devices.scheduling.place import listed_names
from hyperbeam_trio.devices.scheduling.target import split_hint
from hyperbeam_trio.devices.scheduling.turns import Turns
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Link, Message, Value

_OWN: Final = "~scheduler@1.0/assignments"
_COPIES: Final = "~scheduler@1.0/copies"
LOOKS_IN_A_ROW: Final = 64
"""Slots looked up before other tasks get their turn."""
READS_IN_A_ROW: Final = 8
"""Assignments read before other tasks get their turn."""
AT_ONCE: Final = 32
"""Messages written at once where the store has to wait for each."""


class Slots:
    """The slots of one process, as they are in the store of `cache` right now.

    Slots that another node took over from legacynet are translated when they are read; with
    `trusting`, also those that do not verify.
    """

    def __init__(
        self, cache: Cache, process: str, *, copies: bool = False, trusting: bool = False
    ) -> None:
        self.process = process
        self._cache = cache
        self._trusting = trusting
        self._prefix = f"{_COPIES if copies else _OWN}/{process}/"
        # Copies are written by whoever reads them, and all write the same.
        self._turns = Turns(cache.store, process) if cache.store.shared and not copies else None

    def name(self, slot: int) -> str:
        """The name of a slot's assignment."""
        return f"{self._prefix}{slot}"

    async def id_of(self, slot: int) -> str | None:
        """The id of a slot's assignment, or `None`; never from a copy that is behind."""
        return await self._cache.lookup(self.name(slot))

    async def newest(self, known: int = -1) -> int:
        """The newest slot, -1 without any; `known` is one that is there for sure."""
        low, step = known, 1
        if self._turns is not None and await self._exists(low + 1):
            self._turns.met_others()
            low = await self._hinted(self._turns, low + 1)
        while await self._exists(low + step):
            low, step = low + step, 2 * step
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if await self._exists(middle):
                low = middle
            else:
                high = middle
        return low

    async def _hinted(self, turns: Turns, known: int) -> int:
        """A slot that is there for sure, and often the newest: who wrote it last has told it."""
        hint = await turns.newest()
        return hint if hint > known and await self._exists(hint) else known

    async def _exists(self, slot: int) -> bool:
        return await self.id_of(slot) is not None

    async def read(self, slot: int) -> Message | None:
        """A slot's assignment with its commitments, its body a link; `None` without it."""
        id = await self.id_of(slot)
        return None if id is None else await self._read(slot, id)

    async def _read(self, slot: int, id: str) -> Message:
        found = await self._cache.read(id)
        if found is None:
            raise CorruptData(
                f"Slot {slot} of process {self.process} is {id}, and there is no such message.",
                details={"unavailable": id},
            )
        if isinstance(found, Message) and is_ours(found):
            return found
        # One that lies there as a signed message has to show its signatures.
        raw = await self._cache.read(id, commitments="all")
        return await (await self._legacy()).read_stored(found if raw is None else raw, slot)

    async def _legacy(self) -> LegacySlots:
        definition = await self._cache.read(self.process)
        named: Value = None
        if isinstance(definition, Message):
            named = definition.get("scheduler", definition.get("scheduler-location"))
        schedulers = [
            split_hint(name)[0] for name in listed_names(await self._cache.load_all(named))
        ]
        return LegacySlots(self.process, schedulers, self._cache, self._trusting)

    async def read_whole(self, slot: int) -> Message | None:
        """A slot's assignment with everything in it loaded."""
        assignment = await self.read(slot)
        if assignment is None:
            return None
        whole = await self._cache.load_all(assignment)
        return whole if isinstance(whole, Message) else assignment

    async def listed(self, slots: range) -> Mapping[int, Link | Message]:
        """As `links`; of a schedule of legacynet the assignments themselves, translated.

        The first of `slots` tells for all: a schedule changes from that form to ours at most.
        """
        id = await self.id_of(slots[0]) if slots else None
        if id is None or is_ours(await self._cache.read(id)):
            return await self.links(slots)
        return dict(enumerate(await self.read_many(slots), slots[0]))

    async def links(self, slots: range) -> dict[int, Link]:
        """Links to the assignments of `slots`, up to the first that is missing."""
        found: dict[int, Link] = {}
        for slot in slots:
            id = await self.id_of(slot)
            if id is None:
                break
            found[slot] = Link(id)
            if len(found) % LOOKS_IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()
        return found

    async def read_many(self, slots: range) -> list[Message]:
        """The assignments of `slots`, whole, up to the first that is missing."""
        found: list[Message] = []
        for slot in slots:
            assignment = await self.read_whole(slot)
            if assignment is None:
                break
            found.append(assignment)
            if len(found) % READS_IN_A_ROW == 0:
                await trio.lowlevel.checkpoint()
        return found

    @property
    def in_turns(self) -> bool:
        """Whether nodes take turns here: then claim only between `begin` and `end`."""
        return self._turns is not None

    async def begin(self, messages: Sequence[Message]) -> None:
        """Return when it is this node's turn to give slots to `messages`, at once in near stores.

        What does not depend on the slots is written while others have their turn.
        """
        if self._turns is not None:
            await fetch_each(self._cache.write, messages, AT_ONCE)
            await self._turns.take()

    async def end(self, newest: int) -> None:
        """End this node's turn, if it has one; slot `newest` is there for sure."""
        if self._turns is not None:
            await self._turns.leave(newest)

    async def claim(self, first: int, assignments: Sequence[Message]) -> int:
        """Give `assignments` the slots from `first` on, durably; how many were still free.

        The first that is taken already ends it: who took it has the slots behind it as well.
        """
        if self._turns is not None:
            # One by one, but all at once; what is left to claim are the names.
            await fetch_each(self._cache.write, assignments, AT_ONCE)
        named = {self.name(slot): one for slot, one in enumerate(assignments, first)}
        return await self._cache.claim(named)

    async def copy(self, assignments: Sequence[Message]) -> None:
        """Keep assignments of another scheduler; each has its slot in `slot`."""
        for assignment in assignments:
            name = self.name(assignment.int("slot"))
            if await self._cache.lookup(name) is None:
                await self._cache.claim({name: assignment})
