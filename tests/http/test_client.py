"""The node's HTTP client: what it asks, what it reads, what it refuses to send."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import BadRequest, RemoteError
from hyperbeam_trio.http.client import ClientSettings, HttpClient
from hyperbeam_trio.http.pool import Unreachable
from tests.http.answering import HERE, Log, answer, closed_port, take_request
from tests.http.client import RawClient
from tests.http.servers import scripted


async def test_a_request_carries_method_target_headers_and_body():
    log = Log(answer(b"done", 201, "X-A: 1", "X-A: 2"))
    async with scripted(log) as port, HttpClient(HERE) as client:
        found = await client.request(
            "POST",
            f"http://127.0.0.1:{port}/a/b?c=d",
            headers=[(b"X-One", b"1"), (b"host", b"evil"), (b"content-length", b"0")],
            body=b"hello",
        )
    [(lines, body)] = log.requests
    assert lines[:2] == ["POST /a/b?c=d HTTP/1.1", f"host: 127.0.0.1:{port}"]
    assert "x-one: 1" in lines
    assert lines.count("content-length: 5") == 1
    assert not any("evil" in line for line in lines)
    assert body == b"hello"
    assert (found.status, found.body) == (201, b"done")
    assert [value for name, value in found.headers if name == b"x-a"] == [b"1", b"2"]


async def test_one_connection_serves_many_requests():
    log = Log(*[answer(b"%d" % number) for number in range(5)])
    async with scripted(log) as port, HttpClient(HERE) as client:
        bodies = [(await client.request("GET", f"http://127.0.0.1:{port}/")).body for _ in range(5)]
        assert client.statistics().open == 1
    assert bodies == [b"0", b"1", b"2", b"3", b"4"]
    assert log.connections == 1


async def test_connections_are_bounded_and_others_wait_their_turn():
    arrived = trio.Event()
    go_on = trio.Event()
    here = 0

    async def serve(peer: RawClient) -> None:
        nonlocal here
        await take_request(peer)
        here += 1
        if here == 2:
            arrived.set()
        await go_on.wait()
        await peer.send(answer(b"x", 200, "connection: close"))

    settings = ClientSettings(connections=2, allowed=("all",))
    async with scripted(serve) as port, HttpClient(settings) as client, trio.open_nursery() as n:
        for _ in range(5):
            n.start_soon(client.request, "GET", f"http://127.0.0.1:{port}/")
        await arrived.wait()
        await trio.testing.wait_all_tasks_blocked()
        found = client.statistics()
        assert (found.open, found.waiting) == (2, 3)
        go_on.set()
    assert here == 5


async def test_an_idle_connection_makes_room_for_one_to_another_server():
    settings = ClientSettings(connections=1, allowed=("all",))
    one, two = Log(answer(b"1")), Log(answer(b"2"))
    async with scripted(one) as a, scripted(two) as b, HttpClient(settings) as client:
        assert (await client.request("GET", f"http://127.0.0.1:{a}/")).body == b"1"
        assert (await client.request("GET", f"http://127.0.0.1:{b}/")).body == b"2"
        assert client.statistics().open == 1


@pytest.mark.parametrize("framing", ["content-length: 100", "transfer-encoding: chunked"])
async def test_answers_are_bounded(framing):
    body = b"64\r\n" + bytes(100) + b"\r\n0\r\n\r\n" if "chunked" in framing else bytes(100)
    log = Log(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body)
    async with scripted(log) as port, HttpClient(HERE) as client:
        with pytest.raises(RemoteError, match="longer than 99 bytes"):
            await client.request("GET", f"http://127.0.0.1:{port}/", max_body=99)
        assert client.statistics().open == 0


async def test_a_body_can_be_read_in_parts():
    log = Log(answer(bytes(3_000_000)))
    async with scripted(log) as port, HttpClient(HERE) as client:
        async with client.stream("GET", f"http://127.0.0.1:{port}/") as streamed:
            sizes = [len(part) async for part in streamed.chunks()]
        assert sum(sizes) == 3_000_000
        assert max(sizes) < 300_000
        assert client.statistics().idle == 1


async def test_an_answer_that_comes_before_the_request_is_sent_is_heard():
    async def early(peer: RawClient) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(answer(b"too long", 413, "connection: close"))
        await peer.stream.send_eof()
        await peer.rest()

    async with scripted(early) as port, HttpClient(HERE) as client:
        found = await client.request("POST", f"http://127.0.0.1:{port}/", body=bytes(1 << 20))
    assert (found.status, found.body) == (413, b"too long")


async def test_large_heads_arrive():
    lines = [f"x-{number}: {'a' * 3000}" for number in range(100)]
    async with scripted(Log(answer(b"", 200, *lines))) as port, HttpClient(HERE) as client:
        found = await client.request("GET", f"http://127.0.0.1:{port}/")
    assert found.header(b"x-99") == b"a" * 3000


@pytest.mark.parametrize(
    "header", [(b"x y", b"1"), (b"", b"1"), (b"x", b"1\r\ny: 2"), (b"x", b"\0")]
)
async def test_headers_that_can_not_be_sent_are_refused(header):
    async with HttpClient(HERE) as client:
        with pytest.raises(BadRequest):
            await client.request("GET", "http://127.0.0.1:1/", headers=[header])


async def test_methods_that_are_none_are_refused():
    async with HttpClient(HERE) as client:
        with pytest.raises(BadRequest, match="no HTTP method"):
            await client.request("GET / HTTP/1.1\r\nx:", "http://127.0.0.1:1/")


async def test_errors_do_not_repeat_the_query():
    async with HttpClient(HERE) as client:
        with pytest.raises(RemoteError) as gone:
            await client.request("GET", f"http://127.0.0.1:{closed_port()}/x?token=s3cret")
    assert "s3cret" not in str(gone.value)


async def test_a_closed_client_asks_nobody():
    log = Log(answer(b"ok"))
    async with scripted(log) as port:
        async with HttpClient(HERE) as client:
            await client.request("GET", f"http://127.0.0.1:{port}/")
        assert client.statistics().open == 0
        with pytest.raises(Unreachable, match="closed"):
            await client.request("GET", f"http://127.0.0.1:{port}/")


def test_settings_come_from_the_nodes_options():
    config = NodeConfig(
        http_client_connect_timeout=100,
        http_retry=3,
        http_retry_mode="constant",
        http_retry_response=[429, 503],
        http_allow_private=["10.0.0.0/8", "Peer.Internal"],
    )
    settings = ClientSettings.of(config)
    assert (settings.connect, settings.retries, settings.retry_doubles) == (0.1, 3, False)
    assert settings.retry_statuses == {429, 503}
    assert settings.allowed == ("10.0.0.0/8", "peer.internal")
