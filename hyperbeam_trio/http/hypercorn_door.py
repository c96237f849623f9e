"""The front door that is hypercorn: `http-server: hypercorn` (spec/09 §2.5)."""

from __future__ import annotations

import ssl

import trio

from hyperbeam_trio.http.handover import Hypercorn
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.listener import Address
from hyperbeam_trio.http.socket_stream import SocketStream
from hyperbeam_trio.http.stream import DoorStream
from hyperbeam_trio.http.tls import HANDSHAKE, agree_tls


class HypercornDoor:
    """Serves every connection with hypercorn, through TLS when it begins so and `tls` is given."""

    def __init__(self, hypercorn: Hypercorn, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._hypercorn = hypercorn
        self._limits = limits
        self._tls = tls

    async def serve_connection(self, stream: SocketStream, peer: Address | None) -> None:
        """Serve one connection to its end."""
        plain = DoorStream(stream, b"", self._limits.write_seconds)
        if self._tls is None:
            await self._hypercorn.serve_stream(plain)
            return
        first = b""
        with trio.move_on_after(self._limits.idle_seconds):
            first = await plain.peek()
        if first.startswith(HANDSHAKE):
            secure = await agree_tls(plain, self._tls, self._limits)
            if secure is not None:
                await self._hypercorn.serve_stream(secure)
        elif first:
            await self._hypercorn.serve_stream(plain)

    async def drain(self) -> None:
        """Let idle connections end, and the others after the answer that they are at."""
        await self._hypercorn.drain()
