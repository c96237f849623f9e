"""Slots that count only once they are uploaded: `remote_confirmation` (spec/05 §4.5).

Nobody sees a slot before it is uploaded. An assignment is kept under a name of its own before that,
so that a node that dies in between goes on with it: what is uploaded for a slot stays the only one.
Only where the upload itself fails, as its sender is told, does the slot go to another message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.devices.scheduling.bundlers import Rejected, upload
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import HyperbeamError, NodeError
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

_NAME: Final = "~scheduler@1.0/unconfirmed/"


class Confirmation:
    """Uploads the assignments of one process before they are written."""

    def __init__(self, process: str, node: Node) -> None:
        self._process = process
        self._node = node
        self._name = _NAME + process

    async def confirm(self, assignment: Message) -> None:
        """Upload an assignment and its message, which both have to be taken by a bundler.

        Raises as `upload`, and `NodeError` (503) for what no bundler of this node takes.
        """
        await self._node.cache.write(assignment)
        await self._node.cache.link(self._name, signed_id(assignment))
        try:
            await self._upload(assignment)
        except HyperbeamError:
            await self._forget()
            raise

    async def recover(self, slots: Slots) -> None:
        """Finish what the last run had begun to upload, if its slot is still free."""
        id = await self._node.cache.lookup(self._name)
        left = None if id in (None, self._process) else await self._node.cache.read(id)
        if not isinstance(left, Message) or left.int("slot") != await slots.newest() + 1:
            return
        whole = await self._node.cache.load_all(left)
        if not isinstance(whole, Message):
            return
        try:
            await self._upload(whole)
        except Rejected:
            await self._forget()
        else:
            await slots.claim(whole.int("slot"), [whole])

    async def _forget(self) -> None:
        # A name can't be taken away, but it may stand for what is no assignment.
        await self._node.cache.link(self._name, self._process)

    async def _upload(self, assignment: Message) -> None:
        for part in (assignment.get("body"), assignment):
            if isinstance(part, Message) and part.signers and not await upload(part, self._node):
                codecs = ", ".join(sorted({c.device for c in part.commitments.values()}))
                raise NodeError(
                    "Option 'scheduling-mode' is remote_confirmation, and this node has no "
                    f"bundler for {codecs}.",
                    status=503,
                )
