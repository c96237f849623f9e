"""A connection over a script: given pieces come in, what goes out is kept, nothing waits."""

from __future__ import annotations

import re
from collections.abc import Sequence

import trio

from hyperbeam_trio.http.connection import Connection, House
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.stream import DoorStream
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.watch import Watch

LIMITS = Limits(body_bytes=100_000)


class ScriptedStream(trio.abc.HalfCloseableStream):
    """Gives `pieces` one by one, and then the end."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self.out = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.out += data

    async def wait_send_all_might_not_block(self) -> None:
        pass

    async def send_eof(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Conversation:
    """What came of one connection: `answers`, `requests` that were handled, bytes `handed_over`."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.requests: list[tuple[str, bytes, bytes]] = []
        self.handed_over: bytes | None = None
        self._stream = ScriptedStream([piece for piece in pieces if piece])

    async def run(self) -> Conversation:
        house = House(self._handle, (), Traffic(LIMITS), Watch(LIMITS), self)  # type: ignore[arg-type]  # stands in for hypercorn
        await Connection(house, self._stream, b"", None, "http").serve()
        assert house.traffic.statistics().requests == 0
        return self

    async def _handle(self, request: HttpRequest) -> HttpResponse:
        body = await request.body.read(1 << 30)
        self.requests.append((request.method, request.target, body))
        return HttpResponse(200)

    async def serve_stream(self, stream: DoorStream) -> None:
        self.handed_over = b"".join([piece async for piece in stream])

    @property
    def answers(self) -> list[int]:
        found = re.findall(rb"HTTP/1\.1 (\d\d\d) ", self._stream.out)
        return [int(status) for status in found if status != b"100"]

    def outcome(self) -> tuple[object, ...]:
        """What must be the same however the bytes were cut."""
        return self.answers, self.requests, self.handed_over


async def converse(*pieces: bytes) -> Conversation:
    """Send `pieces` and then the end of the stream."""
    return await Conversation(pieces).run()
