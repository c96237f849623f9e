"""`meta@1.0`: the node about itself, and its configuration (spec/07 §4)."""

from __future__ import annotations

import sys

from hyperbeam_trio import __version__
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import Conflict, HyperbeamError
from hyperbeam_trio.message import Message, Value, is_private, to_plain
from hyperbeam_trio.node import Node

_REQUEST_ONLY = frozenset(
    {
        *("path", "method", "device", "accept", "accept-bundle", "accept-codec", "require-codec"),
        *("host", "body", "content-type", "content-digest", "codec-device", "user-agent"),
        *("signing-format", "data-protocol", "variant", "type", "target", "anchor", "ao-peer"),
        *("node-history", "http-server", "address", "data"),
    }
)
"""Keys of a request that are never options."""


class MetaDevice(Device):
    """`info` shows the node's options, and changes them for its operator; `build` the software."""

    name = "meta@1.0"
    volatile = True

    def __init__(self) -> None:
        self._shown: tuple[NodeConfig, Message] | None = None

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """The public options; with POST, the operator's new values for some of them."""
        if request.text("method", "GET").upper() == "POST":
            try:
                return _change(request, context.node)
            finally:
                self._shown = None
        return self._info(context.node)

    def _info(self, node: Node) -> Message:
        """The same message until the options change, so that it need not be encoded again."""
        if self._shown is None or self._shown[0] is not node.config:
            self._shown = (node.config, info_message(node))
        return self._shown[1]

    @key(volatile=False)
    async def build(self, base: Message, request: Message, context: Context) -> Value:
        """Which software this is: `node`, `version`, `source`, `python`."""
        python = ".".join(map(str, sys.version_info[:3]))
        return Message(
            node="hyperbeam-trio",
            version=__version__,
            source=f"hyperbeam-trio-{__version__}",
            python=python,
        )

    @key("is-operator")
    async def is_operator(self, base: Message, request: Message, context: Context) -> Value:
        """Whether the operator signed the request."""
        return context.node.operator in request.caller.signers


def info_message(node: Node) -> Message:
    """The node's options without anything private, and its address (`meta@1.0/info`)."""
    return node.config.to_message().set(
        address=node.address, operator=node.operator, **{"node-history": list(node.history)}
    )


def _change(request: Message, node: Node) -> Value:
    if node.config.initialized == "permanent":
        raise HyperbeamError(
            "The node message of this machine is already permanent. It cannot be changed.",
            status=400,
        )
    if node.config.processes > 1:
        raise Conflict(
            "A node of several processes is changed in its configuration, and restarted."
        )
    caller = request.caller
    if node.operator != "unclaimed" and node.operator not in caller.signers:
        raise HyperbeamError("Unauthorized", status=400)
    node.reconfigure(_options_in(caller if caller.signers else request))
    node.history.append(Message.of({k: v for k, v in caller.items() if not is_private(k)}))
    count = len(node.history)
    text = f"Node message updated. History: {count} updates."
    return Message.of({"body": text.encode(), "history-length": count})


def _options_in(request: Message) -> dict[str, object]:
    """The options that a request sets: what its signer committed, or all of an unclaimed node's."""
    signed = [c for c in request.commitments.values() if c.committer is not None]
    names = set.intersection(*(set(c.committed) for c in signed)) if signed else set(request)
    return {
        name: to_plain(request[name])
        for name in names
        if name in request and name not in _REQUEST_ONLY and not is_private(name)
    }
