"""`router@1.0`: where the node's own requests go (spec/07 §7)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.commitments import without_but_committed
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, ConfigError, Forbidden
from hyperbeam_trio.http.dispatch import (
    CHANCE,
    configured_routes,
    no_route,
    route_of,
    targets_of,
)
from hyperbeam_trio.http.origin import parse_url
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.http.routing import TRUSTED_PEER, Route, find_route, path_of, pattern
from hyperbeam_trio.message import Message, Value, is_private, numbered, to_value

ROUTES: Final = 4096
"""How many routes a node may have."""

_OF_A_ROUTE: Final = frozenset(
    {"template", "node", "nodes", "strategy", "choose", "priority", "price", "opts", "route-by"}
    | {"responses", "parallel", "stop-after", "admissible-status", "admissible"}
)


class RouterDevice(Device):
    """The node's routes: `routes` lists them and lets owners add some, `route` follows them."""

    name = "router@1.0"
    volatile = True

    @key
    async def routes(self, base: Message, request: Message, context: Context) -> Value:
        """The routes, first match first; with POST, a new one by one of the `route-owners`.

        Where `router-opts/registrar` is a message, a POST is for it to decide.
        """
        if request.text("method", "GET").upper() != "POST":
            return configured_routes(context)
        registrar = to_value(context.config.router_opts.get("registrar"))
        if isinstance(registrar, Message):
            path = registrar.text("registrar-path", "register")
            return await context.resolve(registrar, request.set(path=path))
        owners = context.config.route_owners or [context.node.operator]
        if not set(request.caller.signers) & set(owners):
            raise Forbidden("Only an owner of the routes may add one.")
        _add(await _new_route(request, context), context)
        return b"Route added."

    @key
    async def route(self, base: Message, request: Message, context: Context) -> Value:
        """The URL for `route-path` (or `path` of the base): a text, or a list where several are."""
        asked = _asked(base, request)
        route = await route_of(asked, context)
        if route is None:
            raise no_route(asked)
        if not route.is_plural and isinstance(node := route.message["node"], bytes):
            return node
        urls: list[Value] = [target.url.encode() for target in targets_of(route, asked)]
        return urls[0] if len(urls) == 1 else urls

    @key
    async def match(self, base: Message, request: Message, context: Context) -> Value:
        """The first of the base's `routes` that fits, with its `reference`."""
        listed = await context.load_all(await context.view(base, "routes"))
        routes = numbered(listed) if isinstance(listed, Message) else listed
        asked = _asked(base.without("routes"), request)
        found = find_route(routes if isinstance(routes, list) else [], asked)
        if found is None:
            raise no_route(asked)
        return found.message.set(reference=found.reference)

    @key
    async def register(self, base: Message, request: Message, context: Context) -> Value:
        """Offer the routes in `router-opts/offered` to the peers that they name; signed by us."""
        _require_operator(request, context)
        offered = to_value(context.config.router_opts.get("offered", ()))
        for offer in offered if isinstance(offered, list) else []:
            if not isinstance(offer, Message):
                raise ConfigError("router-opts/offered should be a list of routes.")
            await _register(offer, context)
        return b"Routes registered."

    @key
    async def preprocess(self, base: Message, request: Message, context: Context) -> Value:
        """As a `request` hook: relay what a route fits; answer the rest here, or not at all."""
        whole, body = await context.view(request, "request"), request.get("body")
        if not isinstance(whole, Message):
            raise BadRequest("router@1.0/preprocess is a hook: it needs a key 'request'.")
        route = await route_of(whole, context)
        if route is not None and route.reference != "explicit":
            return Message.of({"request": whole, "body": _relayed(base, whole, route)})
        if base.text("router-preprocess-default", "local") == "local":
            return Message.of({"request": whole, "body": body})
        text = "No matching template found in the given routes."
        return Message.of({"request": whole, "body": [Message(status=404, message=text)]})


