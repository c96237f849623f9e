"""Pushing a slot at another node, where the routes say so (spec/05 §7.4)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.http.dispatch import route_of, targets_of
from hyperbeam_trio.http.origin import Origin, parse_url
from hyperbeam_trio.http.remote import send
from hyperbeam_trio.http.routing import Target
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


async def pusher_of(process: str, slot: int, context: Context) -> Target | None:
    """Who pushes a slot in place of this node; `None` where no route fits, or it leads here."""
    if not context.config.push_route_downstream:
        return None
    asked = Message(method="POST", **{"route-path": f"/{process}/push&slot={slot}"})
    route = await route_of(asked, context)
    targets = [] if route is None else targets_of(route, asked)
    if not targets or _is_own(parse_url(targets[0].url)[0], context.node):
        return None
    return targets[0]


async def push_at(target: Target, left: int, shown: int, once: bool, context: Context) -> Message:
    """The answer of another node that pushes a slot, `left` levels further down.

    Raises as `send` does, and what its error answers tell.
    """
    asked = Message(method="POST", **{"max-depth": left, "result-depth": max(shown, 0)})
    asked = asked.set(once=True) if once else asked
    reply = await send(context.node, target.url, asked, allow_private=target.trusted)
    answer = await context.load_all(reply.accepted())
    if not isinstance(answer, Message):
        raise RemoteError(f"{reply.url} did not answer a push with a message.")
    return answer.uncommitted().reset().without("status", "codec-device")


def _is_own(origin: Origin, node: Node) -> bool:
    own = [parse_url(url)[0] for url in node.urls]
    config = node.config
    ports = {each.port for each in own} | {config.port_external}
    hosts = {each.host for each in own} | {config.node_host} | _LOOPBACK
    return origin.port in ports and origin.host in hosts
