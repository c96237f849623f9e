"""What a slot wants sent, and sending it to its targets (spec/05 §7.2, §7.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.processes.definition import (
    PROCESS_DEVICE,
    Process,
    process_of,
    read_process,
)
from hyperbeam_trio.devices.processes.resolving import within_push
from hyperbeam_trio.devices.processes.signing import ANS104, signed_by, trusted_by
from hyperbeam_trio.devices.scheduling.place import Elsewhere, schedulers_of
from hyperbeam_trio.devices.scheduling.remote import remote_assign, remote_definition
from hyperbeam_trio.devices.scheduling.target import split_hint
from hyperbeam_trio.errors import BadRequest, Forbidden, HyperbeamError, NotFound
from hyperbeam_trio.http.outgoing import forced
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Message, Value, as_text, enumerated, is_private
from hyperbeam_trio.path import parse_request

_WRONG_CODEC: Final = 422
_MOVED: Final = (307, 308)


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

    async def send(self, key: str, entry: Value) -> Sent:
        """Schedule the entry `key` of an outbox at its target.

        With `resolve` it is what that path gives that is sent; a failure goes to the sender.
        Raises `BadRequest` for what is no message, `NotFound` without a target or for a target
        that is not known, `Forbidden` where nobody may sign it, and what the scheduler raises.
        """
        message = await self._context.load_all(entry)
        if not isinstance(message, Message):
            raise BadRequest("Only messages can be pushed.")
        message = Message.of({key.lower(): message[key] for key in message if not is_private(key)})
        target = as_text(message.get("target")) or ""
        if not _split(target)[0]:
            raise NotFound("Target process not available.")
        if "resolve" in message:
            message = await self._resolved(key, message)
            target = message.text("target")
        return await self._schedule(message, *await self._receiver(target))

    async def _receiver(self, target: str) -> tuple[Process, str | None]:
        """The process that a target names, and the hint in it; `NotFound` for an unknown one."""
        id, hint = _split(target)
        hint = hint if self._context.config.scheduler_follow_hints else None
        try:
            return await read_process(id, self._context), hint
        except HyperbeamError:
            if hint is None:
                raise NotFound("Could not access target process!") from None
        definition = await remote_definition(Elsewhere(hint), id, self._context)
        return await process_of(definition, self._context), hint

    async def _resolved(self, key: str, message: Message) -> Message:
        """What the entry's `resolve` gives for the entry's target; a failure for the sender."""
        try:
            asked = message.without("resolve", "target").set_values({"path": message["resolve"]})
            found = forced(await self._asked(asked)).reset()
        except HyperbeamError as error:
            failure: dict[str, Value] = {
                "resolve": b"error",
                "target": self._sender.id.encode(),
                "status": 400,
                "outbox-index": key.encode(),
                "reason": error.text.encode(),
                "source": message,
            }
            return Message.of(failure)
        return found.uncommitted().set_values({"target": message["target"]})

    async def _asked(self, request: Message) -> Value:
        """The answer to a request of nobody in particular, everything in it loaded."""
        with within_push(self._context.config):
            found = await self._context.internal().resolve_many(parse_request(request))
            return await self._context.load_all(found)

    async def _schedule(self, message: Message, receiver: Process, hint: str | None) -> Sent:
        stamped = message.set_values({**self._origin(), "target": receiver.id.encode()})
        codec = self._context.config.scheduler_default_commitment_spec
        try:
            return await self._post(stamped, receiver, hint, codec)
        except HyperbeamError as error:
            refused = _WRONG_CODEC in (error.status, error.details.get("remote-status"))
            if not refused or codec == ANS104:
                raise
        return await self._post(stamped, receiver, hint, ANS104)

    async def _post(
        self, stamped: Message, receiver: Process, hint: str | None, codec: str
    ) -> Sent:
        wallets = await self._wallets(receiver)
        body = await signed_by(wallets, stamped, codec, self._context.node)
        target = receiver.id if hint is None else f"{receiver.id}?hint={hint}"
        asked = Message.of(
            {"path": b"schedule", "method": b"POST", "target": target.encode(), "body": body}
        )
        base = receiver.definition.uncommitted().set_values(
            {"device": PROCESS_DEVICE, "process": receiver.definition}
        )
        assignment = await self._context.resolve(base, asked)
        if isinstance(assignment, Message) and assignment.get("status") in _MOVED:
            assignment = await self._pass_on(body, receiver, assignment)
        if not isinstance(assignment, Message) or "slot" not in assignment:
            raise BadRequest(f"The scheduler of {receiver.id} gave no slot.")
        return Sent(signed_id(body), receiver.id, assignment.int("slot"))

    async def _pass_on(self, body: Message, receiver: Process, moved: Message) -> Message:
        place = Elsewhere(moved.text("location"), moved.text("variant", Elsewhere("").variant))
        named = await schedulers_of(receiver.definition, None, self._context)
        schedulers = [split_hint(item)[0] for item in named]
        return await remote_assign(place, receiver.id, body, None, schedulers, self._context)

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

    async def _wallets(self, receiver: Process) -> list[Wallet]:
        """Those identities of ours that the receiver trusts, else our own."""
        node = self._context.node
        trusted = await trusted_by(receiver, self._context)
        wallets = await self._identities.find(trusted, node)
        if not wallets and node.config.push_always_sign:
            wallets = [node.wallet]
        if not wallets:
            raise Forbidden(
                "Application of security policy failed: "
                "No identities matching authority were found."
            )
        return wallets


def _split(target: str) -> tuple[str, str | None]:
    """The id that a target names, and the URL of its hint: `ID?hint=URL`, `ID&…`."""
    name, hint = split_hint(target)
    for mark in ("?", "&"):
        name = name.partition(mark)[0]
    return name.strip("/"), hint
