"""Sockets, and the tasks of the connections that come in through them."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import trio

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.draining import open_draining_nursery
from hyperbeam_trio.http.response import busy
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.wire import encode_last_words

log = logging.getLogger("hyperbeam_trio.http")

BACKLOG = 4096

Address = tuple[str, int]
ServeConnection = Callable[[trio.SocketStream, Address | None], Awaitable[None]]


async def open_listeners(host: str | None, port: int) -> list[trio.SocketListener]:
    """Listen on `port` (0: any free one) of `host` (`None`: all interfaces)."""
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"The node can't listen on {host or '*'} port {port}: {reason}. "
            "Choose another port or stop what uses it."
        ) from error


def adopt_listeners(sockets: Sequence[socket.socket]) -> list[trio.SocketListener]:
    """Listeners on sockets that already listen, such as those a parent process opened."""
    for sock in sockets:
        sock.setblocking(False)
    return [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]


def addresses(listeners: Sequence[trio.SocketListener]) -> list[Address]:
    """Host and port that each listener is bound to."""
    return [listener.socket.getsockname()[:2] for listener in listeners]


class Listener:
    """Accepts connections and gives each a task; no fault of one of them gets out.

    `serve_connection(stream, peer)` serves one; the listener closes the stream after it. `drain`
    is awaited when the listener stops.
    """

    def __init__(
        self,
        serve_connection: ServeConnection,
        traffic: Traffic,
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._serve_connection = serve_connection
        self._traffic = traffic
        self._drain = drain

    async def run(self, listeners: Sequence[trio.SocketListener]) -> None:
        """Serve until cancelled; then let requests in flight finish within the grace."""
        grace = self._traffic.limits.grace_seconds
        async with open_draining_nursery(grace) as connections:
            try:
                await trio.serve_listeners(
                    self._run_connection, list(listeners), handler_nursery=connections
                )
            finally:
                with trio.CancelScope(shield=True):
                    await self._stop(listeners)

    async def _stop(self, listeners: Sequence[trio.SocketListener]) -> None:
        for listener in listeners:
            await listener.aclose()
        self._traffic.drain()
        await self._drain()

    async def _run_connection(self, stream: trio.SocketStream) -> None:
        try:
            await self._admit(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError):
            log.debug("a connection broke", exc_info=True)
        except* Exception:
            log.exception("a connection failed")

    async def _admit(self, stream: trio.SocketStream) -> None:
        peer = _peer(stream)
        address = peer[0] if peer else ""
        reason = self._traffic.enter(address)
        if reason is not None:
            with trio.move_on_after(1):
                response = busy(self._traffic.limits.retry_after, reason)
                await stream.send_all(encode_last_words(response))
            return
        try:
            await self._serve_connection(stream, peer)
        finally:
            self._traffic.leave(address)


def _peer(stream: trio.SocketStream) -> Address | None:
    name = stream.socket.getpeername()
    return (name[0], name[1]) if isinstance(name, tuple) else None
