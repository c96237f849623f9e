"""What of this node's schedules is uploaded, in the background (spec/05 §4.5).

The schedules are in the store already, so they are the queue: of each process only the slot is kept
up to which all is uploaded. Nothing is lost with the node, nothing piles up in memory, and no
sender waits for a bundler. After a crash the last few slots may be sent twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.devices.scheduling.bundlers import Rejected, is_configured, upload
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import BadRequest, HyperbeamError
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.scheduler")

_NEXT: Final = "~scheduler@1.0/uploads/"
_REJECTED: Final = "~scheduler@1.0/rejected/"
AT_ONCE: Final = 4
"""Processes whose slots are uploaded at the same time."""
KEPT_EVERY: Final = 16
"""Slots after which it is written down how far the uploads are."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""Seconds to wait for a bundler that is away."""


class Uploads:
    """Uploads the slots of every process that was told to `follow`, in their order.

    A message that a bundler refuses for good is named `~scheduler@1.0/rejected/PROCESS/SLOT`.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._due: dict[str, None] = {}
        self._busy: set[str] = set()
        self._pauses: dict[str, float] = {}
        self._resting = trio.lowlevel.ParkingLot()

    async def follow(self, process: str) -> None:
        """Have all slots of a process uploaded, from its first one on; durable on return."""
        if await self._node.cache.lookup(_NEXT + process) is None:
            await self._keep(process, 0)
        self.note(process)

    def note(self, process: str) -> None:
        """There are new slots of a process that is followed."""
        self._due[process] = None
        self._resting.unpark()

    async def run(self, task_status: trio.TaskStatus[Uploads]) -> None:
        """Upload until cancelled, first what an earlier run has left."""
        for name in await self._node.cache.names(_NEXT):
            self.note(name.removeprefix(_NEXT))
        task_status.started(self)
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(self._serve, nursery)

    async def _serve(self, pauses: trio.Nursery) -> None:
        while True:
            process = next((one for one in self._due if one not in self._busy), None)
            if process is None:
                await self._resting.park()
                continue
            del self._due[process]
            self._busy.add(process)
            try:
                if is_configured(self._node.config):
                    await self._upload_new(process)
            except HyperbeamError as error:
                log.warning("Slots of %s are not uploaded yet: %s", process, error.text)
                # It is busy until it has paused, but in nobody's way.
                pauses.start_soon(self._pause, process)
            else:
                self._pauses.pop(process, None)
                self._busy.discard(process)

    async def _pause(self, process: str) -> None:
        """Let a process rest, longer each time, then try again."""
        pause = self._pauses.get(process, FIRST_PAUSE)
        self._pauses[process] = min(2 * pause, LONGEST_PAUSE)
        await trio.sleep(pause)
        self._busy.discard(process)
        self.note(process)

    async def _upload_new(self, process: str) -> None:
        first = slot = await self._next(process)
        slots = Slots(self._node.cache, process)
        try:
            while (assignment := await slots.read(slot)) is not None:
                await self._upload_slot(process, slot, assignment)
                slot += 1
                if slot % KEPT_EVERY == 0:
                    await self._keep(process, slot)
                    first = slot
        finally:
            if slot != first:
                with trio.CancelScope(shield=True):
                    await self._keep(process, slot)

    async def _upload_slot(self, process: str, slot: int, assignment: Message) -> None:
        body = await self._node.cache.load_all(assignment.get("body"))
        for part in (body, assignment):
            try:
                if isinstance(part, Message):
                    await upload(part, self._node)
            except (Rejected, BadRequest) as error:
                log.warning("Slot %d of %s: %s", slot, process, error.text)
                id = await Slots(self._node.cache, process).id_of(slot)
                if id is not None:
                    await self._node.cache.link(f"{_REJECTED}{process}/{slot}", id)

    async def _next(self, process: str) -> int:
        id = await self._node.cache.lookup(_NEXT + process)
        kept = None if id is None else await self._node.cache.read(id)
        return kept.int("next", 0) if isinstance(kept, Message) else 0

    async def _keep(self, process: str, slot: int) -> None:
        reached = Message.of({"process": process.encode(), "next": slot})
        await self._node.cache.write(reached, names=[_NEXT + process])


async def uploads_of_node(node: Node) -> Uploads | None:
    """The uploads of a node, started if need be; `None` where it has no bundler."""
    if not is_configured(node.config):
        return None
    found = await node.services.ensure("scheduler-uploads", Uploads(node).run)
    return found if isinstance(found, Uploads) else None
