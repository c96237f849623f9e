"""The node's HTTP face: every request is a message, every answer one too (spec/07 §3)."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING

import trio

from hyperbeam_trio.cache.streaming import is_large
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.errors import ConfigError, HyperbeamError, NodeError, NotInitialized
from hyperbeam_trio.hooks import run_hook
from hyperbeam_trio.http.answers import AnswerCache
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.incoming import read_request
from hyperbeam_trio.http.listener import Address
from hyperbeam_trio.http.negotiation import Negotiator
from hyperbeam_trio.http.outgoing import (
    PREFLIGHT,
    Renderer,
    error_message,
    forced,
    with_status,
)
from hyperbeam_trio.http.server import serve
from hyperbeam_trio.http.tls import open_tls_context
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.starting import prepare

if TYPE_CHECKING:
    from hyperbeam_trio.config import NodeConfig
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.http")

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class NodeHandler:
    """Answers HTTP requests by resolving them on a node; `await handler(request)` never raises."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._negotiator = Negotiator(node.devices, node.config.default_codec)
        self._renderer = Renderer(node, self._negotiator)
        self._answers = AnswerCache(node.config.answer_cache_bytes)
        self._config = node.config
        self._metrics = node.metrics

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "OPTIONS":
            return PREFLIGHT
        if self._config is not self._node.config:
            self._answers.clear()
            self._config = self._node.config
        begun = perf_counter()
        response = self._answers.find(request)
        if response is None:
            response = await self._answer(request)
        else:
            self._metrics.kept += 1
        took = perf_counter() - begun
        if self._config.prometheus:
            self._metrics.served.add(request.method, response.status, took)
        if log.isEnabledFor(logging.DEBUG):
            target = request.target.decode("latin-1")
            log.debug("%s %s %d %.1f ms", request.method, target, response.status, 1000 * took)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        asked = Message.of({"accept": b"*/*"})
        try:
            asked = await read_request(request, self._node, self._negotiator)
            await self._renderer.make_way()
            return await self._resolve(request, asked)
        except HyperbeamError as error:
            return await self._refuse(asked, self._explained(error, request))
        except Exception as error:
            failed = NodeError("The node failed on this request.")
            failed.__cause__ = error
            return await self._refuse(asked, self._explained(failed, request))

    def _explained(self, error: HyperbeamError, request: HttpRequest) -> HyperbeamError:
        """A fault of ours is logged with its cause; only in debug mode is the client told it."""
        cause = error.__cause__
        if not isinstance(error, NodeError) or cause is None:
            return error
        log.error("Answering %s %r failed", request.method, request.target, exc_info=error)
        if self._node.config.mode != "debug":
            return error
        text = f"{error.text} {type(cause).__name__}: {cause}"
        return NodeError(text, status=error.status, details=error.details)

    async def _resolve(self, request: HttpRequest, asked: Message) -> HttpResponse:
        node, config = self._node, self._node.config
        self._check_initialized(asked)
        context = Context(node, node.http_cache_control)
        sequence = await self._sequence(asked, context)
        if not sequence:
            return _redirect(node.config.default_request)
        result = await node.resolver.resolve_many(sequence, context)
        if not is_large(result, node.cache):
            result = await context.load(result)
        await self._keep_signed(asked)
        self._metrics.hits += context.run.hits
        self._metrics.misses += context.run.misses
        kept = None if "bodied" in asked.private else self._answers.find_made(request, result)
        return kept or await self._rendered(request, asked, result, context, config)

    async def _rendered(
        self,
        request: HttpRequest,
        asked: Message,
        result: Value,
        context: Context,
        config: NodeConfig,
    ) -> HttpResponse:
        answer, status = with_status(forced(result).reset(), 200)
        answer, status = await self._response_hook(asked, answer, status, context)
        shown = await self._with_page(asked, answer, context)
        begun = perf_counter()
        response = await self._renderer.render(asked, shown, status)
        self._metrics.encoded(response.status, perf_counter() - begun)
        hit = bool(context.run.hits) and not context.run.misses
        response.headers = [*response.headers, (b"cache-status", b"hit" if hit else b"miss")]
        # Of answers that were begun under other options nobody knows what they depend on.
        changed = self._node.config is not config
        if changed or "bodied" in asked.private or self._node.hooks.of_requests:
            return response
        if not context.run.volatile:
            if response.status == 200:
                self._answers.keep(request, response)
        elif shown is answer:
            self._answers.keep_made(request, result, response)
        return response

    async def _with_page(self, asked: Message, answer: Message, context: Context) -> Message:
        """The answer with a page made of it, for a browser that got nothing to show."""
        wanted = self._node.config.generate_index and "text/html" in asked.text("accept", "")
        if not wanted or "body" in answer or "content-type" in answer or answer.signers:
            return answer
        page = await context.get(answer.without("device"), "index")
        return Message.of({**page, **answer}) if isinstance(page, Message) else answer

    def _check_initialized(self, asked: Message) -> None:
        path = asked.text("path")
        if self._node.config.initialized == "false" and not path.startswith("/~meta@1.0/info"):
            raise NotInitialized

    async def _keep_signed(self, asked: Message) -> None:
        """Store what was signed of an accepted request, unless a device just did (spec/04 §7)."""
        signed, cache = asked.private.get("signed"), self._node.cache
        if signed is None or not self._node.config.store_all_signed:
            return
        if not cache.wrote(signed_id(signed)):
            await cache.write(signed)

    async def _sequence(self, asked: Message, context: Context) -> list[Value]:
        sequence = parse_request(asked)
        if not self._node.hooks.find("request"):
            return sequence
        event = Message.of({"request": asked, "body": sequence})
        body = (await run_hook("request", event, context))["body"]
        if not isinstance(body, list):
            raise NodeError("The request hook should return a list of messages as its body.")
        return body

    async def _response_hook(
        self, asked: Message, answer: Message, status: int, context: Context
    ) -> tuple[Message, int]:
        if not self._node.hooks.find("response"):
            return answer, status
        event = Message.of({"request": asked, "body": answer})
        body = (await run_hook("response", event, context))["body"]
        body = await context.load(body) if isinstance(body, Link) else body
        return with_status(forced(body), status)

    async def _refuse(self, asked: Message, error: HyperbeamError) -> HttpResponse:
        limit = self._node.config.error_details_max_size
        try:
            return await self._renderer.render(asked, error_message(error, limit), error.status)
        except HyperbeamError as unrendered:
            plain, told = Message.of({"accept": b"*/*"}), error_message(unrendered, limit)
            return await self._renderer.render(plain, told, unrendered.status)


