"""Servers that say what a test wrote, and names that mean what a test says."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf

import trio

from tests.http.client import RawClient

Script = Callable[[RawClient], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[int]:
    """A port of 127.0.0.1 where each connection is served by `script`, then closed."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(EOFError, trio.BrokenResourceError):
                await script(RawClient(stream, inf))

    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


class Names(trio.abc.HostnameResolver):
    """Names with the addresses that a test gives them; each look-up is counted."""

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self._addresses = addresses
        self.asked: list[str] = []

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        name = host.decode()
        self.asked.append(name)
        if name not in self._addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = self._addresses[name]
        if found and isinstance(found[0], list):
            found = found.pop(0)
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in found
        ]

    async def getnameinfo(self, sockaddr, flags):
        raise AssertionError("nobody asks for names of addresses")
