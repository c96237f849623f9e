"""Connections to other servers: bounded, kept while they are of use, checked before use."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import trio

from hyperbeam_trio.errors import Busy, RemoteError
from hyperbeam_trio.http.addresses import Address, AddressPolicy, resolve
from hyperbeam_trio.http.origin import Origin
from hyperbeam_trio.http.socket_stream import SocketStream

WAITING: Final = 1024
"""Requests that may wait for a connection; more are `Busy`."""
_FIRST_TRIES: Final = 2.0
"""Seconds for each address of a host but the last."""

_Place = tuple[Origin, bool]


class Unreachable(RemoteError):
    """No connection came about, so nothing was asked."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Connections that are open, those of them that are idle, and requests that wait for one."""

    open: int
    idle: int
    waiting: int


class Connection:
    """One connection; `idle` while nobody uses it, `reused` if it carried an exchange before."""

    __slots__ = ("idle", "idle_since", "place", "reused", "socket", "stream")

    def __init__(self, place: _Place, sock: SocketStream, stream: trio.abc.Stream) -> None:
        self.place = place
        self.socket = sock
        self.stream = stream
        self.reused = False
        self.idle = False
        self.idle_since = 0.0

    def is_alive(self) -> bool:
        """Whether an idle connection is as it was left: the peer neither closed nor spoke."""
        try:
            ahead = self.socket.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        # Over TLS a peer may send session tickets at any time.
        return bool(ahead) and self.stream is not self.socket

    def has_word(self) -> bool:
        """Whether something that the peer said waits to be read."""
        try:
            return bool(self.socket.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def close(self) -> None:
        """Close at once, without a farewell."""
        self.socket.close()


class ConnectionPool:
    """At most `limit` connections at once, idle ones included; `policy` judges addresses.

    Connections that were made with `guarded` (by the policy) and without are kept apart.
    """

    def __init__(
        self, limit: int, policy: AddressPolicy, tls: ssl.SSLContext | None = None
    ) -> None:
        self.policy = policy
        self.connect_seconds = 5.0
        self.idle_seconds = 120.0
        self._limit = limit
        self._slots = trio.Semaphore(limit)
        self._idle: dict[_Place, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._tls = tls
        self._closed = False

    @asynccontextmanager
    async def use(self, origin: Origin, *, guarded: bool, fresh: bool) -> AsyncIterator[Connection]:
        """A connection for one exchange, a new one if `fresh`; closed unless `keep` is called.

        Raises `Unreachable`, `Forbidden` for an address that the policy refuses, and `Busy`.
        """
        if self._slots.statistics().tasks_waiting >= WAITING:
            raise Busy(f"{WAITING} requests wait for one of {self._limit} connections.")
        async with self._slots:
            place = (origin, guarded)
            connection = None if fresh else self._take(place)
            if connection is None:
                connection = await self._connect(place)
            try:
                yield connection
            finally:
                if not connection.idle:
                    self._drop(connection)

    def keep(self, connection: Connection) -> None:
        """Let others use a connection whose exchange is complete."""
        self._expire()
        if not self._closed:
            connection.reused = connection.idle = True
            connection.idle_since = trio.current_time()
            self._idle.setdefault(connection.place, []).append(connection)

    def statistics(self) -> PoolStatistics:
        """What the pool holds now."""
        idle = sum(map(len, self._idle.values()))
        return PoolStatistics(len(self._open), idle, self._slots.statistics().tasks_waiting)

    def close(self) -> None:
        """Close what is idle now and the rest after its exchange."""
        self._closed = True
        for connection in [c for kept in self._idle.values() for c in kept]:
            self._drop(connection)
        self._idle.clear()

    def _take(self, place: _Place) -> Connection | None:
        self._expire()
        kept = self._idle.get(place, [])
        found = None
        while kept and found is None:
            # The newest one is the least likely to have been closed meanwhile.
            connection = kept.pop()
            if connection.is_alive():
                found = connection
                found.idle = False
            else:
                self._drop(connection)
        if not kept:
            self._idle.pop(place, None)
        return found

    def _expire(self) -> None:
        """Close connections that are idle for too long."""
        oldest = trio.current_time() - self.idle_seconds
        for place, kept in list(self._idle.items()):
            while kept and kept[0].idle_since < oldest:
                self._drop(kept.pop(0))
            if not kept:
                del self._idle[place]

    def _make_room(self) -> None:
        """Close the longest idle connections where a new one would be too many."""
        while len(self._open) >= self._limit and self._idle:
            place = min(self._idle, key=lambda place: self._idle[place][0].idle_since)
            self._drop(self._idle[place].pop(0))
            if not self._idle[place]:
                del self._idle[place]

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def _connect(self, place: _Place) -> Connection:
        origin, guarded = place
        if self._closed:
            raise Unreachable("The node's HTTP client is closed.")
        try:
            with trio.fail_after(self.connect_seconds):
                return await self._open_connection(place, await self._judged(origin, guarded))
        except trio.TooSlowError:
            raise Unreachable(
                f"{origin} did not accept a connection within {self.connect_seconds:g} s.",
                status=504,
            ) from None

    async def _judged(self, origin: Origin, guarded: bool) -> list[Address]:
        try:
            addresses = await resolve(origin.host, origin.port)
        except RemoteError as error:
            raise Unreachable(str(error)) from error
        if guarded:
            self.policy.check(origin.host, addresses)
        return addresses

    async def _open_connection(self, place: _Place, addresses: Sequence[Address]) -> Connection:
        origin = place[0]
        raw = await _dial(origin, addresses)
        try:
            stream = raw if origin.scheme == "http" else await self._agree_tls(origin, raw)
        except BaseException:
            raw.close()
            raise
        self._make_room()
        connection = Connection(place, raw, stream)
        self._open.add(connection)
        return connection

    async def _agree_tls(self, origin: Origin, raw: SocketStream) -> trio.abc.Stream:
        if self._tls is None:
            # Reads some hundred certificates, so it is made once and only if needed.
            self._tls = await trio.to_thread.run_sync(ssl.create_default_context)
        stream = trio.SSLStream(raw, self._tls, server_hostname=origin.host, https_compatible=True)
        try:
            await stream.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as error:
            reason = error.__cause__ or error
            raise Unreachable(f"{origin} does not agree on TLS: {reason}.") from error
        return stream


async def _dial(origin: Origin, addresses: Sequence[Address]) -> SocketStream:
    """A connection to the first address that takes one."""
    reason = "it has no address"
    for number, address in enumerate(addresses, 1):
        limit = _FIRST_TRIES if number < len(addresses) else float("inf")
        try:
            with trio.fail_after(limit):
                return await _dial_one(address)
        except trio.TooSlowError:
            reason = "no answer"
        except OSError as error:
            reason = error.strerror or str(error)
    raise Unreachable(f"{origin} can't be reached: {reason}.")


async def _dial_one(address: Address) -> SocketStream:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex(address.sockaddr)
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)
