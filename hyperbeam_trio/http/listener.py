"""Sockets, and the tasks of the connections that come in through them."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Sequence
from typing import Protocol

import trio

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.draining import open_draining_nursery
from hyperbeam_trio.http.response import busy
from hyperbeam_trio.http.socket_stream import SocketStream
from hyperbeam_trio.http.traffic import Traffic
from hyperbeam_trio.http.wire import encode_last_words

log = logging.getLogger("hyperbeam_trio.http")

BACKLOG = 4096
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_SECONDS = 0.1

Address = tuple[str, int]


class Door(Protocol):
    """What serves connections once they are let in."""

    async def serve_connection(self, stream: SocketStream, peer: Address | None) -> None:
        """Serve one connection to its end; the caller closes the stream."""
        ...

    async def drain(self) -> None:
        """The server stops: end connections as soon as is polite."""
        ...


async def open_sockets(host: str | None, port: int) -> list[socket.socket]:
    """Listen on `port` (0: any free one) of `host` (`None`: all interfaces)."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"The port is {port}; it must be between 0 and 65535.")
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"The node can't listen on {host or '*'} port {port}: {reason}. "
            "Choose another host or port, or stop what uses it."
        ) from error
    return [socket.socket(fileno=listener.socket.detach()) for listener in listeners]


def addresses(sockets: Sequence[socket.socket]) -> list[Address]:
    """Host and port that each socket is bound to."""
    return [sock.getsockname()[:2] for sock in sockets]


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


class Listener:
    """Accepts connections and gives each a task; no fault of one of them gets out."""

    def __init__(self, door: Door, traffic: Traffic) -> None:
        self._door = door
        self._traffic = traffic

    async def run(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until cancelled; then let requests in flight finish within the grace."""
        try:
            async with open_draining_nursery(self._traffic.limits.grace_seconds) as connections:
                try:
                    await self._accept_all(sockets, connections)
                finally:
                    with trio.CancelScope(shield=True):
                        await self._stop(sockets)
        finally:
            # Also where a cancellation came before the first connection could.
            _close(sockets)

    async def _accept_all(
        self, sockets: Sequence[socket.socket], connections: trio.Nursery
    ) -> None:
        async with trio.open_nursery() as accepting:
            for sock in sockets:
                sock.setblocking(False)
                accepting.start_soon(self._accept, sock, connections)

    async def _stop(self, sockets: Sequence[socket.socket]) -> None:
        _close(sockets)
        self._traffic.drain()
        await self._door.drain()

    async def _accept(self, sock: socket.socket, connections: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                # One at a time, so that processes that share the socket share the connections.
                connections.start_soon(self._run_connection, *sock.accept())
            except BlockingIOError:
                continue
            except OSError as error:
                await self._endure(error)

    async def _endure(self, error: OSError) -> None:
        if error.errno in EXHAUSTED:
            log.error("can't accept connections for now: %s", error)
            await trio.sleep(EXHAUSTED_SECONDS)

    async def _run_connection(self, sock: socket.socket, address: object) -> None:
        stream = SocketStream(sock)
        try:
            await self._admit(stream, address)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError):
            log.debug("a connection broke", exc_info=True)
        except* Exception:
            log.exception("a connection failed")
        finally:
            stream.close()

    async def _admit(self, stream: SocketStream, address: object) -> None:
        # A Unix socket's peer has no address.
        peer = (str(address[0]), int(address[1])) if isinstance(address, tuple) else None
        name = peer[0] if peer else ""
        reason = self._traffic.enter(name)
        if reason is not None:
            response = busy(self._traffic.limits.retry_after, reason)
            with trio.move_on_after(1):
                await stream.send_all(encode_last_words(response))
            return
        try:
            if peer:
                stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._door.serve_connection(stream, peer)
        finally:
            self._traffic.leave(name)
