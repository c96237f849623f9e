"""The schedules that a node knows: those it writes itself, and those of other nodes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from hyperbeam_trio.cache.flights import fetch_each
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.scheduling.confirmation import Confirmation
from hyperbeam_trio.devices.scheduling.item_notary import notary_of
from hyperbeam_trio.devices.scheduling.place import Elsewhere, Here, place_of, schedulers_of
from hyperbeam_trio.devices.scheduling.remote import remote_definition, remote_page
from hyperbeam_trio.devices.scheduling.server import Announce, Confirm, Recover, Scheduler
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.devices.scheduling.target import Target, definition_of, split_hint
from hyperbeam_trio.devices.scheduling.uploads import uploads_of_node
from hyperbeam_trio.errors import Forbidden, HyperbeamError
from hyperbeam_trio.hashpath import algorithm_of
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.scheduler")

KNOWN: Final = 4096
"""Processes whose newest slot is remembered, as the place where to look for a newer one."""
AHEAD: Final = 16
"""Slots read at once where the store has to wait for each."""
AHEAD_HERE: Final = 16
"""Slots read at once where it has not."""
LIGHT_BYTES: Final = 64 * 1024
"""Behind a message that is larger nothing is read ahead, so that little is held."""


@dataclass(frozen=True, slots=True)
class Found:
    """A process that is known: its definition, and where its scheduler is."""

    process: str
    definition: Message
    place: Here | Elsewhere

    async def schedulers(self, context: Context) -> list[str]:
        """The addresses that the definition names as schedulers."""
        named = await schedulers_of(self.definition, None, context)
        return [split_hint(item)[0] for item in named]


class Schedules:
    """Finds, starts and reads schedules for the device of one node."""

    def __init__(self) -> None:
        self._identities = Identities()
        self._known: Memo[str, int] = Memo(KNOWN)

    async def find(
        self, target: Target, base: Message, message: Message | None, context: Context
    ) -> Found:
        """Where a process is scheduled, and its definition, fetched from there if need be.

        Raises as `place_of`, and `RemoteError` for a remote that does not have the definition.
        """
        process = target.process
        definition = await definition_of(process, base, message, context)
        place = await place_of(target, definition, message, self._identities, context)
        if definition is None:
            # Only a hint leads here without one.
            definition = await remote_definition(place, process, context)
            place = await place_of(target, definition, message, self._identities, context)
        return Found(process, definition, place)

    # Schedulers of this node.

    def running(self, process: str, context: Context) -> Scheduler | None:
        """The scheduler task of a process, if it runs."""
        found = context.node.schedulers.handle(process)
        return found if isinstance(found, Scheduler) and not found.closed else None

    async def start(self, found: Found, place: Here, context: Context) -> Scheduler:
        """The scheduler task of a process, started if it does not run.

        Raises `Forbidden` where scheduling is disabled, `BadRequest` for a codec that assignments
        can't be signed in, and what the store raises.
        """
        node = context.node
        if node.config.scheduling_mode == "disabled":
            raise Forbidden("This node does not schedule: option 'scheduling-mode' is disabled.")
        codec = node.config.scheduler_default_commitment_spec
        notary = notary_of(found.definition.text("scheduler-commitment-spec", codec))(
            found.process,
            place.wallets,
            with_base=node.config.scheduler_base_hashpath,
            algorithm=algorithm_of(found.definition),
        )
        if not await context.cache.exists(found.process):
            await context.cache.write(found.definition)
        slots = Slots(node.cache, found.process, trusting=node.config.ans104_trust_gql)
        recover, confirm, announce = await self._uploading(slots, node)
        while True:
            scheduler = Scheduler(
                node, notary, slots, recover=recover, confirm=confirm, announce=announce
            )
            running = await node.schedulers.ensure(found.process, scheduler.run)
            if isinstance(running, Scheduler) and not running.closed:
                return running
            # It is just ending; its name is free in a moment.
            await trio.lowlevel.checkpoint()

    async def _uploading(
        self, slots: Slots, node: Node
    ) -> tuple[Recover | None, Confirm | None, Announce]:
        """What a scheduler does about uploads: at first, before a slot is written, and after."""
        if node.config.scheduling_mode == "remote_confirmation":
            confirmation = Confirmation(slots.process, node)
            return partial(confirmation.recover, slots), confirmation.confirm, _nothing
        uploads = await uploads_of_node(node)
        if uploads is None:
            return None, None, _nothing
        await uploads.follow(slots.process)
        return None, None, partial(uploads.note, slots.process)

    async def addresses(self, found: Found, context: Context) -> Sequence[str]:
        """Who signs the assignments of a process."""
        if isinstance(found.place, Here):
            return [wallet.address for wallet in found.place.wallets]
        return await found.schedulers(context)

    async def signers(self, target: Target, base: Message, context: Context) -> Sequence[str]:
        """As `addresses`, of a process that has slots here; its scheduler need not be found."""
        running = self.running(target.process, context)
        if running is not None:
            return running.addresses
        definition = await definition_of(target.process, base, None, context)
        if definition is None:
            return await self.addresses(await self.find(target, base, None, context), context)
        named = await schedulers_of(definition, None, context)
        addresses = [split_hint(item)[0] for item in named]
        wallets = await self._identities.find(addresses, context.node)
        return [wallet.address for wallet in wallets] or addresses

    # Reading.

    async def newest(self, process: str, context: Context) -> int:
        """The newest slot in the store, -1 without any; never an older one than was told."""
        running = self.running(process, context)
        known = self._known.get(process)
        start = max(-1 if known is None else known, -1 if running is None else running.newest)
        found = await slots_of(process, context).newest(start)
        if found >= 0 and found != known:
            self._known.set(process, found)
        return found

    async def read_ahead(
        self, process: str, first: int, last: int, context: Context
    ) -> dict[int, Message]:
        """Assignments of the store from slot `first` on, whole: some up to `last`.

        From a far store some in any case; without `scheduler-lookahead` only the first.
        """
        slots = slots_of(process, context)
        looking = context.config.scheduler_lookahead
        if context.cache.store.scope == "local" or not looking:
            end = max(first, min(last, first + AHEAD_HERE - 1)) if looking else first
            return await _read_in_turn(slots, first, end)
        return await _read_at_once(slots, first)

    async def read_remote(
        self, target: Target, base: Message, first: int, context: Context
    ) -> dict[int, Message]:
        """Assignments of another node from slot `first` on, whole; none if there are none yet.

        None either if the schedule is ours, or redirections are not to be followed.
        """
        kept = Slots(context.cache, target.process, copies=True)
        if not context.config.scheduler_ignore_local_cache:
            copy = await kept.read_whole(first)
            if copy is not None:
                return {first: copy}
        found = await self.find(target, base, None, context)
        if not isinstance(found.place, Elsewhere) or not context.config.scheduler_follow_redirects:
            return {}
        page = await self.remote_page(found, found.place, first, None, context)
        read = [one for one in page.message("assignments").values() if isinstance(one, Message)]
        ahead = {one.int("slot"): one for one in read}
        if context.config.scheduler_in_memory_cache:
            return ahead
        return {first: ahead[first]} if first in ahead else {}

    async def remote_page(
        self, found: Found, place: Elsewhere, first: int, last: int | None, context: Context
    ) -> Message:
        """A page of another node's schedule, its assignments whole; they are kept here."""
        process = found.process
        kept = Slots(context.cache, process, copies=True)
        named = await found.schedulers(context)
        page = await remote_page(place, process, first, last, named, context)
        keep = partial(_keep, kept, page.message("assignments"))
        if context.config.scheduler_async_remote_cache:
            context.node.workers.start_soon(keep)
        else:
            await keep()
        return page


