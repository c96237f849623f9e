"""Slots of legacynet in our form: from what a scheduler says, or from what a store holds of it
(spec/05 §4.6, §4.7).

Other nodes store such slots as they came: as JSON, or as the messages that this JSON is. They are
translated each time they are read, and believed as little as if they had just arrived. One that was
stored as a message lost its key `signature`, so that it does not verify; an import keeps JSON.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.codec.json import write_json
from hyperbeam_trio.commitments import only_committed, verify_message
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.devices.scheduling.legacy_items import (
    Edge,
    converted,
    message_of,
    read_page,
    signer_of,
)
from hyperbeam_trio.errors import BadRequest, CorruptData, NecessaryMessageNotFound, RemoteError
from hyperbeam_trio.message import Link, Message, Value

_WRAPPINGS: Final = ("edges", "node", "assignment")


@dataclass(frozen=True, slots=True)
class LegacySlots:
    """Reads slots of one process, which its `schedulers` have to have signed.

    With `trusting`, what does not verify is believed as well.
    """

    process: str
    schedulers: Collection[str]
    cache: Cache
    trusting: bool

    async def read(self, edge: Edge) -> Message:
        """One slot in our form; `RemoteError` for one that is not to be believed.

        Raises `NecessaryMessageNotFound` where its message was left out, and is not stored.
        """
        assignment = message_of(edge.assignment, trusting=self.trusting)
        self._check(assignment, signer_of(assignment, edge.assignment))
        if edge.message is None:
            return converted(assignment, await self._named(assignment))
        message = message_of(edge.message, trusting=self.trusting)
        named = _message_id(assignment)
        if named and message.signers and signed_id(message) != named:
            raise RemoteError(f"A legacy scheduler gave {signed_id(message)} instead of {named}.")
        return converted(assignment, message)

    async def read_stored(self, value: Message | list[Value] | bytes, slot: int) -> Message:
        """The slot that a store holds, everything in it loaded.

        `value` is JSON or what it was decoded to, or the assignment as a message of its own whose
        message lies elsewhere. Raises `CorruptData` for what is none of them, or says of another
        slot, and `NecessaryMessageNotFound`.
        """
        try:
            assignment = await self._stored(value)
        except (RemoteError, BadRequest) as error:
            raise self._unreadable(slot, error.text) from error
        if assignment.int("slot") != slot:
            raise self._unreadable(slot, f"it says that it is slot {assignment.int('slot')}")
        return assignment

    async def _stored(self, value: Message | list[Value] | bytes) -> Message:
        whole = await self.cache.load_all(value)
        if isinstance(whole, bytes):
            return await self._said(whole)
        if isinstance(whole, Message) and not any(key in whole for key in _WRAPPINGS):
            return await self._bare(whole)
        return await self._said(write_json(_nested(whole), bundle=True))

    async def _said(self, body: bytes) -> Message:
        edges = read_page(body).edges
        if not edges:
            raise RemoteError("It holds a page without slots.")
        return await self.read(edges[-1])

    async def _bare(self, assignment: Message) -> Message:
        verified = bool(assignment.signers) and verify_message(assignment, commitment_ids="all")
        if not verified and not self.trusting:
            raise RemoteError("It does not verify.")
        self._check(assignment, assignment.signers[0] if assignment.signers else None)
        # Nobody has signed what lies beside the keys that are signed, such as another message.
        signed = assignment if self.trusting else only_committed(assignment)
        held = signed.get("body")
        body = held if isinstance(held, Message) else await self._named(signed)
        return converted(signed, body)

    def _check(self, assignment: Message, signer: str | None) -> None:
        if signer not in self.schedulers and not (self.trusting and signer is None):
            raise RemoteError(
                f"No scheduler of {self.process} has signed what its legacy scheduler gave."
            )
        if assignment.text("process", None) != self.process:
            raise RemoteError(
                f"A legacy scheduler gave a slot of another process than {self.process}."
            )

    async def _named(self, assignment: Message) -> Message:
        """The message that an assignment names, from the store."""
        named = _message_id(assignment)
        found = await self.cache.read(named) if is_id(named) else None
        if found is None:
            raise NecessaryMessageNotFound(named)
        whole = await self.cache.load_all(found)
        if not isinstance(whole, Message) or not verify_message(whole, commitment_ids="all"):
            raise RemoteError(f"A legacy scheduler gave a slot without its message {named!r}.")
        return whole

    def _unreadable(self, slot: int, reason: str) -> CorruptData:
        return CorruptData(
            f"Slot {slot} of process {self.process} is stored in a form of legacynet that can't "
            f"be read: {reason}"
        )


def _nested(value: Value) -> Message | list[Value]:
    if not isinstance(value, Message | list):
        raise RemoteError("It holds neither a message nor a list.")
    return value


def is_ours(value: object) -> bool:
    """Whether what a store holds of a slot is an assignment in our form."""
    return (
        isinstance(value, Message)
        and isinstance(value.get("slot"), int)
        and isinstance(value.get("body"), Message | Link)
    )


def _message_id(assignment: Message) -> str:
    return assignment.text("message", "")[:43]
