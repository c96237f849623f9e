"""Where the scheduler of a process is: here, or at another node (spec/05 §4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.scheduling.target import Target, split_hint
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.identities import Identities
from hyperbeam_trio.message import Atom, Message, Value, as_text, numbered

VARIANT = "ao.N.1"
LEGACY = "ao.TN.1"


@dataclass(frozen=True, slots=True)
class Here:
    """This node is a scheduler of the process, and signs with `wallets`."""

    wallets: Sequence[Wallet]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another node is: the URL of its record, and the protocol that it speaks."""

    url: str
    variant: str = VARIANT

    @property
    def node(self) -> str:
        """The URL of the node alone."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def redirect(self) -> Message:
        """The answer that sends a client there."""
        return Message.of(
            {
                "status": 307,
                "location": self.url.encode(),
                "body": f"Redirecting to scheduler: {self.url}".encode(),
                "variant": self.variant.encode(),
            }
        )


async def place_of(
    target: Target,
    definition: Message | None,
    message: Message | None,
    identities: Identities,
    context: Context,
) -> Here | Elsewhere:
    """Where the scheduler of `target` is, by its definition, else by the hint in its id.

    Of several schedulers this node comes first, then the last named. Raises `NotFound` for a
    process that nobody knows and a scheduler without a known location, `BadRequest` for a
    definition that names no scheduler.
    """
    hints = context.config.scheduler_follow_hints
    if definition is None:
        if target.hint is None or not hints:
            raise NotFound(f"Process {target.process} is not known here.")
        return Elsewhere(target.hint)
    named = await schedulers_of(definition, message, context)
    wallets = await identities.find([split_hint(item)[0] for item in named], context.node)
    if wallets:
        return Here(wallets)
    if target.hint is not None and hints:
        return Elsewhere(target.hint)
    if not named:
        raise BadRequest(
            "No scheduler information provided.",
            details={"reason": f"Process {target.process} has no key 'scheduler'."},
        )
    return await _remote(named, context)


async def _remote(named: Sequence[str], context: Context) -> Elsewhere:
    for item in reversed(named):
        address, hint = split_hint(item)
        if hint is not None:
            return Elsewhere(hint)
        record = await context.get(Message.of({"device": b"location@1.0"}), address)
        if isinstance(record, Message):
            url = record.text("url", None) or record.text("location", "/")
            return Elsewhere(url, record.text("variant", VARIANT))
    raise NotFound(
        f"No location found for the schedulers {', '.join(named)}.", details={"scheduler": named[0]}
    )


async def schedulers_of(
    definition: Message, message: Message | None, context: Context
) -> list[str]:
    """The identities that a definition names as schedulers, each maybe with a hint."""
    sources = [(definition, "scheduler"), (definition, "scheduler-location")]
    if message is not None:
        sources.append((message, "scheduler-location"))
    for source, key in sources:
        value = await context.view(source, key)
        if value is not None:
            return listed_names(value)
    return []


def listed_names(value: Value) -> list[str]:
    """A list, a numbered message, or comma-separated text; quotes don't count."""
    if isinstance(value, Message):
        value = numbered(value) or []
    if isinstance(value, list):
        return [name for item in value for name in listed_names(item)]
    text = (as_text(value) or "") if isinstance(value, bytes | Atom) else ""
    names = (part.strip(" \t\"'") for part in text.split(","))
    return [name for name in names if name]
