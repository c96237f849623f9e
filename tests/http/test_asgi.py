"""The ASGI application by itself, as any server may call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio import open_nursery

from hyperbeam_trio.errors import NodeError
from hyperbeam_trio.http.asgi import AsgiApplication, Mount
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.lifespan import running_lifespans
from hyperbeam_trio.http.limits import Limits
from tests.http.conftest import echo


def scope(**changes: Any) -> dict[str, Any]:
    plain = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"",
        "headers": [(b"host", b"a")],
        "client": ("192.0.2.1", 5),
        "extensions": {},
    }
    return plain | changes


class Server:
    """ASGI's other side: gives `events` and then waits, keeps what is sent."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.give, self._take = trio.open_memory_channel[dict[str, Any]](100)
        for event in events:
            self.give.send_nowait(event)
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return await self._take.receive()

    async def send(self, event: dict[str, Any]) -> None:
        self.sent.append(event)

    @property
    def body(self) -> bytes:
        return b"".join([event.get("body", b"") for event in self.sent[1:]])


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


async def test_a_request_arrives_and_its_answer_leaves() -> None:
    server = Server(part(b"hel", True), part(b"lo"))
    call = scope(method="POST", query_string=b"q=1")
    await AsgiApplication(echo)(call, server.receive, server.send)
    start = server.sent[0]
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert (b"content-length", b"%d" % len(server.body)) in start["headers"]
    assert server.body == b"/a?q=1|hello"


async def test_a_client_that_leaves_within_its_body_ends_the_handler() -> None:
    server = Server(part(b"hel", True), GONE)
    await AsgiApplication(echo)(scope(method="POST"), server.receive, server.send)
    assert server.sent[0]["status"] == 400


async def test_a_body_that_was_not_read_is_swallowed() -> None:
    async def ignore(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200)

    server = Server(*[part(b"x", True)] * 50, part(b"x"))
    await AsgiApplication(ignore)(scope(method="POST"), server.receive, server.send)
    assert server.give.statistics().current_buffer_used == 0


async def test_a_streamed_answer_may_read_the_body() -> None:
    async def parts(request: HttpRequest) -> AsyncIterator[bytes]:
        async for piece in request.body.chunks():
            yield piece.upper()

    async def both(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts(request))

    server = Server(part(b"a", True), part(b"b", True), part(b"c"))
    await AsgiApplication(both)(scope(method="POST"), server.receive, server.send)
    assert server.body == b"ABC"


async def test_an_endless_answer_ends_when_its_client_leaves() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await trio.lowlevel.checkpoint()
            yield b"x"

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], endless())

    server = Server(part(b""))
    with trio.fail_after(5):
        async with open_nursery() as nursery:
            app = AsgiApplication(stream)
            nursery.start_soon(app, scope(), server.receive, server.send)
            while len(server.sent) < 10:
                await trio.lowlevel.checkpoint()
            server.give.send_nowait(GONE)


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}])
async def test_a_websocket_is_refused_politely(extensions: dict[str, Any]) -> None:
    server = Server({"type": "websocket.connect"})
    call = scope(type="websocket", extensions=extensions)
    await AsgiApplication(echo)(call, server.receive, server.send)
    if extensions:
        assert server.sent[0]["status"] == 400
        assert server.body == b"There is no websocket here.\n"
    else:
        assert [event["type"] for event in server.sent] == ["websocket.close"]


async def test_a_mount_takes_its_prefixes_only() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body"})

    app = AsgiApplication(echo, Limits(), [Mount((b"/pages/", b"/other"), page)])
    statuses = []
    for path in (b"/pages/x", b"/other", b"/pages", b"/"):
        server = Server(part(b""))
        await app(scope(raw_path=path), server.receive, server.send)
        statuses.append(server.sent[0]["status"])
    assert statuses == [418, 418, 200, 200]


class Page:
    """A mountable application that notes its lifespan."""

    def __init__(self, fails: str = "") -> None:
        self.events: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for step in ("startup", "shutdown"):
            event = await receive()
            self.events.append(event["type"])
            outcome = "failed" if step == self._fails else "complete"
            await send({"type": f"lifespan.{step}.{outcome}", "message": "no disk"})


async def test_mounts_start_before_and_stop_after() -> None:
    page = Page()
    async with running_lifespans([page]):
        assert page.events == ["lifespan.startup"]
    assert page.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_mounts_stop_when_their_server_is_cancelled() -> None:
    page = Page()
    with trio.CancelScope() as scope:
        async with running_lifespans([page]):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert page.events == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_application_without_a_lifespan_is_mounted_all_the_same() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("what is a lifespan?")

    async with running_lifespans([page]):
        entered = True
    assert entered


async def test_a_mount_that_does_not_start_is_an_error() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with running_lifespans([Page(fails="startup")]):
            raise AssertionError("it must not start")
    assert caught.group_contains(NodeError, match="no disk")


async def test_the_application_passes_a_servers_lifespan_on_to_its_mounts() -> None:
    page = Page()
    server = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    app = AsgiApplication(echo, mounts=[Mount((b"/pages",), page)])
    await app({"type": "lifespan"}, server.receive, server.send)
    assert [event["type"] for event in server.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert page.events == ["lifespan.startup", "lifespan.shutdown"]
