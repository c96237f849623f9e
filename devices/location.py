"""`location@1.0`: at which URL the node of an address answers (spec/05 §4.9, spec/07 §9)."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Final

from hyperbeam_trio.codec.ans104 import DEVICE as ANS104
from hyperbeam_trio.codec.ans104 import commit_ans104
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.devices.scheduling.bundlers import is_configured, upload
from hyperbeam_trio.devices.scheduling.locations import (
    accept_location,
    find_location,
    is_stale,
    keep_location,
    known_addresses,
    newest_nonce,
)
from hyperbeam_trio.devices.scheduling.lookup import Lookup
from hyperbeam_trio.devices.scheduling.place import LEGACY
from hyperbeam_trio.errors import BadRequest, Forbidden, HyperbeamError, KeyNotFound, NotFound
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.location")

OPEN_LIFETIME: Final = 28 * 24 * 3600 * 1000
"""Milliseconds that a record holds which somebody else than the operator asked for."""
REFRESHES: Final = 64
"""Old records that are asked for anew at once."""


class LocationDevice(Device):
    """`ADDRESS`: the newest record of an address; `node`: this node's own; `known`: all of them.

    A record has `type: location`, `url`, `nonce` and `time-to-live` (both milliseconds), and is
    signed by its address.
    """

    name = "location@1.0"
    volatile = True

    def __init__(self) -> None:
        self._refreshing: set[str] = set()
        self._lookup = Lookup()

    @default
    async def of(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The newest known record of the address that the key is; `NotFound` without one.

        One that nobody told of is looked up through the option `gateway`, and kept.
        """
        if not is_id(name):
            raise KeyNotFound("not_found")
        record = await find_location(name, context) or await self._look_up(name, context)
        if record is None:
            raise NotFound(f"No location found for address: {name}")
        # Schedulers of legacynet have no record to give.
        if is_stale(record, _now()) and record.text("variant", None) != LEGACY:
            self._refresh_soon(name, record, context.node)
        return record

    @key
    async def node(self, base: Message, request: Message, context: Context) -> Value:
        """This node's own record; for its operator a new one with `url` and `time-to-live`.

        The operator may give a `nonce`, which has to be newer than the last one. Anybody else
        gets the record that there is, or a first one if option `location-open-generation` says so.
        """
        node = context.node
        if node.operator in request.caller.signers:
            return await _generate(request, await _nonce(request, context), context)
        if "nonce" in request:
            raise Forbidden("Only the operator of the node may give its location a nonce.")
        known = await find_location(node.address, context)
        if known is not None and not known.text("url").endswith(":0"):
            return known
        if not node.config.location_open_generation:
            raise Forbidden("The node has no location record, and only its operator may make one.")
        asked = Message.of({"time-to-live": OPEN_LIFETIME})
        return await _generate(asked, _now(), context)

    @key
    async def known(self, base: Message, request: Message, context: Context) -> Value:
        """The addresses of which records are known; with POST, the record is kept if it holds."""
        if request.text("method", "GET").upper() == "POST":
            return await accept_location(request.caller, context)
        return [address.encode() for address in await known_addresses(context)]

    @key
    async def all(self, base: Message, request: Message, context: Context) -> Value:
        """As `known`."""
        return [address.encode() for address in await known_addresses(context)]

    async def _look_up(self, address: str, context: Context) -> Message | None:
        record = await self._lookup.find(address, context.node)
        if record is not None:
            await keep_location(record, context)
        return record

    def _refresh_soon(self, address: str, record: Message, node: Node) -> None:
        if address not in self._refreshing and len(self._refreshing) < REFRESHES:
            self._refreshing.add(address)
            node.workers.start_soon(self._refresh, address, record, node)

    async def _refresh(self, address: str, record: Message, node: Node) -> None:
        try:
            asked = Message(path="/~location@1.0/node", method="GET")
            answer = (await ask(node, record.text("url"), asked)).accepted()
            if isinstance(answer, Message) and address in answer.signers:
                await accept_location(answer, node.context())
        except HyperbeamError as error:
            log.info("No newer location of %s: %s", address, error.text)
        finally:
            self._refreshing.discard(address)


async def _nonce(request: Message, context: Context) -> int:
    """The nonce that an operator asks for, or the present time."""
    asked = request.int("nonce", None)
    if asked is None:
        return _now()
    known = await newest_nonce(context.node.address, context)
    if known is not None and asked <= known:
        raise BadRequest(
            "Known nonce higher than requested nonce.",
            details={
                "requested-nonce": asked,
                "existing-nonce": known,
                "signers": ", ".join(request.caller.signers),
            },
        )
    return asked


async def _generate(request: Message, nonce: int, context: Context) -> Message:
    """A new signed record, kept here, uploaded, and told to the nodes of `location-notify`."""
    config = context.config
    lifetime = config.location_ttl or config.scheduler_location_ttl
    record = Message.of(
        {
            "data-protocol": b"ao",
            "variant": b"ao.N.1",
            "type": b"location",
            "url": request.text("url", _own_url(context.node)).encode(),
            "nonce": nonce,
            "time-to-live": request.int("time-to-live", lifetime),
            "codec-device": config.location_codec.encode(),
        }
    )
    signed = await _signed(record, context.node)
    await keep_location(signed, context)
    for peer in config.location_notify:
        context.node.workers.start_soon(partial(_notify, context.node, peer, signed))
    if is_configured(config):
        context.node.workers.start_soon(_upload, context.node, signed)
    return signed


async def _signed(record: Message, node: Node) -> Message:
    if node.config.location_codec == ANS104:
        return await commit_ans104(record, node.wallet, limiter=node.crypto_limiter)
    return await node.sign(record)


def _own_url(node: Node) -> str:
    config = node.config
    if config.location_url is not None:
        return config.location_url
    return node.urls[0].rstrip("/") if node.urls else f"http://{config.host}:{config.port}"


async def _notify(node: Node, peer: str, record: Message) -> None:
    told = record.set_values({"path": b"/~location@1.0/known", "method": b"POST"})
    try:
        # The operator wrote this URL, so it may be a private one.
        asked = told.with_commitments(record.commitments.values())
        (await ask(node, peer, asked, allow_private=True)).accepted()
    except HyperbeamError as error:
        log.warning("%s was not told of our location: %s", peer, error.text)


async def _upload(node: Node, record: Message) -> None:
    try:
        await upload(record, node)
    except HyperbeamError as error:
        log.warning("Our location was not uploaded: %s", error.text)


def _now() -> int:
    return time.time_ns() // 1_000_000
