"""`whois@1.0`: at which address somebody is seen, and this node's own (spec/07 §9)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, RemoteError
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Message, Value, as_text

UNKNOWN = "unknown"


class WhoisDevice(Device):
    """`echo` tells a node that asks how it is seen from here; `node` is this node's own host."""

    name = "whois@1.0"
    volatile = True
    excludes = frozenset({"keys", "set", "id"})

    def __init__(self) -> None:
        self._told: str | None = None

    @key
    async def echo(self, base: Message, request: Message, context: Context) -> Value:
        """Address and port of the node that asks, or `unknown`."""
        return request.text("ao-peer", UNKNOWN).encode()

    @key
    async def node(self, base: Message, request: Message, context: Context) -> Value:
        """`node-host`, or what the node that `host-bootstrap-node` names calls us."""
        config = context.config
        if config.node_host is not None:
            return config.node_host.encode()
        if self._told is None:
            if config.host_bootstrap_node is None:
                raise BadRequest("No bootstrap node configured.")
            self._told = await _ask(config.host_bootstrap_node, context)
        return self._told.encode()


async def _ask(peer: str, context: Context) -> str:
    reply = await ask(context.node, peer, Message(path="/~whois@1.0/echo"), allow_private=True)
    told = as_text(reply.accepted())
    if told is None or told == UNKNOWN:
        raise RemoteError(f"{peer} does not see at which address this node answers.")
    return told
