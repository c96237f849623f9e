"""Each limit of a door: what is within it passes, what is beyond it is refused."""

from __future__ import annotations

from dataclasses import fields
from functools import partial

import pytest
import trio
from trio import open_nursery

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.server import serve
from hyperbeam_trio.http.traffic import Traffic
from tests.http.client import Response, connect, request, until
from tests.http.conftest import OpenDoor, echo


class Gate:
    """A handler that waits until the test lets it answer."""

    def __init__(self) -> None:
        self.entered = trio.Event()
        self.opened = trio.Event()

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self.entered.set()
        await self.opened.wait()
        return await echo(request)


def assert_readable_by_pages(response: Response) -> None:
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-expose-headers"] == "*"
    assert response.body.endswith(b".\n")


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_must_be_above_zero(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: -1})


def test_only_the_grace_may_be_nothing() -> None:
    assert Limits(grace_seconds=0).grace_seconds == 0
    with pytest.raises(ConfigError, match="requests"):
        Limits(requests=0)


async def test_head_bytes(open_door: OpenDoor) -> None:
    limits = Limits(head_bytes=200_000)
    async with open_door(echo, limits=limits) as address, connect(address) as client:
        assert (await client.get("/", "X: " + "a" * 190_000)).status == 200
        response = await client.get("/", "X: " + "a" * 199_990)
        assert response.status == 431


async def test_head_bytes_below_one_read(open_door: OpenDoor) -> None:
    limits = Limits(head_bytes=300)
    async with open_door(echo, limits=limits) as address, connect(address) as client:
        assert (await client.get("/", "X: " + "a" * 200)).status == 200
        response = await client.get("/", "X: " + "a" * 300)
        assert response.status == 431


async def test_header_count(open_door: OpenDoor) -> None:
    limits = Limits(header_count=5)
    async with open_door(echo, limits=limits) as address, connect(address) as client:
        assert (await client.get("/", *["X: a"] * 4)).status == 200
        response = await client.get("/", *["X: a"] * 5)
        assert response.status == 431
        assert_readable_by_pages(response)
        assert await client.closed()


async def test_body_bytes_by_length(open_door: OpenDoor) -> None:
    limits = Limits(body_bytes=1000)
    async with open_door(echo, limits=limits) as address, connect(address) as client:
        await client.send(request("/", method="POST", body=bytes(1000)))
        assert (await client.response()).status == 200
        await client.send(request("/", "Content-Length: 1001", method="POST"))
        response = await client.response()
        assert response.status == 413
        assert_readable_by_pages(response)
        assert await client.closed()


async def test_body_bytes_in_chunks(open_door: OpenDoor) -> None:
    limits = Limits(body_bytes=1000)
    async with open_door(echo, limits=limits) as address, connect(address) as client:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        await client.send(head + b"3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n")
        assert (await client.response()).status == 200
        await client.send(head + b"3e8\r\n" + bytes(1000) + b"\r\n1\r\na\r\n0\r\n\r\n")
        assert (await client.response()).status == 413


@pytest.mark.parametrize("framing", ["Content-Length: 6", "Transfer-Encoding: chunked"])
async def test_a_handlers_own_limit(open_door: OpenDoor, framing: str) -> None:
    async def five(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], await request.body.read(5))

    body = b"hello!" if "Length" in framing else b"6\r\nhello!\r\n0\r\n\r\n"
    async with open_door(five) as address, connect(address) as client:
        await client.send(request("/", framing, method="POST") + body)
        assert (await client.response()).status == 413


@pytest.fixture
def own_door(door: str) -> None:
    """For what only our own door can do; skips from a fixture, where its reason is reported."""
    if door == "hypercorn":
        pytest.skip("hypercorn says 100 unasked, and does not tell which connections are idle")


@pytest.mark.usefixtures("own_door")
async def test_no_continue_for_a_body_that_is_too_long(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        lines = "Expect: 100-continue", "Content-Length: 99999999999"
        await client.send(request("/", *lines, method="POST"))
        assert (await client.response()).status == 413


async def test_connections_of_all(open_door: OpenDoor) -> None:
    traffic, gate = Traffic(Limits(connections=2)), Gate()
    async with (
        open_door(gate, traffic=traffic) as address,
        connect(address) as first,
        connect(address) as second,
        open_nursery() as nursery,
    ):
        nursery.start_soon(first.get)
        nursery.start_soon(second.get)
        await gate.entered.wait()
        async with connect(address) as third:
            response = await third.response()
            assert response.status == 503
            assert response.headers["retry-after"] == "1"
            assert_readable_by_pages(response)
            assert await third.closed()
        assert traffic.statistics().refused_connections == 1
        gate.opened.set()


@pytest.mark.usefixtures("own_door")
async def test_the_longest_idle_connection_makes_room(open_door: OpenDoor) -> None:
    limits = Limits(connections=2)
    async with (
        open_door(echo, limits=limits) as address,
        connect(address) as first,
        connect(address) as second,
    ):
        assert (await first.get()).status == 200
        assert (await second.get()).status == 200
        assert (await first.get()).status == 200
        async with connect(address) as third:
            assert (await third.get()).status == 200
        assert await second.closed()
        assert (await first.get()).status == 200


async def test_connections_per_address(open_door: OpenDoor) -> None:
    traffic = Traffic(Limits(connections_per_address=1))
    async with open_door(echo, traffic=traffic) as address:
        async with connect(address) as first:
            assert (await first.get()).status == 200
            async with connect(address) as second:
                assert (await second.response()).status == 503
        await until(lambda: traffic.statistics().connections == 0)
        async with connect(address) as third:
            assert (await third.get()).status == 200


async def test_requests_in_flight(open_door: OpenDoor) -> None:
    traffic, gate = Traffic(Limits(requests=1, retry_after=7)), Gate()
    async with (
        open_door(gate, traffic=traffic) as address,
        connect(address) as first,
        connect(address) as second,
    ):
        await first.send(request())
        await gate.entered.wait()
        response = await second.get()
        assert response.status == 503
        assert response.headers["retry-after"] == "7"
        assert_readable_by_pages(response)
        gate.opened.set()
        assert (await first.response()).status == 200
        await until(lambda: traffic.statistics().requests == 0)
        assert (await second.get()).status == 200
        assert traffic.statistics().refused_requests == 1


async def test_statistics_count_what_happened(door: str, open_door: OpenDoor) -> None:
    traffic = Traffic(Limits())
    async with open_door(echo, traffic=traffic) as address, connect(address) as client:
        for _ in range(3):
            await client.get()
        await until(lambda: traffic.statistics().answered == 3)
        now = traffic.statistics()
        await until(lambda: traffic.statistics().idle == (1 if door == "trio" else 0))
    assert (now.connections, now.accepted, now.requests) == (1, 1, 0)
    assert traffic.statistics().connections == 0


async def test_a_port_in_use_is_a_clear_error() -> None:
    async with open_nursery() as nursery:
        [address] = await nursery.start(partial(serve, echo, "127.0.0.1", 0))
        with pytest.raises(ConfigError, match=f"port {address[1]}: .*in use"):
            await serve(echo, *address)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_that_is_none_is_a_clear_error(port: int) -> None:
    with pytest.raises(ConfigError, match="port"):
        await serve(echo, "127.0.0.1", port)


async def test_a_door_that_is_none_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="nginx"):
        await serve(echo, door="nginx")  # type: ignore[arg-type]  # what the test is about
