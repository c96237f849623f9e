"""What a slot wants sent, and sending it to its targets (spec/05 §7.2, §7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.processes.definition import PROCESS_DEVICE, Process, read_process
from hyperbeam_trio.errors import BadRequest, Forbidden, HyperbeamError, NotFound
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Link, Message, Value, as_text, enumerated, is_private

_HINTS: Final = ("?", "&")
_QUOTES: Final = "\"' "


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that has its slot at its target."""

    id: str
    target: str
    slot: int

    def to_message(self) -> Message:
        """As it stands in the answer of a push."""
        return Message(id=self.id, target=self.target, slot=self.slot)


async def entries_of(results: Message, context: Context) -> list[tuple[str, Value]]:
    """The entries of an outbox by their keys: numbers in their order, then other keys."""
    outbox = await context.view(results, "outbox")
    if isinstance(outbox, list):
        outbox = enumerated(outbox)
    if not isinstance(outbox, Message):
        return []
    keys = [key for key in outbox if not is_private(key) and key != "device"]
    keys.sort(key=lambda key: (not key.isdigit(), int(key) if key.isdigit() else 0, key))
    return [(key, outbox[key]) for key in keys]


class Sender:
    """Signs the messages of one process's outbox and schedules them at their targets."""

    def __init__(self, sender: Process, identities: Identities, context: Context) -> None:
        self._sender = sender
        self._identities = identities
        self._context = context

    async def send(self, entry: Value) -> Sent:
        """Schedule one entry of an outbox at its target.

        Raises `BadRequest` for what is no message, `NotFound` without a target or for a target
        that is not known, `Forbidden` where nobody may sign it, and what the scheduler raises.
        """
        message = await self._context.load_all(entry)
        if not isinstance(message, Message):
            raise BadRequest("Only messages can be pushed.")
        message = Message.of({key.lower(): message[key] for key in message if not is_private(key)})
        target = _without_hint(as_text(message.get("target")) or "")
        if not target:
            raise NotFound("Target process not available.")
        try:
            receiver = await read_process(target, self._context)
        except HyperbeamError:
            raise NotFound("Could not access target process!") from None
        return await self._schedule(message, receiver)

    async def _schedule(self, message: Message, receiver: Process) -> Sent:
        stamped = message.set_values({**self._origin(), "target": receiver.id.encode()})
        body = await self._signed(stamped, receiver)
        asked = Message.of({"path": b"schedule", "method": b"POST", "body": body})
        base = receiver.definition.uncommitted().set_values(
            {"device": PROCESS_DEVICE, "process": receiver.definition}
        )
        assignment = await self._context.resolve(base, asked)
        if not isinstance(assignment, Message) or "slot" not in assignment:
            raise BadRequest(f"The scheduler of {receiver.id} gave no slot.")
        return Sent(signed_id(body), receiver.id, assignment.int("slot"))

    def _origin(self) -> dict[str, Value]:
        """Where a message comes from; nothing that a program says replaces it."""
        definition = self._sender.definition
        plain = definition.uncommitted()
        origin: dict[str, Value] = {
            "data-protocol": b"ao",
            "variant": b"ao.N.1",
            "type": b"Message",
            "from-process": self._sender.id.encode(),
            "from-uncommitted": unsigned_id(definition).encode(),
            "from-base": unsigned_id(plain.without("authority", "scheduler")).encode(),
        }
        for name in ("scheduler", "authority"):
            if name in definition:
                origin[f"from-{name}"] = definition[name]
        return origin

    async def _signed(self, message: Message, receiver: Process) -> Message:
        """Signed with those identities of ours that the receiver trusts, else with our own."""
        node = self._context.node
        trusted = await self._context.load_all(receiver.definition.get("authority"))
        wallets = await self._identities.find(_addresses(trusted), node)
        if not wallets and node.config.push_always_sign:
            wallets = [node.wallet]
        if not wallets:
            raise Forbidden(
                "Application of security policy failed: "
                "No identities matching authority were found."
            )
        for wallet in wallets:
            message = await commit_signed(message, wallet, limiter=node.crypto_limiter)
        return message


def _without_hint(target: str) -> str:
    for mark in _HINTS:
        target = target.partition(mark)[0]
    return target.strip("/")


def _addresses(value: Value) -> Sequence[str]:
    """Addresses of a list, or of text that separates them with commas."""
    if isinstance(value, Message):
        value = list(value.values())
    items: Iterable[Value] = value if isinstance(value, list) else [value]
    texts = [text for item in items if not isinstance(item, Link) and (text := as_text(item))]
    named = (name.strip(_QUOTES) for text in texts for name in text.split(","))
    return [name for name in named if name]
