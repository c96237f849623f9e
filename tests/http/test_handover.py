"""HTTP/2, TLS and websockets over the same port, through both doors."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import wsproto
from trio import open_nursery
from wsproto.events import AcceptConnection, CloseConnection, RejectConnection, Request, TextMessage

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.asgi import Mount
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.tls import open_tls_context
from tests.http.certificate import write_certificate
from tests.http.client import RawClient, connect
from tests.http.conftest import OpenDoor, echo
from tests.http.hostile import UPGRADE, head

Headers = list[tuple[str, str]]


class Http2Client:
    """One HTTP/2 connection with one stream after the other."""

    def __init__(self, stream: trio.abc.Stream, prefix: bytes = b"") -> None:
        self._stream = stream
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._events: list[h2.events.Event] = []

    async def request(self, headers: Headers, body: bytes = b"") -> tuple[dict[str, str], bytes]:
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, headers, end_stream=not body)
        if body:
            self._h2.send_data(stream_id, body, end_stream=True)
        return await self._answer(stream_id)

    async def late(self, headers: Headers, body: bytes) -> tuple[dict[str, str], bytes]:
        """A request whose body only follows when it was answered."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, headers)
        answer = await self._answer(stream_id)
        self._h2.send_data(stream_id, body, end_stream=True)
        return answer

    async def _answer(self, stream_id: int) -> tuple[dict[str, str], bytes]:
        got: dict[str, str] = {}
        content = b""
        while not isinstance(event := await self._next(), h2.events.StreamEnded):
            if isinstance(event, h2.events.ResponseReceived):
                got = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                content += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
        return got, content

    async def _next(self) -> h2.events.Event:
        while not self._events:
            await self._stream.send_all(self._h2.data_to_send())
            with trio.fail_after(5):
                data = await self._stream.receive_some(65536)
            if not data:
                raise EOFError("the connection ended")
            self._events = self._h2.receive_data(data)
        return self._events.pop(0)


def get(path: str, *more: tuple[str, str], method: str = "GET") -> Headers:
    pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "a")]
    return [*pseudo, *more]


async def test_http2_by_prior_knowledge(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, await trio.open_tcp_stream(*address) as stream:
        client = Http2Client(stream)
        headers, content = await client.request(get("/x?y", method="POST"), b"hello")
        assert (headers[":status"], content) == ("200", b"/x?y|hello")
        assert headers["x-version"] == "2"
        headers, content = await client.request(get("/again"))
        assert content == b"/again|"


async def test_http2_takes_several_values_of_64_kib(open_door: OpenDoor) -> None:
    async def measure(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], b"%d" % sum(len(value) for _, value in request.headers))

    async with open_door(measure) as address, await trio.open_tcp_stream(*address) as stream:
        client = Http2Client(stream)
        values = [(f"x-{number}", "a" * 65536) for number in range(3)]
        assert int((await client.request(get("/", values[0])))[1]) >= 65536
        assert int((await client.request(get("/", *values)))[1]) >= 3 * 65536


async def test_http2_streams_in_both_directions(open_door: OpenDoor) -> None:
    async def parts(request: HttpRequest) -> AsyncIterator[bytes]:
        async for piece in request.body.chunks():
            yield piece

    async def both(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, [], parts(request))

    async with open_door(both) as address, await trio.open_tcp_stream(*address) as stream:
        _, content = await Http2Client(stream).request(get("/", method="POST"), bytes(16_000))
    assert content == bytes(16_000)


async def test_http2_survives_what_comes_behind_an_answer(open_door: OpenDoor) -> None:
    async def refuse(request: HttpRequest) -> HttpResponse:
        return HttpResponse(429, [], b"enough")

    async with open_door(refuse) as address, await trio.open_tcp_stream(*address) as stream:
        client = Http2Client(stream)
        for _ in range(9):
            headers, content = await client.late(get("/", method="POST"), bytes(16_000))
            assert (headers[":status"], content) == ("429", b"enough")
        assert (await client.request(get("/")))[1] == b"enough"


async def test_http2_refuses_what_http1_refuses(open_door: OpenDoor) -> None:
    limits = Limits(header_count=9)
    async with (
        open_door(echo, limits=limits) as address,
        await trio.open_tcp_stream(*address) as stream,
    ):
        client = Http2Client(stream)
        statuses = [
            (await client.request(headers))[0][":status"]
            for headers in (
                get("/", *[("x", "y")] * 20),
                get("/", ("content-length", "99999999999"), method="HEAD"),
                get("/#x"),
            )
        ]
        assert statuses == ["431", "413", "400"]
        assert (await client.request(get("/")))[0][":status"] == "200"


async def test_rubbish_after_the_preface_ends_its_connection_only(open_door: OpenDoor) -> None:
    async with open_door(echo) as address:
        for rubbish in (b"SM\r\n\r\n" + b"\xff" * 100, b"SM\r\n\r\n" + bytes(9) * 20, b"XX"):
            async with connect(address) as client:
                await client.send(b"PRI * HTTP/2.0\r\n\r\n" + rubbish)
                await client.stream.send_eof()
                await client.rest()
        async with connect(address) as client:
            assert (await client.get()).status == 200


