"""`relay@1.0`: requests to other nodes and services in the caller's name (spec/07 §8)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar, Final

from hyperbeam_trio.cache.streaming import streamed
from hyperbeam_trio.commitments import without_but_committed
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, Busy, Forbidden, HyperbeamError
from hyperbeam_trio.http.dispatch import request as dispatch
from hyperbeam_trio.http.remote import Reply, ask
from hyperbeam_trio.http.routing import TRUSTED_PEER
from hyperbeam_trio.message import Message, Value, as_text, is_private

log = logging.getLogger("hyperbeam_trio.devices.relay")

_TO_THE_RELAY: Final = frozenset(
    {"path", "device", "peer", "target", "commit-request", "http-client", "ao-peer", "host"}
)


class RelayDevice(Device):
    """`call` asks another node and gives its answer, `cast` asks and waits for nothing.

    Only public addresses are asked, unless the operator lists others in `http-allow-private`. What
    the caller signed stays signed as far as it is passed on unchanged.
    """

    name = "relay@1.0"
    volatile = True
    casts_at_once: ClassVar[int] = 256

    def __init__(self) -> None:
        self._casts = 0

    @key
    async def call(self, base: Message, request: Message, context: Context) -> Value:
        """The answer to a request to `relay-path` at `peer`, or where the routes lead.

        Keys of the base win over those of the message that `target` names (by default the request
        itself), and these over `relay-path`, `relay-method`, `relay-body` of request and base.
        """
        replies = await _send(await _errand(base, request, context), context)
        if isinstance(replies, list):
            return [reply.message for reply in replies]
        return replies.message

    @key
    async def cast(self, base: Message, request: Message, context: Context) -> Value:
        """`OK`, while the request is sent in the background; a failure is logged."""
        errand = await _errand(base, request, context)
        if self._casts >= self.casts_at_once:
            raise Busy(f"{self._casts} requests are being sent in the background already.")
        self._casts += 1
        context.node.workers.start_soon(self._cast, errand, context)
        return b"OK"

    @key
    async def request(self, base: Message, request: Message, context: Context) -> Value:
        """As a `request` hook: the messages that relay the whole request."""
        whole = await context.view(request, "request")
        if not isinstance(whole, Message):
            raise BadRequest("relay@1.0/request is a hook: it needs the request under 'request'.")
        relay = base.without("path").set(device=self.name)
        call = Message.of({"path": b"call", "target": b"request", "request": whole})
        return Message.of({"request": whole, "body": [relay, call]})

    async def _cast(self, errand: _Errand, context: Context) -> None:
        try:
            await _send(errand, context)
        except HyperbeamError as error:
            log.warning("A cast failed: %s", error)
        except Exception:
            log.exception("A cast failed")
        finally:
            self._casts -= 1


@dataclass(frozen=True, slots=True)
class _Errand:
    """What is sent to which peer (`None`: the routes decide), and whether the operator chose it."""

    message: Message
    peer: str | None
    trusted: bool


async def _send(errand: _Errand, context: Context) -> Reply | list[Reply]:
    if errand.peer is None:
        return await dispatch(errand.message, context)
    return await ask(context.node, errand.peer, errand.message, allow_private=errand.trusted)


async def _errand(base: Message, request: Message, context: Context) -> _Errand:
    """The errand that base, request and target describe together (the table of spec/07 §8)."""
    target = await _target(base, request, context)
    own = target if target is not None else Message()
    # The keys of an HTTP request are spread over all parts of its path, so what base and request
    # share is the request's.
    alone = {k: v for k, v in base.items() if request.get(k) != v}
    places = _Places(Message.of(alone), own, request)
    peer = as_text(places.first("base.peer", "target.peer", "request.peer"))
    passed = target if target is not None else request
    message = _without_orders(passed).set_values(places.values()).reset()
    if as_text(places.first(*_COMMIT)) == "true":
        message = await _signed(message, context)
    trusted = peer is not None and base.private.get(TRUSTED_PEER) == peer
    return _Errand(message, peer, trusted)


async def _target(base: Message, request: Message, context: Context) -> Message | None:
    """The message that is to be sent; `None` for the request itself."""
    name = request.text("target", None) or base.text("target", None)
    # A message for a process has a 'target' too: the id of the process.
    if name is None or name == "self" or len(name) == 43:
        return None
    for holder in (request, base):
        found = await context.view(holder, name)
        if isinstance(found, Message):
            return found
    raise BadRequest(f"Key 'target' names {name[:64]!r}, which should be a message to relay.")


_COMMIT: Final = (
    *("target.commit-request", "request.relay-commit-request", "base.relay-commit-request"),
    *("request.commit-request", "base.commit-request"),
)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a value may stand."""

    base: Message
    target: Message
    request: Message

    def first(self, *names: str) -> Value:
        """The first value that there is, of names such as `base.peer`."""
        for name in names:
            holder, _, key = name.partition(".")
            found: Value = getattr(self, holder).get(key)
            if found is not None:
                return found
        return None

    def values(self) -> dict[str, Value]:
        """What the outgoing message says whatever the passed one says."""
        path = self.first("base.path", "target.path", "request.relay-path", "base.relay-path")
        if path is None:
            raise BadRequest("There is nothing to relay to; expected a key 'relay-path'.")
        found = {
            "path": path,
            "method": self._said("method") or b"GET",
            "body": self._said("body"),
            "device": self.first(
                "base.relay-device", "target.relay-device", "request.relay-device"
            ),
        }
        return {key: value for key, value in found.items() if value is not None}

    def _said(self, key: str) -> Value:
        return self.first(
            f"base.{key}", f"target.{key}", f"request.relay-{key}", f"base.relay-{key}"
        ) or self.request.get(key)


def _without_orders(message: Message) -> Message:
    """The message without private keys, and without what was said to the relay and not signed."""
    covered = {key for c in message.commitments.values() for key in c.committed}
    orders = [k for k in message if k in _TO_THE_RELAY or k.startswith("relay-") or is_private(k)]
    return without_but_committed(message, [key for key in orders if key not in covered])


async def _signed(message: Message, context: Context) -> Message:
    if not context.config.relay_allow_commit_request:
        raise Forbidden(
            "This node signs nothing that it relays: its option relay-allow-commit-request is "
            "false."
        )
    bare = message.uncommitted()
    found = streamed(bare, context.cache)
    target = bare if found is None else found.message
    loaded = await context.load_all(target)
    whole = loaded if isinstance(loaded, Message) else target
    signed = await context.node.sign(whole, bundle=True)
    return signed if found is None else found.restored(signed)
