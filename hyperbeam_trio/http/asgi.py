"""A Handler as one plain ASGI 3 application, with applications for pages mounted beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from hyperbeam_trio.http.asgi_body import AsgiBody, Event, Receive
from hyperbeam_trio.http.exchange import Handler, HttpRequest, HttpResponse
from hyperbeam_trio.http.lifespan import running_lifespans
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.request import refuse_head, to_origin_form
from hyperbeam_trio.http.response import answer, busy, close_parts, has_body, log, refusal
from hyperbeam_trio.http.traffic import Traffic

Scope = MutableMapping[str, Any]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mount:
    """An ASGI application for all request targets that start with one of `prefixes`."""

    prefixes: tuple[bytes, ...]
    app: AsgiApp


def mounted(mounts: Sequence[Mount], target: bytes) -> AsgiApp | None:
    """The first mounted application whose prefix fits `target`."""
    for mount in mounts:
        if target.startswith(mount.prefixes):
            return mount.app
    return None


class AsgiApplication:
    """`handler`, and `mounts` before it, for any ASGI server that runs on Trio.

    A websocket that no mount takes is answered 400. `traffic` counts the requests in flight; a
    server that counts connections in the same object passes it in.
    """

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        mounts: Sequence[Mount] = (),
        traffic: Traffic | None = None,
    ) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        self._mounts = mounts
        self._traffic = traffic or Traffic(self._limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._lifespan(receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = AsgiBody(receive, self._limits)
        refused = self._refuse(scope)
        if refused is not None:
            await send_response(scope["method"], refused, send)
        elif self._traffic.begin_request():
            await self._admitted(scope, body, receive, send)
        else:
            await send_response(scope["method"], busy(self._limits.retry_after), send)
        await body.discard()

    def _refuse(self, scope: Scope) -> HttpResponse | None:
        version: str = scope["http_version"]
        refused = refuse_head(
            scope["method"], to_target(scope), version, scope["headers"], self._limits
        )
        if refused is not None and version.startswith("1"):
            refused.headers = [*refused.headers, (b"connection", b"close")]
        return refused

    async def _admitted(self, scope: Scope, body: AsgiBody, receive: Receive, send: Send) -> None:
        try:
            app = mounted(self._mounts, scope["raw_path"])
            if app is None:
                await self._answer(scope, body, send)
            else:
                body.ended = True
                await self._mounted(app, scope, receive, send)
        finally:
            self._traffic.end_request()

    async def _answer(self, scope: Scope, body: AsgiBody, send: Send) -> None:
        response = await answer(self._handler, to_request(scope, body))
        if has_body(scope["method"], response.status) and not isinstance(response.body, bytes):
            await stream_response(response.body, _start(response), send, body)
        else:
            await close_parts(response.body)
            await send_response(scope["method"], response, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = mounted(self._mounts, scope["raw_path"])
        if app is not None:
            await self._mounted(app, scope, receive, send)
            return
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        response = refusal(400, "There is no websocket here.")
        body = {"type": "websocket.http.response.body", "body": response.body}
        await send({"type": "websocket.http.response.start", **_start(response)})
        await send(body)

    async def _mounted(self, app: AsgiApp, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception:
            log.exception("a mounted application failed at %r", scope["raw_path"][:200])
            raise

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with running_lifespans([mount.app for mount in self._mounts]):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def to_request(scope: Scope, body: AsgiBody) -> HttpRequest:
    """An ASGI scope as a request of ours."""
    target, headers = to_origin_form(to_target(scope), scope["headers"])
    return HttpRequest(
        method=scope["method"],
        target=target,
        headers=headers,
        body=body,
        peer=scope["client"],
        http_version=scope["http_version"],
        scheme=scope["scheme"],
    )


def to_target(scope: Scope) -> bytes:
    """The request target that an ASGI scope took apart."""
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def _start(response: HttpResponse) -> dict[str, Any]:
    headers = list(response.headers)
    if isinstance(response.body, bytes) and response.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(response.body)))
    return {"status": response.status, "headers": headers}


async def send_response(method: str, response: HttpResponse, send: Send) -> None:
    """Send `response` at once, whose headers were checked; a streamed body is left out."""
    await send({"type": "http.response.start", **_start(response)})
    content = response.body if has_body(method, response.status) else b""
    await send({"type": "http.response.body", "body": content})


async def stream_response(
    parts: AsyncIterator[bytes], start: dict[str, Any], send: Send, body: AsgiBody
) -> None:
    """Send an answer part by part, until the client hangs up."""
    await send({"type": "http.response.start", **start})
    async with trio.open_nursery() as nursery:
        # hypercorn would let an endless answer go on to nobody.
        nursery.start_soon(_cancel_at_disconnect, body, nursery.cancel_scope)
        await _send_parts(parts, send)
        nursery.cancel_scope.cancel()


async def _cancel_at_disconnect(body: AsgiBody, scope: trio.CancelScope) -> None:
    if await body.disconnected():
        scope.cancel()


async def _send_parts(parts: AsyncIterator[bytes], send: Send) -> None:
    try:
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except Exception:
        log.exception("an answer broke off")
        raise
    finally:
        await close_parts(parts)
    await send({"type": "http.response.body", "body": b""})
