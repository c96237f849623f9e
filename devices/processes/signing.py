"""Who signs a message for a process, and by which codec (spec/05 §7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hyperbeam_trio.codec.ans104 import commit_ans104
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.resolving import within_push
from hyperbeam_trio.errors import BadRequest, ConfigError, HyperbeamError
from hyperbeam_trio.message import Atom, Message, Value, as_text, numbered
from hyperbeam_trio.node import Node

HTTPSIG: Final = "httpsig@1.0"
ANS104: Final = "ans104@1.0"

_QUOTES: Final = "\"' "


async def signed_by(
    wallets: Sequence[Wallet], message: Message, codec: str, node: Node, *, bundle: bool = False
) -> Message:
    """The message with a signature of each wallet; an ANS-104 item has that of the first alone.

    `bundle`: nested messages are signed with all they hold. Raises `ConfigError` for a codec that
    signs nothing.
    """
    if codec == ANS104:
        return await commit_ans104(message, wallets[0], limiter=node.crypto_limiter, bundle=True)
    if codec != HTTPSIG:
        raise ConfigError(f"{codec!r} is no codec that signs; expected {HTTPSIG} or {ANS104}.")
    for wallet in wallets:
        message = await commit_signed(message, wallet, limiter=node.crypto_limiter, bundle=bundle)
    return message


async def trusted_by(receiver: Process, context: Context) -> Sequence[str]:
    """The identities that a process trusts: those its `policy` gives, else its `authority`.

    A policy is a message, or a path to one, that has `accept-committers`. Raises `BadRequest` for
    one that does not.
    """
    policy = await context.load_all(receiver.definition.get("policy"))
    if policy is None:
        return addresses(await context.load_all(receiver.definition.get("authority")))
    if isinstance(policy, bytes):
        policy = await _resolved(receiver, policy.decode("utf-8", "replace"), context)
    accepted = policy.get("accept-committers") if isinstance(policy, Message) else None
    if accepted is None:
        raise BadRequest(f"The policy of {receiver.id} gives no accept-committers.")
    return addresses(accepted)


async def _resolved(receiver: Process, path: str, context: Context) -> Value:
    plain = receiver.definition.uncommitted().without("device")
    inner = context.internal()
    try:
        with within_push(context.config):
            if path.startswith("/"):
                found = await inner.resolve_path(path)
            else:
                found = await inner.resolve(plain, path)
    except HyperbeamError as error:
        raise BadRequest(f"The policy of {receiver.id} can't be read: {error.text}") from error
    return await context.load_all(found)


def addresses(value: Value) -> Sequence[str]:
    """Addresses of a list, or of text that separates them with commas."""
    if isinstance(value, Message):
        value = numbered(value) or list(value.values())
    if isinstance(value, list):
        return [name for item in value for name in addresses(item)]
    text = (as_text(value) or "") if isinstance(value, bytes | Atom) else ""
    named = (name.strip(_QUOTES) for name in text.split(","))
    return [name for name in named if name]
