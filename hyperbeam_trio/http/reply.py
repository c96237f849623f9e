"""One answer on an HTTP/1 connection: framing, sending, and what becomes of the connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from math import inf

import trio

from hyperbeam_trio.http.body import Body
from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.head import Head
from hyperbeam_trio.http.line import Line
from hyperbeam_trio.http.response import (
    close_parts,
    content_length,
    has_body,
    log,
    refusal,
    whole_body,
)
from hyperbeam_trio.http.stream import PART_BYTES
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.wire import LAST_CHUNK, encode_chunk, encode_head

LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024


class Reply:
    """The answer to one request.

    Either `send` a response, or `begin`, `part`… and `end` it and then `finish`. `started` says
    that its head has left. Headers must have been checked.
    """

    __slots__ = ("_body", "_chunked", "_head", "_keep", "_line", "_pending", "_traffic", "started")

    def __init__(self, line: Line, head: Head, body: Body, traffic: Traffic) -> None:
        self.started = False
        self._line = line
        self._head = head
        self._body = body
        self._traffic = traffic
        self._keep = False
        self._chunked = False
        self._pending: tuple[int, Sequence[Header]] = (500, ())

    async def send(self, response: HttpResponse) -> bool:
        """Send `response`; whether the connection can take another request."""
        content = response.body
        if isinstance(content, bytes):
            await self.whole(response.status, response.headers, content)
        elif has_body(self._head.method, response.status):
            self.begin(response.status, response.headers)
            await self._send_parts(content)
        else:
            await close_parts(content)
            await self.whole(response.status, response.headers, b"", None)
        return await self.finish()

    async def whole(
        self, status: int, headers: Sequence[Header], content: bytes, length: int | None = -1
    ) -> None:
        """Send head and content at once; `length` is told instead of the content's unless -1."""
        told = len(content) if length == -1 else length
        framing = b"" if told is None else content_length(status, told)
        head = encode_head(status, headers, framing + self._connection_line())
        if not has_body(self._head.method, status):
            content = b""
        first = max(0, PART_BYTES - len(head))
        self.started = True
        await self._line.send(head + content[:first])
        if len(content) > first:
            await self._line.send(memoryview(content)[first:])

    def begin(self, status: int, headers: Sequence[Header]) -> None:
        """Keep status and headers until the first part, to leave with it."""
        self._pending = (status, headers)

    async def part(self, data: bytes) -> None:
        """Send a part of the content, after the head if that is still here."""
        if self.started:
            if data:
                await self._line.send(encode_chunk(data) if self._chunked else data)
            return
        self._chunked = self._head.version != "1.0"
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        head = encode_head(*self._pending, framing + self._connection_line(self._chunked))
        self.started = True
        await self._line.send(head + (encode_chunk(data) if data and self._chunked else data))

    async def end(self) -> None:
        """No part will follow."""
        if not self.started:
            await self.whole(*self._pending, b"")
        elif self._chunked:
            await self._line.send(LAST_CHUNK)

    async def _send_parts(self, parts: AsyncIterator[bytes]) -> None:
        try:
            while True:
                try:
                    data = await anext(parts)
                except StopAsyncIteration:
                    return await self.end()
                except Exception:
                    return await self.fail()
                await self.part(data)
                await trio.lowlevel.checkpoint()
        finally:
            await close_parts(parts)

    async def fail(self) -> None:
        """Called while an exception is handled: log it, and let the client see that it happened."""
        log.exception("the answer to %s %r broke off", self._head.method, self._head.target[:200])
        if self.started:
            self._keep = False
        else:
            response = refusal(500, "The node failed at this request.")
            await self.whole(response.status, response.headers, whole_body(response))

    def _connection_line(self, framed: bool = True) -> bytes:
        self._keep = (
            framed
            and self._head.fields.keep_alive
            and self._body.reusable
            and not self._traffic.draining
        )
        if self._head.version == "1.0":
            return b"connection: keep-alive\r\n" if self._keep else b"connection: close\r\n"
        return b"" if self._keep else b"connection: close\r\n"

    async def finish(self) -> bool:
        """After the answer: whether the connection can take another request."""
        if self._keep and await self._body.finish():
            return True
        if self._line.held or not self._body.ended:
            await linger(self._line)
        return False


async def linger(line: Line) -> None:
    """Wait a little for the peer to read our last words: closing at once could destroy them."""
    line.due = inf
    left = LINGER_BYTES
    with trio.move_on_after(LINGER_SECONDS):
        if isinstance(line.stream, trio.abc.HalfCloseableStream):
            await line.stream.send_eof()
        while left > 0 and (data := await line.stream.receive_some()):
            left -= len(data)
