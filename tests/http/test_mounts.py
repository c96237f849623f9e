"""Applications for pages beside the handler, through both doors: bare ASGI and quart-trio."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from quart import request as quart_request
from quart_trio import QuartTrio

from hyperbeam_trio.http.asgi import Mount
from tests.http.client import RawClient, connect, request
from tests.http.conftest import OpenDoor, echo


def pages() -> QuartTrio:
    """A small site in Quart."""
    app = QuartTrio("pages")
    app.config["started"] = False

    @app.before_serving
    async def start() -> None:
        app.config["started"] = True

    @app.route("/pages/hello")
    async def hello() -> Any:
        return "<h1>hello</h1>", 200, {"X-Started": str(app.config["started"])}

    @app.route("/pages/echo", methods=["POST"])
    async def echo_body() -> Any:
        return await quart_request.get_data()

    @app.route("/pages/stream")
    async def stream() -> Any:
        async def parts() -> Any:
            for part in (b"one ", b"two"):
                await trio.lowlevel.checkpoint()
                yield part

        return parts()

    @app.route("/pages/fail")
    async def fail() -> Any:
        raise RuntimeError("as asked")

    return app


@pytest.fixture
def mounts() -> list[Mount]:
    return [Mount((b"/pages/",), pages())]


async def test_pages_and_paths_share_a_connection(open_door: OpenDoor, mounts: Any) -> None:
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        page = await client.get("/pages/hello?x=1")
        assert (page.status, page.body) == (200, b"<h1>hello</h1>")
        assert page.headers["x-started"] == "True"
        assert page.headers["content-type"].startswith("text/html")
        assert (await client.get("/other")).body == b"/other|"
        assert (await client.get("/pages/missing")).status == 404


async def test_a_page_takes_a_body(open_door: OpenDoor, mounts: Any) -> None:
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        body = bytes(range(256)) * 1000
        await client.send(request("/pages/echo", method="POST", body=body))
        assert (await client.response()).body == body
        head = request("/pages/echo", "Transfer-Encoding: chunked", method="POST")
        await client.send(head + b"5\r\nhello\r\n0\r\n\r\n")
        assert (await client.response()).body == b"hello"


async def test_a_page_streams(open_door: OpenDoor, mounts: Any) -> None:
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        assert (await client.get("/pages/stream")).body == b"one two"
        assert (await client.get("/pages/hello")).status == 200


async def test_head_of_a_page_tells_its_length(open_door: OpenDoor, mounts: Any) -> None:
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        page = await client.get("/pages/hello", method="HEAD")
        assert page.headers["content-length"] == "14"
        assert (await client.get("/pages/hello")).body == b"<h1>hello</h1>"


async def test_a_page_that_fails_is_500_and_the_others_go_on(
    open_door: OpenDoor, mounts: Any
) -> None:
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        assert (await client.get("/pages/fail")).status == 500
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        assert (await client.get("/pages/hello")).status == 200


def broken(*events: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            for event in events:
                await send(event)
            raise RuntimeError("as asked")

    return app


START = {"type": "http.response.start", "status": 200, "headers": [(b"x-y", b"z")]}
SPLIT = {"type": "http.response.start", "status": 200, "headers": [(b"x-y", b"a\r\nb: c")]}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}


async def get_broken(client: RawClient) -> bytes:
    await client.send(request("/broken"))
    return await client.rest() if (await client.head()).status == 200 else b""


@pytest.mark.parametrize("events", [(), (START,), (SPLIT, PART), (PART,)])
async def test_an_application_that_breaks_before_its_answer_is_500(
    open_door: OpenDoor, events: Any, door: str
) -> None:
    mounts = [Mount((b"/broken",), broken(*events))]
    async with open_door(echo, mounts=mounts) as address:
        async with connect(address) as client:
            await client.send(request("/broken"))
            if door == "trio":
                assert (await client.response()).status == 500
            else:  # hypercorn sends a head as soon as it has it
                assert b"b: c" not in await client.until(b"\r\n\r\n")
        async with connect(address) as client:
            assert (await client.get()).status == 200


async def test_an_application_that_breaks_within_its_answer_has_no_last_chunk(
    open_door: OpenDoor,
) -> None:
    mounts = [Mount((b"/broken",), broken(START, PART))]
    async with open_door(echo, mounts=mounts) as address, connect(address) as client:
        assert await get_broken(client) == b"4\r\npart\r\n"


async def test_an_application_learns_that_the_exchange_is_over(open_door: OpenDoor) -> None:
    heard: list[str] = []
    done = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        heard.append((await receive())["type"])
        await send(START)
        await send({"type": "http.response.body", "body": b"x"})
        heard.append((await receive())["type"])
        done.set()

    async with (
        open_door(echo, mounts=[Mount((b"/app",), app)]) as address,
        connect(address) as client,
    ):
        assert (await client.get("/app")).body == b"x"
        with trio.fail_after(5):
            await done.wait()
    assert heard == ["http.request", "http.disconnect"]