def slots_of(process: str, context: Context) -> Slots:
    """The slots of a process in the node's own store."""
    return Slots(context.cache, process, trusting=context.config.ans104_trust_gql)


def _nothing() -> None:
    """Nobody wants to hear of new slots."""


async def _read_in_turn(slots: Slots, first: int, last: int) -> dict[int, Message]:
    """Assignments from slot `first` on, whole, up to the first that can't be had or is large.

    Raises what is wrong with the first.
    """
    found: dict[int, Message] = {}
    for slot in range(first, last + 1):
        if slot > first and _weight(found[slot - 1]) > LIGHT_BYTES:
            break
        try:
            assignment = await slots.read_whole(slot)
        except HyperbeamError:
            if slot == first:
                raise
            # Its own turn will tell.
            break
        if assignment is None:
            break
        found[slot] = assignment
    return found


async def _read_at_once(slots: Slots, first: int) -> dict[int, Message]:
    """The same of some assignments, all of them asked for together."""

    async def read(slot: int) -> Message | None:
        try:
            return await slots.read_whole(slot)
        except HyperbeamError:
            if slot == first:
                raise
            return None

    found: dict[int, Message] = {}
    numbers = range(first, first + AHEAD)
    for slot, assignment in zip(numbers, await fetch_each(read, numbers, AHEAD), strict=True):
        if assignment is None:
            break
        found[slot] = assignment
    return found


def _weight(assignment: Message) -> int:
    """About how many bytes the message of an assignment takes."""
    body = assignment.get("body")
    values = body.values() if isinstance(body, Message) else ()
    return sum(len(v) if isinstance(v, bytes) else LIGHT_BYTES // 64 for v in values)


async def _keep(slots: Slots, assignments: Message) -> None:
    found = [one for one in assignments.values() if isinstance(one, Message)]
    try:
        await slots.copy(found)
    except HyperbeamError as error:
        log.warning("Assignments of %s could not be kept: %s", slots.process, error.text)
