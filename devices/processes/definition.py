"""What a process is: a signed definition, and the state that it begins with (spec/05 §1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import only_committed, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Message

PROCESS_DEVICE: Final = b"process@1.0"


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its id, with its definition: committed keys only, and their commitments."""

    id: str
    definition: Message

    def begun(self) -> Message:
        """The state before any slot, not initialised yet: the definition, unsigned."""
        items = {**self.definition, "device": PROCESS_DEVICE, "process": self.definition}
        return Message.of(items)

    async def verified(self, context: Context) -> Process:
        """The same with everything in its definition loaded, all its commitments checked.

        Raises `BadRequest` where one does not hold.
        """
        whole = await context.load_all(self.definition)
        if not isinstance(whole, Message) or not verify_message(whole, commitment_ids="all"):
            raise BadRequest(f"process_not_verified: a commitment of {self.id} does not hold.")
        return Process(self.id, whole)


async def process_of(base: Message, context: Context) -> Process:
    """The process that a message is a state or the definition of.

    Raises `BadRequest` where nobody has signed the definition.
    """
    held = await context.view(base, "process")
    definition = held if isinstance(held, Message) else base
    if not definition.signers:
        raise BadRequest("process_has_no_signers: a process is a signed message.")
    reduced = only_committed(definition).reset()
    return Process(signed_id(reduced), reduced)


async def with_process(base: Message, context: Context) -> Message:
    """The base with its definition under `process`, if it is a definition; else as it is."""
    if "process" in base or not base.signers:
        return base
    process = await process_of(base, context)
    return base.uncommitted().set_values({"process": process.definition})


async def read_process(id: str, context: Context) -> Process:
    """The process of an id, read from the cache; `NotFound` where it is not known."""
    found = await context.cache.read(id)
    if not isinstance(found, Message):
        raise NotFound(f"Process {id} is not known here.", details={"unavailable": id})
    return await process_of(found, context)
