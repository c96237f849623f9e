"""Where an outgoing request goes: templates of routes, and the URLs of their nodes (spec/07 §7)."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.origin import Origin, parse_url
from hyperbeam_trio.http.remote import url_of
from hyperbeam_trio.http.strategies import Question, choose_nodes
from hyperbeam_trio.matching import match
from hyperbeam_trio.message import Message, Value, numbered

NODES: Final = 1024
"""How many nodes a route may have."""

TRUSTED_PEER: Final = "trusted-peer"
"""Private entry of a message whose `peer` the operator chose, who may choose private addresses."""

_PATHS: Final = ("route-path", "path")


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked: a whole URL. `trusted`: whoever set up the node chose its server."""

    url: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A route that was found; `reference` says where: `routes/<n>`, or `explicit`.

    `trusted`: it is the operator's, who may send the node to private addresses.
    """

    message: Message
    reference: str
    trusted: bool = False

    @property
    def nodes(self) -> list[Value]:
        """Its nodes, texts or messages."""
        own = self.message.get("nodes")
        nodes = numbered(own) if isinstance(own, Message) else own
        if isinstance(nodes, list) and len(nodes) <= NODES:
            return nodes
        return [self.message["node"]] if "node" in self.message else []

    @property
    def is_plural(self) -> bool:
        """Whether the nodes are asked by the rules of a multirequest."""
        return "nodes" in self.message

    def choose(self, request: Message, path: str, chance: random.Random) -> list[Value]:
        """The nodes that its strategy takes for a request."""
        if not self.is_plural:
            return self.nodes
        question = Question(request, path, self.message.text("route-by", None))
        strategy, count = self.message.text("strategy", "All"), self.message.int("choose", 1)
        return choose_nodes(strategy, self.nodes, count, question, chance)

    def target(self, node: Value, path: str) -> Target:
        """Where a path is asked for at one of the nodes."""
        url, home = _location(node, path)
        return Target(url, self.trusted and home is not None and parse_url(url)[0] == home)


def path_of(request: Message) -> str:
    """The path that a request is routed by: `route-path` or `path`, with a leading `/`."""
    for key in _PATHS:
        text = request.text(key, None)
        if text is not None:
            return text if is_url(text) else "/" + text.lstrip("/")
    raise BadRequest("A request needs a key 'path' (or 'route-path') to be routed.")


def is_url(path: str) -> bool:
    """Whether a path names its server itself."""
    return path.startswith(("http://", "https://"))


def find_route(routes: Sequence[Value], request: Message, *, trusted: bool = False) -> Route | None:
    """The first route whose template fits a request.

    A text is a regular expression that is searched for in the path. A message fits if the request
    has all its keys and values, with a regular expression under `path` or `route-path`.
    """
    path = path_of(request)
    if is_url(path):
        return Route(Message(node=path), "explicit")
    for place, route in enumerate(routes, 1):
        if isinstance(route, Message) and _fits(route.get("template"), request, path):
            return Route(route, f"routes/{place}", trusted)
    return None


def _fits(template: Value, request: Message, path: str) -> bool:
    if isinstance(template, bytes):
        return pattern(template.decode("utf-8", "replace")).search(path) is not None
    if not isinstance(template, Message):
        return False
    for key in _PATHS:
        expression = template.text(key, None)
        if expression is not None and pattern(expression).search(path) is None:
            return False
    return match(template.without(*_PATHS), request, "primary")


@lru_cache(maxsize=1024)
def pattern(expression: str) -> re.Pattern[str]:
    """A compiled regular expression; `BadRequest` for what is none."""
    try:
        return re.compile(expression)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadRequest(
            f"The template {expression[:200]!r} is no regular expression: {error}."
        ) from None


def _location(node: Value, path: str) -> tuple[str, Origin | None]:
    """The URL of a path at a node, and the server that the node's own text names, if any."""
    if isinstance(node, bytes):
        return _under(node.decode("utf-8", "replace"), path)
    if not isinstance(node, Message):
        raise BadRequest("A route's node should be a URL, or a message that leads to one.")
    if "prefix" in node:
        return _under(node.text("prefix"), path)
    if "suffix" in node:
        return path + node.text("suffix"), None
    if "match" in node:
        return _replaced(node.text("match"), node.text("with", ""), path)
    uri = node.text("uri")
    return uri, _server(uri)


def _under(base: str, path: str) -> tuple[str, Origin | None]:
    if is_url(path):
        return path, None
    return url_of(base, path), _server(base)


def _replaced(expression: str, replacement: str, path: str) -> tuple[str, Origin | None]:
    try:
        url = pattern(expression).sub(replacement, path)
    except (re.error, IndexError) as error:
        raise BadRequest(
            f"A route's 'with' {replacement[:200]!r} can't be used: {error}."
        ) from None
    return url, _server(replacement)


def _server(text: str) -> Origin | None:
    """The server that the text of a node names, if it names one."""
    try:
        return parse_url(text)[0]
    except BadRequest:
        return None
