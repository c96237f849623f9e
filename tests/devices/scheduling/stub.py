"""Servers of the tests' own: they answer as a function says, and remember what they were asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.server import serve
from hyperbeam_trio.http.service import url_of


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, bytes]
    body: bytes


class Stub:
    """What was `asked` of a server, and how it answers."""

    def __init__(self, answer: Callable[[Asked], HttpResponse]) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.answer = answer
        self._changed = trio.Event()

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        headers = {name.decode(): value for name, value in request.headers}
        body = await request.body.read(1 << 20)
        asked = Asked(request.method, request.target.decode(), headers, body)
        answer = self.answer(asked)
        self.asked.append(asked)
        self._changed.set()
        self._changed = trio.Event()
        return answer

    async def until(self, count: int) -> None:
        """Wait until it was asked so often."""
        with trio.fail_after(10):
            while len(self.asked) < count:
                await self._changed.wait()


@asynccontextmanager
async def answering(answer: Callable[[Asked], HttpResponse]) -> AsyncIterator[Stub]:
    """A server on a free port that gives these answers."""
    stub = Stub(answer)
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(serve, stub, "127.0.0.1", 0)
        stub.url = url_of(*addresses[0])
        yield stub
        nursery.cancel_scope.cancel()