def _asked(base: Message, request: Message) -> Message:
    """What is to be routed: the request's `route-path`, else the base, whose `path` counts."""
    if "route-path" in request:
        return request
    if "route-path" in base or "path" in base:
        return base
    raise BadRequest("A request needs a key 'route-path' to be routed.")


# Adding and offering routes.


async def _new_route(request: Message, context: Context) -> Message:
    nested = await context.load_all(await context.view(request, "route"))
    source = nested if isinstance(nested, Message) else request.caller
    loaded = await context.load_all(source)
    if not isinstance(loaded, Message):
        raise BadRequest("A route should be a message.")
    route = Message.of({k: v for k, v in loaded.items() if k in _OF_A_ROUTE})
    template = route.get("template")
    if isinstance(template, bytes):
        pattern(template.decode("utf-8", "replace"))
    elif not isinstance(template, Message):
        raise BadRequest("A route needs a template: a regular expression, or a message.")
    if "node" not in route and "nodes" not in route:
        raise BadRequest("A route needs a key 'node' or 'nodes'.")
    return route


def _add(route: Message, context: Context) -> None:
    routes = [*configured_routes(context), route]
    if len(routes) > ROUTES:
        raise BadRequest(f"A node has at most {ROUTES} routes.")
    ranked = sorted(routes, key=_priority)
    context.node.reconfigure({"routes": ranked})


def _priority(route: Value) -> float:
    """Routes without a priority come last, in the order in which they are."""
    return route.float("priority", float("inf")) if isinstance(route, Message) else float("inf")


def _require_operator(request: Message, context: Context) -> None:
    """From outside only the operator; a hook of the operator's has no transport."""
    caller = request.caller
    if "transport" in caller.private and context.node.operator not in caller.signers:
        raise Forbidden("Only the operator may have this node register its routes.")


async def _register(offer: Message, context: Context) -> None:
    peer = offer.get("registration-peer")
    url = peer.text("url") if isinstance(peer, Message) else offer.text("registration-peer")
    route = offer.without("registration-peer")
    said = Message(subject="self", action="register", route=route)
    signed = await context.node.sign(said, bundle=True)
    path = signed.set(path="/~router@1.0/routes", method="POST")
    (await ask(context.node, url, path, allow_private=True)).accepted()


# The hook.


def _relayed(base: Message, whole: Message, route: Route) -> list[Value]:
    """A request as two messages for `relay@1.0`, which carry it as what its signer said."""
    path = path_of(whole)
    peer = _peer(route, whole, path)
    relay = Message.of(
        {
            **{key: base[key] for key in ("commit-request",) if key in base},
            "device": b"relay@1.0",
            "relay-device": b"apply@1.0",
            "method": b"POST",
            "peer": peer.encode(),
        }
    )
    proxied = Message.of(
        {
            "device": b"apply@1.0",
            "path": b"user-path",
            "source": b"user-message",
            "user-path": path.encode(),
            "user-message": _user_message(whole),
        }
    )
    call = Message.of({"path": b"call", "target": b"proxy-message", "proxy-message": proxied})
    return [relay.with_private(**{TRUSTED_PEER: peer}) if route.trusted else relay, call]


def _peer(route: Route, whole: Message, path: str) -> str:
    """The server that the route's node for a request is at."""
    nodes = route.choose(whole, path, CHANCE)
    if not nodes:
        raise no_route(whole)
    node = nodes[0]
    if isinstance(node, bytes):
        return node.decode("utf-8", "replace")
    if isinstance(node, Message) and "prefix" in node:
        return node.text("prefix")
    return str(parse_url(route.target(node, path).url)[0])


def _user_message(whole: Message) -> Message:
    """The request without what would change its signatures; an unsigned one gets an id instead."""
    public = whole.without(*[key for key in whole if is_private(key)]).reset()
    if not public.signers:
        return commit_unsigned(public.uncommitted())
    covered = {key for c in public.commitments.values() for key in c.committed}
    # Keys that have a type would change the types that were signed.
    beside = [k for k, v in public.items() if k not in covered and not isinstance(v, bytes)]
    return without_but_committed(public, beside)
