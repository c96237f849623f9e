"""The front door of our own: HTTP/1 here, HTTP/2 and websockets in hypercorn's hands."""

from __future__ import annotations

import ssl

import trio

from hyperbeam_trio.http.connection import Connection, House
from hyperbeam_trio.http.listener import Address
from hyperbeam_trio.http.socket_stream import SocketStream
from hyperbeam_trio.http.stream import DoorStream
from hyperbeam_trio.http.tls import HANDSHAKE, agree_tls


class TrioDoor:
    """Serves connections: plain or, when one begins so and `tls` is given, through TLS."""

    def __init__(self, house: House, tls: ssl.SSLContext | None) -> None:
        self._house = house
        self._tls = tls

    async def serve_connection(self, stream: SocketStream, peer: Address | None) -> None:
        """Serve one connection to its end."""
        if self._tls is None:
            await Connection(self._house, stream, b"", peer, "http").serve()
            return
        limits = self._house.traffic.limits
        door = DoorStream(stream, b"", limits.write_seconds)
        first = b""
        with trio.move_on_after(limits.idle_seconds):
            first = await door.peek()
        if first.startswith(HANDSHAKE):
            await self._serve_secure(door, self._tls, peer)
        elif first:
            await Connection(self._house, stream, first, peer, "http").serve()

    async def _serve_secure(
        self, door: DoorStream, tls: ssl.SSLContext, peer: Address | None
    ) -> None:
        secure = await agree_tls(door, tls, self._house.traffic.limits)
        if secure is None:
            return
        if secure.selected_alpn_protocol() == "h2":
            await self._house.hypercorn.serve_stream(secure)
        else:
            await Connection(self._house, secure, b"", peer, "https").serve()
            await secure.aclose()

    async def drain(self) -> None:
        """Let idle connections end, and the others after the answer that they are at."""
        await self._house.hypercorn.drain()