async def test_a_malformed_upgrade_ends_its_connection_only(open_door: OpenDoor) -> None:
    async with open_door(echo) as address, connect(address) as other:
        for stray in (b"stray", b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", bytes(200)):
            async with connect(address) as client:
                await client.send(head(*UPGRADE) + stray)
                assert b" 400 " in await client.rest()
            assert (await other.get()).status == 200


async def say(stream: trio.abc.Stream, client: wsproto.WSConnection, event: Any) -> None:
    await stream.send_all(client.send(event))


async def hear(stream: trio.abc.Stream, client: wsproto.WSConnection) -> Any:
    with trio.fail_after(5):
        client.receive_data(await stream.receive_some(65536) or None)
    return next(client.events())


async def shout(scope: Any, receive: Any, send: Any) -> None:
    """A mounted application with a websocket that shouts back, and fails when it hears 'fail'."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event["text"] == "fail":
            raise RuntimeError("as asked")
        await send({"type": "websocket.send", "text": event["text"].upper()})


async def test_a_websocket_of_a_mount(open_door: OpenDoor) -> None:
    mounts = [Mount((b"/ws",), shout)]
    async with (
        open_door(echo, mounts=mounts) as address,
        await trio.open_tcp_stream(*address) as stream,
    ):
        client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        await say(stream, client, Request(host="a", target="/ws"))
        assert isinstance(await hear(stream, client), AcceptConnection)
        await say(stream, client, TextMessage("hello"))
        assert (await hear(stream, client)).data == "HELLO"
        await say(stream, client, TextMessage("fail"))
        assert isinstance(await hear(stream, client), CloseConnection)
        async with connect(address) as other:
            assert (await other.get()).status == 200


async def test_a_websocket_over_tls(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    schemes: list[str] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        schemes.append(scope.get("scheme", ""))
        await shout(scope, receive, send)

    mounts = [Mount((b"/ws",), note)]
    async with (
        open_door(echo, mounts=mounts, tls=tls[0]) as address,
        await secure(address, tls[1], "http/1.1") as stream,
    ):
        client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        await say(stream, client, Request(host="a", target="/ws"))
        assert isinstance(await hear(stream, client), AcceptConnection)
        await say(stream, client, TextMessage("hello"))
        assert (await hear(stream, client)).data == "HELLO"
    assert "wss" in schemes


async def test_a_websocket_beside_the_mounts_is_refused(open_door: OpenDoor) -> None:
    mounts = [Mount((b"/ws",), shout)]
    async with (
        open_door(echo, mounts=mounts) as address,
        await trio.open_tcp_stream(*address) as stream,
    ):
        client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        await say(stream, client, Request(host="a", target="/elsewhere"))
        refused = await hear(stream, client)
        assert isinstance(refused, RejectConnection)
        assert refused.status_code == 400


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context and that of a client who trusts it."""
    certificate, key = write_certificate(tmp_path)
    return open_tls_context(certificate, key), ssl.create_default_context(cafile=certificate)


async def secure(
    address: tuple[str, int], context: ssl.SSLContext, *protocols: str
) -> trio.SSLStream[trio.SocketStream]:
    context.set_alpn_protocols(protocols)
    plain = await trio.open_tcp_stream(*address)
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    with trio.fail_after(5):
        await stream.do_handshake()
    return stream


async def test_http1_over_tls(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    schemes: list[str] = []

    async def note(request: HttpRequest) -> HttpResponse:
        schemes.append(request.scheme)
        return await echo(request)

    async with (
        open_door(note, tls=tls[0]) as address,
        await secure(address, tls[1], "http/1.1") as stream,
    ):
        client = RawClient(stream)
        assert (await client.get("/1")).body == b"/1|"
        assert (await client.get("/2")).body == b"/2|"
    assert schemes == ["https", "https"]


async def test_http2_over_tls(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with (
        open_door(echo, tls=tls[0]) as address,
        await secure(address, tls[1], "h2", "http/1.1") as stream,
    ):
        assert stream.selected_alpn_protocol() == "h2"
        _, content = await Http2Client(stream).request(get("/x"))
        assert content == b"/x|"


async def test_plain_http_on_the_port_of_tls(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with open_door(echo, tls=tls[0]) as address, connect(address) as client:
        assert (await client.get("/1")).body == b"/1|"
        assert (await client.get("/2")).body == b"/2|"


async def test_a_broken_handshake_ends_its_connection_only(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with open_door(echo, tls=tls[0]) as address:
        async with connect(address) as client:
            await client.send(b"\x16\x03\x01\x00\x05rubbish")
            await client.rest()
        async with connect(address) as client:
            await client.send(b"\x16")
        async with connect(address) as client:
            assert (await client.get()).status == 200


async def test_a_handshake_that_is_not_finished_is_given_up(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    limits = Limits(handshake_seconds=0.05)
    async with (
        open_door(echo, tls=tls[0], limits=limits) as address,
        connect(address) as client,
    ):
        await client.send(b"\x16")
        await client.rest()


async def test_many_at_once_over_one_port(
    open_door: OpenDoor, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    answers: list[bytes] = []

    async def plain() -> None:
        async with connect(address) as client:
            answers.append((await client.get("/plain")).body)

    async def two() -> None:
        async with await trio.open_tcp_stream(*address) as stream:
            answers.append((await Http2Client(stream).request(get("/two")))[1])

    async def over_tls() -> None:
        async with await secure(address, tls[1], "http/1.1") as stream:
            answers.append((await RawClient(stream).get("/tls")).body)

    async with open_door(echo, tls=tls[0]) as address, open_nursery() as nursery:
        for _ in range(5):
            for kind in (plain, two, over_tls):
                nursery.start_soon(kind)
    assert sorted(answers) == [b"/plain|"] * 5 + [b"/tls|"] * 5 + [b"/two|"] * 5


def test_a_certificate_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PEM certificate"):
        open_tls_context(str(tmp_path / "missing.pem"), "key.pem")
