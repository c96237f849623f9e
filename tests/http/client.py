"""A bare client: bytes go out as the test wrote them, responses come back one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

Address = tuple[str, int]


@dataclass
class Response:
    """One response; header names lower-case, several of one name joined by commas."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """One connection. A wait of more than `patience` seconds fails."""

    def __init__(self, stream: trio.abc.Stream, patience: float = 5) -> None:
        self.stream = stream
        self._patience = patience
        self._data = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def _more(self) -> bool:
        with trio.fail_after(self._patience):
            try:
                piece = bytes(await self.stream.receive_some(65536))
            except trio.BrokenResourceError:
                piece = b""
        self._data += piece
        return bool(piece)

    async def until(self, mark: bytes) -> bytes:
        """The bytes up to and with `mark`."""
        while mark not in self._data:
            if not await self._more():
                raise EOFError(f"the connection ended before {mark!r}: {self._data[:200]!r}")
        end = self._data.index(mark) + len(mark)
        taken, self._data = self._data[:end], self._data[end:]
        return taken

    async def exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            if not await self._more():
                raise EOFError(f"the connection ended {size - len(self._data)} bytes too early")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        while await self._more():
            pass
        taken, self._data = self._data, b""
        return taken

    async def head(self) -> Response:
        """A response's head; its body stays on the connection."""
        lines = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            name = name.lower()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Response(int(lines[0].split(" ")[1]), headers, b"")

    async def response(self, method: str = "GET") -> Response:
        """The next whole response, which is one to a request with `method`."""
        response = await self.head()
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return response
        if "content-length" in response.headers:
            response.body = await self.exactly(int(response.headers["content-length"]))
        elif response.headers.get("transfer-encoding") == "chunked":
            response.body = b"".join([part async for part in self.chunks()])
        else:
            response.body = await self.rest()
        return response

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a body, as the server cut them."""
        while size := int(await self.until(b"\r\n"), 16):
            yield await self.exactly(size)
            assert await self.exactly(2) == b"\r\n"
        assert await self.exactly(2) == b"\r\n"

    async def get(self, target: str = "/", *lines: str, method: str = "GET") -> Response:
        await self.send(request(target, *lines, method=method))
        return await self.response(method)

    async def closed(self) -> bool:
        """Whether the server closes without another byte."""
        return await self.rest() == b""


def request(target: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request's bytes; `lines` are header lines beside `host`."""
    head = [f"{method} {target} HTTP/1.1", "Host: node.test", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


async def until(condition: Callable[[], bool]) -> None:
    """Let the others run until `condition` holds; fails after five seconds."""
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def connect(address: Address) -> AsyncIterator[RawClient]:
    async with await trio.open_tcp_stream(*address) as stream:
        yield RawClient(stream)


async def can_connect(address: Address) -> bool:
    """Whether somebody listens there."""
    try:
        async with connect(address):
            return True
    except OSError:
        return False
