"""One HTTP/1 connection of our own listener: requests in, answers out (RFC 9112)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from hyperbeam_trio.http.asgi import Mount, mounted
from hyperbeam_trio.http.body import Body, open_body
from hyperbeam_trio.http.bridge import serve_mounted
from hyperbeam_trio.http.exchange import Handler, HttpRequest, HttpResponse
from hyperbeam_trio.http.handover import Hypercorn
from hyperbeam_trio.http.head import PREFACE, Head, parse_head
from hyperbeam_trio.http.line import Line, Phase
from hyperbeam_trio.http.reply import LINGER_SECONDS, Reply, linger
from hyperbeam_trio.http.request import to_origin_form
from hyperbeam_trio.http.response import Refused, answer, busy, refusal
from hyperbeam_trio.http.stream import take_over
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.watch import Watch
from hyperbeam_trio.http.wire import encode_last_words


@dataclass(frozen=True, slots=True)
class House:
    """What the connections of one listener share."""

    handler: Handler
    mounts: Sequence[Mount]
    traffic: Traffic
    watch: Watch
    hypercorn: Hypercorn


class Connection:
    """Serves one connection in the calling task, until the peer or a limit ends it.

    `held` are bytes that were read from `stream` already. The caller closes the stream.
    """

    def __init__(
        self,
        house: House,
        stream: trio.abc.Stream,
        held: bytes,
        peer: tuple[str, int] | None,
        scheme: str,
    ) -> None:
        self._house = house
        self._limits = house.traffic.limits
        self._line = Line(stream, held, self._limits, house.watch)
        self._peer = peer
        self._scheme = scheme
        self._fresh = True
        self._reply: Reply | None = None

    def close_idle(self) -> None:
        """End it soon; called while it waits for a request."""
        self._line.expire()

    async def serve(self) -> None:
        """Serve to the end. A broken stream raises `trio.BrokenResourceError`."""
        line, watch = self._line, self._house.watch
        watch.add(line)
        try:
            with line.scope:
                await self._serve_requests()
            if line.expired is not None:
                await self._say_too_slow(line.expired)
        finally:
            watch.remove(line)
            self._house.traffic.wake(self)

    async def _serve_requests(self) -> None:
        try:
            while await self._wait_request():
                data = await self._line.read_head()
                self._line.begin_work()
                if not data or not await self._serve_request(data):
                    return
                self._reply = None
        except Refused as refused:
            await self._say_last(refused.response)

    async def _wait_request(self) -> bool:
        if self._line.held:
            # A client that never stops to send must not keep the others waiting.
            await trio.lowlevel.checkpoint()
            return True
        traffic = self._house.traffic
        if traffic.draining:
            return False
        traffic.rest(self)
        more = await self._line.wait_idle()
        traffic.wake(self)
        return more

    async def _serve_request(self, data: bytes) -> bool:
        if data == PREFACE and self._fresh:
            return await self._hand_over(data)
        self._fresh = False
        head = parse_head(data, self._limits)
        if head.fields.upgrade == b"websocket" and head.method == "GET":
            return await self._hand_over(data)
        body = open_body(head.fields, self._line, self._limits)
        traffic = self._house.traffic
        self._reply = reply = Reply(self._line, head, body, traffic)
        if not traffic.begin_request():
            return await reply.send(busy(self._limits.retry_after))
        try:
            return await self._answer(head, body, reply)
        finally:
            traffic.end_request()

    async def _answer(self, head: Head, body: Body, reply: Reply) -> bool:
        house = self._house
        app = mounted(house.mounts, head.target) if house.mounts else None
        if app is not None:
            return await serve_mounted(app, head, body, reply, self._peer, self._scheme)
        target, headers = to_origin_form(head.target, head.fields.headers)
        request = HttpRequest(
            head.method, target, headers, body, self._peer, head.version, self._scheme
        )
        return await reply.send(await answer(house.handler, request))

    async def _hand_over(self, data: bytes) -> bool:
        line = self._line
        read, line.held = data + line.held, b""
        stream = take_over(line.stream, read, self._limits.write_seconds)
        await self._house.hypercorn.serve_stream(stream)
        return False

    async def _say_too_slow(self, phase: Phase) -> None:
        asked = phase is Phase.HEAD or phase is Phase.BODY
        if asked and not (self._reply is not None and self._reply.started):
            with trio.move_on_after(LINGER_SECONDS):
                await self._say_last(refusal(408, f"The request's {phase.value} came too slowly."))

    async def _say_last(self, response: HttpResponse) -> None:
        await self._line.send(encode_last_words(response))
        await linger(self._line)
