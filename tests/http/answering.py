"""Servers for the tests of the HTTP client, and what they answer."""

import socket
from itertools import pairwise

import trio
import trio.testing

from hyperbeam_trio.http.client import ClientSettings
from tests.http.client import RawClient

HERE = ClientSettings(allowed=("127.0.0.1",))


def answer(body: bytes = b"", status: int = 200, *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


async def take_request(peer: RawClient) -> tuple[list[str], bytes]:
    """The lines of the next request's head, and its body."""
    lines = (await peer.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    length = [int(line.partition(": ")[2]) for line in lines if line.startswith("content-length")]
    return lines, await peer.exactly(length[0]) if length else b""


class Log:
    """A server that answers every request with `answers` in turn and keeps what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[list[str], bytes]] = []
        self.connections = 0

    async def __call__(self, peer: RawClient) -> None:
        self.connections += 1
        while True:
            self.requests.append(await take_request(peer))
            if not self.answers:
                return
            await peer.send(self.answers.pop(0))


class OneEach:
    """Gives each connection one of `answers` and closes it; `times` says when they came."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self, peer: RawClient) -> None:
        await take_request(peer)
        self.times.append(round(trio.current_time(), 1))
        await peer.send(self.answers.pop(0))

    @property
    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.times)]


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def silent(peer: RawClient) -> None:
    await take_request(peer)
    await trio.sleep_forever()