def _redirect(location: str) -> HttpResponse:
    return HttpResponse(302, [(b"location", location.encode())])


async def serve_node(
    node: Node,
    *,
    sockets: Sequence[socket.socket] = (),
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a node at its configured address until cancelled; started with its URLs.

    What the operator wants at the start comes first (`prepare`). `sockets` that listen already are
    used instead of opening some.
    """
    await prepare(node)
    _refuse_take_over(node.config)
    handler = NodeHandler(node)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(_serve, node, handler, sockets)
        urls = [url_of(host, port) for host, port in addresses]
        node.urls = urls
        log.info("HTTP server started on %s", ", ".join(urls))
        task_status.started(urls)


def _refuse_take_over(config: NodeConfig) -> None:
    """A node that anybody may configure is for this machine alone (spec/07 §22, note 6)."""
    if config.host in _LOOPBACK:
        return
    for name, value, cure in (
        ("operator", "unclaimed", "name an address as its operator"),
        ("initialized", "false", "set it to true"),
    ):
        if config.get(name) == value:
            raise ConfigError(
                f"{name}: a node whose {name} is {value!r} would be anybody's on {config.host}; "
                f"{cure}, or listen on 127.0.0.1."
            )


async def _serve(
    node: Node,
    handler: NodeHandler,
    sockets: Sequence[socket.socket],
    *,
    task_status: trio.TaskStatus[list[Address]],
) -> None:
    config = node.config
    traffic = Traffic(config.http_limits())
    with node.metrics.counting(lambda: asdict(traffic.statistics())):
        await serve(
            handler,
            config.host,
            config.port,
            door=config.http_server,
            sockets=sockets,
            tls=_tls(config),
            traffic=traffic,
            task_status=task_status,
        )


def _tls(config: NodeConfig) -> ssl.SSLContext | None:
    if not config.tls:
        return None
    missing = [name for name in ("cert", "key") if name not in config.tls]
    if missing:
        raise ConfigError(f"tls: {' and '.join(missing)} is missing; give two PEM files.")
    return open_tls_context(str(config.tls["cert"]), str(config.tls["key"]))


def url_of(host: str, port: int) -> str:
    """The URL of an address."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
