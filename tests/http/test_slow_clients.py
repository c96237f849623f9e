"""Clients that take their time, on a clock that jumps, over streams in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio import open_nursery
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.asgi import AsgiApplication
from hyperbeam_trio.http.asgi_body import AsgiBody
from hyperbeam_trio.http.connection import Connection, House
from hyperbeam_trio.http.exchange import Handler, HttpRequest, HttpResponse
from hyperbeam_trio.http.handover import Hypercorn
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.stream import DoorStream
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.watch import Watch
from tests.http.client import RawClient, request
from tests.http.conftest import echo

Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]
LIMITS = Limits()


@asynccontextmanager
async def conversation(
    handler: Handler = echo, limits: Limits = LIMITS, pair: Pair = memory_stream_pair
) -> AsyncIterator[RawClient]:
    """A client of one connection; the block ends when the connection has."""
    near, far = pair()
    traffic, watch = Traffic(limits), Watch(limits)
    house = House(handler, (), traffic, watch, Hypercorn(AsgiApplication(handler), limits))

    async def serve() -> None:
        async with far:
            await Connection(house, far, b"", None, "http").serve()

    with trio.fail_after(20_000):
        async with open_nursery() as nursery:
            await nursery.start(watch.run)
            async with open_nursery() as serving:
                serving.start_soon(serve)
                yield RawClient(near, patience=5_000)
            nursery.cancel_scope.cancel()


async def send_slowly(client: RawClient, data: bytes, seconds: float) -> None:
    for byte in data:
        await client.send(bytes([byte]))
        await trio.sleep(seconds)


def assert_passed(seconds: float) -> None:
    """`seconds` have passed since the test began, or up to two ticks of the watch more."""
    assert seconds <= trio.current_time() <= seconds + 2


async def test_a_silent_client_is_let_go_without_a_word(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        assert await client.closed()
        assert_passed(LIMITS.idle_seconds)


async def test_a_client_that_falls_silent_is_let_go(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await trio.sleep(200)
        assert (await client.get()).status == 200
        await trio.sleep(200)
        assert (await client.get()).status == 200
        assert await client.closed()
        assert_passed(400 + LIMITS.idle_seconds)


async def test_a_slow_head_is_cut_off(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await trio.sleep(100)
        async with open_nursery() as nursery:
            nursery.start_soon(send_slowly, client, b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 100, 1)
            response = await client.response()
            nursery.cancel_scope.cancel()
        assert response.status == 408
        assert response.body == b"The request's head came too slowly.\n"
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["connection"] == "close"


async def test_a_slow_head_has_its_time_from_its_first_byte(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await trio.sleep(100)
        await client.send(b"G")
        assert (await client.response()).status == 408
        assert_passed(100 + LIMITS.head_seconds)


async def test_empty_lines_do_not_hold_a_connection(autojump_clock: MockClock) -> None:
    async with conversation() as client, open_nursery() as nursery:
        nursery.start_soon(send_slowly, client, b"\r\n" * 1000, 1)
        assert (await client.response()).status == 408
        assert_passed(LIMITS.head_seconds)
        nursery.cancel_scope.cancel()


async def test_a_slow_second_request_is_cut_off(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await client.send(request() + b"GET")
        assert (await client.response()).status == 200
        assert (await client.response()).status == 408
        assert_passed(LIMITS.head_seconds)


async def test_a_body_that_does_not_come_is_cut_off_and_its_handler_ends(
    autojump_clock: MockClock,
) -> None:
    ended: list[float] = []

    async def wait(request: HttpRequest) -> HttpResponse:
        try:
            return await echo(request)
        finally:
            ended.append(trio.current_time())

    async with conversation(wait) as client:
        await client.send(request("/", "Content-Length: 5", method="POST"))
        response = await client.response()
        assert (response.status, response.body) == (408, b"The request's body came too slowly.\n")
        assert_passed(LIMITS.body_seconds)
    assert len(ended) == 1


async def test_a_body_that_trickles_is_cut_off(autojump_clock: MockClock) -> None:
    async with conversation() as client, open_nursery() as nursery:
        await client.send(request("/", "Content-Length: 5000", method="POST"))
        nursery.start_soon(send_slowly, client, bytes(5000), 10)
        assert (await client.response()).status == 408
        assert_passed(LIMITS.body_seconds)
        nursery.cancel_scope.cancel()


async def test_a_slow_body_above_the_rate_arrives(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await client.send(request("/", "Content-Length: 400000", method="POST"))
        for _ in range(100):
            await trio.sleep(3)
            await client.send(bytes(4000))
        assert len((await client.response()).body) == len(b"/|") + 400_000


async def test_the_time_that_a_handler_thinks_is_not_its_clients(autojump_clock: MockClock) -> None:
    async def think(request: HttpRequest) -> HttpResponse:
        got = b""
        async for part in request.body.chunks():
            await trio.sleep(3600)
            got += part
        return HttpResponse(200, [], got)

    async with conversation(think) as client:
        await client.send(request("/", "Content-Length: 4", method="POST"))
        for byte in (b"a", b"b", b"c", b"d"):
            await client.send(byte)
            await trio.sleep(3605)
        assert (await client.response()).body == b"abcd"


async def test_a_long_computation_is_waited_for(autojump_clock: MockClock) -> None:
    async def think(request: HttpRequest) -> HttpResponse:
        await trio.sleep(4000)
        return HttpResponse(200)

    async with conversation(think) as client:
        assert (await client.get()).status == 200


async def test_a_body_may_be_late_for_an_answer_that_has_begun(autojump_clock: MockClock) -> None:
    async def parts(request: HttpRequest) -> AsyncIterator[bytes]:
        yield b"begun"
        yield await request.body.read(100)

    async def both(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts(request))

    async with conversation(both) as client:
        await client.send(request("/", "Content-Length: 5", method="POST"))
        assert (await client.head()).status == 200
        assert await client.rest() == b"5\r\nbegun\r\n"
        assert_passed(LIMITS.body_seconds)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_does_not_read_is_cut_off(
    autojump_clock: MockClock, streamed: bool
) -> None:
    ended = trio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(100_000)
        finally:
            ended.set()

    async def much(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], endless() if streamed else bytes(10_000_000))

    async with conversation(much, pair=lockstep_stream_pair) as client:
        await client.send(request())
        await client.head()
    assert_passed(LIMITS.write_seconds)
    assert ended.is_set() == streamed


async def test_a_client_that_reads_slowly_gets_all(autojump_clock: MockClock) -> None:
    async def much(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], bytes(1_000_000))

    async with conversation(much, pair=lockstep_stream_pair) as client:
        await client.send(request("/", "Connection: close"))
        length = int((await client.head()).headers["content-length"])
        while length > 0:
            length -= len(await client.exactly(min(length, 100_000)))
            await trio.sleep(20)
        assert trio.current_time() >= 200


async def test_last_words_are_not_waited_on_for_ever(autojump_clock: MockClock) -> None:
    async with conversation() as client:
        await client.send(b"rubbish\r\n\r\n")
        assert (await client.response()).status == 400
    assert trio.current_time() <= 5


async def test_short_limits_are_watched_closely(autojump_clock: MockClock) -> None:
    async with conversation(limits=Limits(idle_seconds=0.4)) as client:
        assert await client.closed()
        assert 0.4 <= trio.current_time() <= 0.6


async def test_who_takes_over_a_stream_is_not_held_by_its_peer(autojump_clock: MockClock) -> None:
    near, far = lockstep_stream_pair()
    stream = DoorStream(far, b"", 30)
    with trio.CancelScope(shield=True), pytest.raises(trio.BrokenResourceError, match="30 s"):
        await stream.send_all(bytes(1000))
    assert_passed(30)
    await near.aclose()


async def test_an_asgi_body_that_does_not_come_is_refused(autojump_clock: MockClock) -> None:
    body = AsgiBody(trio.sleep_forever, LIMITS)
    with pytest.raises(BadRequest, match="too slowly") as caught:
        await body.read(100)
    assert caught.value.status == 408
    assert_passed(LIMITS.body_seconds)
