"""Requests to whom the routes of the node name (spec/07 §6, §7)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.errors import BadRequest, ConfigError
from hyperbeam_trio.http.multirequest import PREFIX, Rules, send_to_several, without_rules
from hyperbeam_trio.http.remote import Reply, send
from hyperbeam_trio.http.routing import NODES, Route, Target, find_route, path_of
from hyperbeam_trio.message import Message, Value, numbered, to_value

if TYPE_CHECKING:
    from hyperbeam_trio.context import Context

UNIT_PATHS: Final = ("^/result/", "^/snapshot/", "^/dry-run", "^/state")
"""What a legacy compute unit is asked for (spec/07 §2.7)."""

CHANCE: Final = random.SystemRandom()
"""What strategies that choose by chance ask; it has no state of its own."""


async def request(message: Message, context: Context) -> Reply | list[Reply]:
    """Send a message to the node that the routes name for its path, or to several.

    A path that is a URL needs no route. Several replies come as a list, where the route or the
    message wants more than one. Raises `BadRequest` without a route, and as `send` does.
    """
    route = await route_of(message, context)
    if route is None:
        raise no_route(message)
    targets = targets_of(route, message)
    rules = Rules().read(route.message).read(message, PREFIX)
    is_plural = route.is_plural or PREFIX + "nodes" in message
    if not is_plural or (len(targets) == 1 and rules == Rules()):
        return await _single(targets, message, context)
    return await send_to_several(targets, without_rules(message), rules, context)


async def _single(targets: Sequence[Target], message: Message, context: Context) -> Reply:
    if not targets:
        raise no_route(message)
    target = targets[0]
    return await send(context.node, target.url, message, allow_private=target.trusted)


def targets_of(route: Route, message: Message) -> list[Target]:
    """Whom a route asks for a message; the message's own nodes win, and are not trusted."""
    path = path_of(message)
    own = message.get(PREFIX + "nodes")
    nodes = numbered(own) if isinstance(own, Message) else own
    if isinstance(nodes, list):
        foreign = Route(Message(), "explicit")
        return [foreign.target(node, path) for node in nodes[:NODES]]
    return [route.target(node, path) for node in route.choose(message, path, CHANCE)]


async def route_of(message: Message, context: Context) -> Route | None:
    """The first route that fits: of the operator's provider if there is one, else configured."""
    provider = context.config.router_opts.get("provider")
    if provider is None:
        routes = [*configured_routes(context), *_unit_routes(context)]
        return find_route(routes, message, trusted=True)
    return find_route(await _provided(to_value(provider), context), message)


def configured_routes(context: Context) -> list[Value]:
    """The routes in the node's options, as messages."""
    return [to_value(route) for route in context.config.routes]


def _unit_routes(context: Context) -> list[Value]:
    """Routes to a compute unit on this machine, for what the node's own routes don't take."""
    unit = {"prefix": f"http://localhost:{context.config.genesis_wasm_port}"}
    return [to_value({"template": template, "node": unit}) for template in UNIT_PATHS]


async def _provided(provider: Value, context: Context) -> list[Value]:
    if not isinstance(provider, Message):
        raise ConfigError("router-opts/provider should be a message that gives routes.")
    asked = Message(path=provider.text("path", "routes"))
    found = await context.load_all(
        await context.internal().resolve(provider.without("path"), asked)
    )
    routes = numbered(found) if isinstance(found, Message) else found
    if not isinstance(routes, list):
        raise ConfigError("router-opts/provider should give a list of routes.")
    return routes


def no_route(message: Message) -> BadRequest:
    """The error for a path that no route fits."""
    return BadRequest(
        f"No route matches the path {path_of(message)[:200]!r}.",
        details={"reason": "no_matching_route"},
    )
