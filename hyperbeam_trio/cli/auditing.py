"""Comparing a process's states: those that are stored, another node's, and replayed ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import click

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cli.other_node import OtherNode
from hyperbeam_trio.cli.parting import Load, partings
from hyperbeam_trio.cli.replay import replayed, states_name
from hyperbeam_trio.cli.schedule_check import ScheduleCheck, schedulers_of
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.errors import CorruptData, Forbidden, HyperbeamError, NotFound, RemoteError
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.node import Node

AT_ONCE: Final = 32
"""Slots whose states are in memory at the same time."""
MOST_SHOWN: Final = 10
"""Slots whose differences are shown key by key."""
MOST_KEYS: Final = 20


@dataclass(slots=True)
class Audit:
    """One comparison; what it finds goes to stdout.

    `cache` has the schedule and the stored states, `node` replays, `other` is compared too. Counts
    so far: states `stored` and, of the other node, `compared`; `differing` of them all; the slots
    where the nodes `parted` and that differs first; slots whose differences were `shown`;
    whether the schedule is `unchecked`.
    """

    process: str
    cache: Cache
    node: Node
    other: OtherNode | None
    stored: int = 0
    compared: int = 0
    differing: int = 0
    parted: int | None = None
    first_differing: int | None = None
    shown: int = 0
    unchecked: bool = False

    async def slots(self, first: int, last: int | None) -> range:
        """What there is to compare; raises `NotFound` where that is nothing."""
        if last is None:
            last = await self._last()
        if last is None or last < first:
            raise NotFound(f"No state of {self.process} from slot {first} on is there to compare.")
        return range(first, last + 1)

    async def _last(self) -> int | None:
        prefix = states_name(self.process)
        names = await self.cache.names(prefix)
        numbers = [int(n) for name in names if (n := name.removeprefix(prefix)).isdigit()]
        if self.other is not None:
            numbers.append(await self.other.newest())
        return max(numbers, default=None)

    async def run(self, slots: range) -> AsyncGenerator[int, None]:
        """Compare slot by slot, printing what differs; gives each slot that is done."""
        check = ScheduleCheck(self.node, self.process, await schedulers_of(self.node, self.process))
        for begin in range(0, slots.stop, AT_ONCE):
            group = range(begin, min(begin + AT_ONCE, slots.stop))
            await self._check_schedule(check, group, slots)
            states = await replayed(self.node, self.process, group)
            wanted = [slot for slot in group if slot in slots]
            theirs = await self.other.state_ids(wanted) if self.other is not None else {}
            for slot, state in zip(group, states, strict=True):
                if isinstance(state, HyperbeamError):
                    raise _at_slot(state, slot)
                if slot in slots:
                    await self._compare(slot, state, theirs.get(slot))
                yield slot

    async def _check_schedule(self, check: ScheduleCheck, group: range, slots: range) -> None:
        if self.unchecked:
            return
        try:
            async with aclosing(check.flaws(group)) as flaws:
                async for slot, flaw in flaws:
                    if slot in slots:
                        self._differs(slot, flaw)
        except (NotFound, RemoteError, Forbidden) as error:
            # Copies of its assignments may be here all the same, and are replayed.
            self.unchecked = True
            click.echo(f"The schedule is elsewhere and was not checked: {error.text}", err=True)

    async def _compare(self, slot: int, state: Message, theirs: str | None) -> None:
        ours = unsigned_id(state)
        stored = await self._stored(slot)
        if stored is not None:
            self.stored += 1
            if isinstance(stored, str):
                self._differs(slot, stored)
            elif unsigned_id(stored) != ours:
                self._differs(slot, "the stored state is not what the schedule gives")
                await self._show(stored, "stored", state, self.cache.load)
        if theirs is not None and self.other is not None:
            self.compared += 1
            if theirs != ours:
                await self._parted(slot, state, self.other)

    async def _stored(self, slot: int) -> Message | str | None:
        """A state as it lies in the store, or what is wrong with it; `None` without one."""
        name = f"{states_name(self.process)}{slot}"
        try:
            id = await self.cache.lookup(name)
            found = None if id is None else await self.cache.read(id, commitments="none")
        except CorruptData as error:
            return error.text
        if id is None:
            return None
        if not isinstance(found, Message):
            return f"{name} is {id}, and there is no such message"
        # Made anew, so that its id is that of what is there.
        return Message.of(dict(found))

    async def _parted(self, slot: int, state: Message, other: OtherNode) -> None:
        if self.parted is not None:
            # The states that follow differ because this one does.
            self.differing += 1
            return
        self.parted = slot
        self._differs(slot, f"{other.url} has another state; the nodes part here")
        if not await self._same_assignment(slot, other):
            click.echo("    the slot's assignments differ: these are two schedules")
        await self._show(await other.state(slot), "there", state, _as_it_is)

    async def _same_assignment(self, slot: int, other: OtherNode) -> bool:
        path = f"schedule&from={slot}&to={slot}/assignments/{slot}/id"
        ours = await self.node.resolve(f"/{self.process}~process@1.0/{path}")
        return ours == await other.ask(path)

    def _differs(self, slot: int, what: str) -> None:
        self.differing += 1
        if self.first_differing is None:
            self.first_differing = slot
        click.echo(f"slot {slot}: {what}")

    async def _show(self, found: Message, where: str, state: Message, load: Load) -> None:
        self.shown += 1
        if self.shown > MOST_SHOWN:
            return
        count = 0
        async for parting in partings(found, state, load, self.node.cache.load):
            count += 1
            if count > MOST_KEYS:
                click.echo("    and more")
                return
            click.echo(f"    {parting.path}: {where} {parting.left}, replayed {parting.right}")

    def verdict(self, slots: range) -> str:
        """The last line."""
        there = f" and {self.compared} of {self.other.url}" if self.other is not None else ""
        compared = f"Replayed slots 0 to {slots[-1]}, compared {self.stored} stored states{there}"
        if not self.differing:
            return f"{compared}: equal."
        first = f", the first at slot {self.first_differing}"
        return f"{compared}: {self.differing} differ or are flawed{first}."


async def _as_it_is(value: Value) -> Value:
    return value


def _at_slot(error: HyperbeamError, slot: int) -> HyperbeamError:
    error.text = f"Slot {slot} can't be replayed: {error.text}"
    return error
