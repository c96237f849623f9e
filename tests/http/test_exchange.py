"""Requests and responses as HTTP/1 clients see them, through both doors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio import open_nursery
from trio.testing import wait_all_tasks_blocked

from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from tests.http.client import connect, request
from tests.http.conftest import OpenDoor, echo


async def test_method_target_headers_and_body_arrive_as_sent(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        await client.send(request("/a/b?c=%41&d", "X-Y: 1", "x-y: 2", method="PUT", body=b"hello"))
        response = await client.response()
    assert response.body == b"/a/b?c=%41&d|hello"
    assert response.headers["x-method"] == "PUT"
    assert response.headers["x-got-x-y"] == "1, 2"
    assert response.headers["x-version"] == "1.1"


async def test_the_peer_is_the_sockets_address(open_door: OpenDoor) -> None:
    seen: list[tuple[str, int] | None] = []

    async def note(request: HttpRequest) -> HttpResponse:
        seen.append(request.peer)
        return HttpResponse(200)

    async with open_door(note) as address, connect(address) as client:
        await client.get()
        assert seen == [client.stream.socket.getsockname()]


async def test_an_absolute_target_becomes_path_and_host(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        response = await client.get("http://other.test:81?q")
    assert response.body == b"/?q|"
    assert response.headers["x-got-host"] == "other.test:81"


async def test_a_body_in_chunks_arrives_whole(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        head = request("/", "Transfer-Encoding: chunked", method="POST")
        await client.send(head + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: trailer\r\n\r\n")
        assert (await client.response()).body == b"/|hello world"
        assert (await client.get("/next")).status == 200


async def test_a_body_arrives_part_by_part(open_door: OpenDoor) -> None:
    got: list[bytes] = []
    more = trio.Event()

    async def collect(request: HttpRequest) -> HttpResponse:
        async for part in request.body.chunks():
            got.append(part)
            more.set()
        return HttpResponse(200, [], b"".join(got))

    async with open_door(collect) as address, connect(address) as client:
        await client.send(request("/", "Content-Length: 10", method="POST") + b"first")
        with trio.fail_after(5):
            await more.wait()
        assert got == [b"first"]
        await client.send(b"later")
        assert (await client.response()).body == b"firstlater"


async def test_a_large_body_survives_both_ways(open_door: OpenDoor) -> None:
    body = bytes(range(256)) * 20_000
    async with open_door(echo) as address, connect(address) as client, open_nursery() as nursery:
        nursery.start_soon(client.send, request("/", method="POST", body=body))
        assert (await client.response()).body == b"/|" + body


async def test_a_streamed_answer_comes_in_parts(open_door: OpenDoor) -> None:
    proceed = trio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await proceed.wait()
        yield b""
        yield b"second"

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [(b"content-type", b"text/plain")], parts())

    async with open_door(stream) as address, connect(address) as client:
        await client.send(request())
        response = await client.head()
        assert response.headers["transfer-encoding"] == "chunked"
        chunks = client.chunks()
        assert await anext(chunks) == b"first"
        proceed.set()
        assert [chunk async for chunk in chunks] == [b"second"]
        assert (await client.get("/next")).status == 200


async def test_an_answer_that_breaks_off_ends_the_connection_without_a_last_chunk(
    open_door: OpenDoor,
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("the disk burns")

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts())

    async with open_door(stream) as address, connect(address) as client:
        await client.send(request())
        assert (await client.head()).status == 200
        assert await client.rest() == b"5\r\nfirst\r\n"


async def test_a_streamed_answer_to_version_1_0_ends_with_the_connection(
    open_door: OpenDoor,
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"second"

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts())

    async with open_door(stream) as address, connect(address) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await client.response()
    assert response.body == b"firstsecond"
    assert "transfer-encoding" not in response.headers


async def test_a_slow_reader_holds_back_a_streamed_answer(open_door: OpenDoor) -> None:
    made = 0
    closed = trio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        try:
            while True:
                made += 1
                yield bytes(1 << 20)
        finally:
            closed.set()

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], endless())

    async with open_door(stream) as address:
        async with connect(address) as client:
            await client.send(request())
            await client.head()
            before = -1
            while before < made:
                before = made
                await wait_all_tasks_blocked(0.05)
            assert made < 64
        with trio.fail_after(5):
            await closed.wait()


@pytest.mark.parametrize("status", [200, 404])
async def test_head_has_the_headers_of_get_and_no_body(open_door: OpenDoor, status: int) -> None:
    async def five(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status, [(b"x-y", b"z")], b"hello")

    async with open_door(five) as address, connect(address) as client:
        head = await client.get(method="HEAD")
        get = await client.get()
    assert head.headers["content-length"] == get.headers["content-length"] == "5"
    assert (head.status, head.headers["x-y"], head.body) == (status, "z", b"")
    assert get.body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_content_have_no_length(open_door: OpenDoor, status: int) -> None:
    async def empty(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status, [], b"ignored")

    async with open_door(empty) as address, connect(address) as client:
        first = await client.get()
        assert first.status == status
        assert "content-length" not in first.headers
        assert (await client.get()).status == status


async def test_head_of_a_streamed_answer_never_makes_it(open_door: OpenDoor) -> None:
    made: list[bytes] = []

    async def parts() -> AsyncIterator[bytes]:
        made.append(b"")
        yield b"first"

    async def stream(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts())

    async with open_door(stream) as address, connect(address) as client:
        await client.get(method="HEAD")
        await client.get(method="HEAD")
    assert made == []


async def test_pipelined_requests_are_answered_in_order(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        await client.send(
            request("/1")
            + request("/2", method="POST", body=b"two")
            + request("/3", "Transfer-Encoding: chunked", method="POST")
            + b"5\r\nthree\r\n0\r\n\r\n"
            + request("/4", method="HEAD")
            + request("/5", "Connection: close")
        )
        assert (await client.response()).body == b"/1|"
        assert (await client.response()).body == b"/2|two"
        assert (await client.response()).body == b"/3|three"
        assert (await client.response("HEAD")).headers["content-length"] == "3"
        assert (await client.response()).body == b"/5|"
        assert await client.closed()


async def test_a_thousand_pipelined_requests_are_answered(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client, open_nursery() as nursery:
        nursery.start_soon(client.send, request("/x") * 1000)
        for _ in range(1000):
            assert (await client.response()).body == b"/x|"


async def test_connection_close_is_obeyed_and_said(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        response = await client.get("/", "Connection: foo, Close")
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_version_1_0_closes(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        await client.send(b"GET /old HTTP/1.0\r\n\r\n")
        response = await client.response()
        assert response.headers["x-version"] == "1.0"
        assert response.body == b"/old|"
        assert await client.closed()


async def test_continue_is_said_when_the_body_is_wanted(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as client:
        lines = "Expect: 100-continue", "Content-Length: 5"
        await client.send(request("/", *lines, method="POST"))
        assert (await client.response()).status == 100
        await client.send(b"hello")
        assert (await client.response()).body == b"/|hello"
        assert (await client.get("/next")).status == 200


async def test_a_body_that_nobody_reads_does_not_become_a_request(open_door: OpenDoor) -> None:
    async def ignore(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], request.target)

    async with open_door(ignore) as address, connect(address) as client:
        smuggled = request("/smuggled")
        await client.send(request("/1", method="POST", body=smuggled) + request("/2"))
        assert (await client.response()).body == b"/1"
        assert (await client.response()).body == b"/2"


async def test_an_answer_before_a_huge_body_reaches_its_client(open_door: OpenDoor) -> None:
    async def refuse(request: HttpRequest) -> HttpResponse:
        return HttpResponse(403, [], b"no")

    async with open_door(refuse) as address, connect(address) as client:
        await client.send(request("/", "Content-Length: 50000000", method="POST") + b"begin")
        response = await client.response()
        assert (response.status, response.body) == (403, b"no")
        assert response.headers.get("connection") == "close" or await client.closed()


async def test_framing_headers_of_a_handler_are_not_sent(open_door: OpenDoor) -> None:
    async def meddle(request: HttpRequest) -> HttpResponse:
        headers = [(b"content-length", b"99"), (b"transfer-encoding", b"chunked"), (b"date", b"x")]
        return HttpResponse(200, [*headers, (b"connection", b"upgrade"), (b"x-y", b"z")], b"hello")

    async with open_door(meddle) as address, connect(address) as client:
        response = await client.get()
    assert response.body == b"hello"
    assert response.headers["x-y"] == "z"
    assert response.headers["date"] != "x"
    assert "transfer-encoding" not in response.headers
    assert "connection" not in response.headers


@pytest.mark.parametrize(
    "header",
    [
        (b"x-y", b"a\r\nset-cookie: b"),
        (b"x-y", b"a\nb"),
        (b"x-y", b"a\rb"),
        (b"x-y", b"a\0b"),
        (b"x y", b"a"),
        (b"x:y", b"a"),
        (b"x\r\ny", b"a"),
        (b"", b"a"),
        (b"X-Y", b"a"),
        ("ä".encode(), b"a"),
    ],
)
async def test_headers_that_would_split_an_answer_are_never_sent(
    open_door: OpenDoor, header: tuple[bytes, bytes]
) -> None:
    async def split(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [header], b"hello")

    async with open_door(split) as address, connect(address) as client:
        response = await client.get()
        assert response.status == 500
        assert "set-cookie" not in response.headers
        assert b"header" in response.body


async def test_a_status_that_is_not_final_is_the_nodes_fault(open_door: OpenDoor) -> None:
    async def strange(request: HttpRequest) -> HttpResponse:
        return HttpResponse(101)

    async with open_door(strange) as address, connect(address) as client:
        assert (await client.get()).status == 500


async def test_errors_of_a_handler_become_answers_that_pages_may_read(open_door: OpenDoor) -> None:
    async def fail(request: HttpRequest) -> HttpResponse:
        if request.target == b"/known":
            raise NotFound("There is no such thing.")
        raise ZeroDivisionError("secret")

    async with open_door(fail) as address, connect(address) as client:
        known = await client.get("/known")
        unknown = await client.get("/unknown")
    assert (known.status, known.body) == (404, b"There is no such thing.\n")
    assert unknown.status == 500
    assert b"secret" not in unknown.body
    for response in (known, unknown):
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["content-type"].startswith("text/plain")


async def test_a_client_that_hangs_up_leaves_the_others_alone(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as other:
        for _ in range(20):
            async with connect(address) as client:
                await client.send(request("/", "Content-Length: 9", method="POST") + b"half")
        assert (await other.get()).status == 200
