"""One connection in hypercorn's hands (spec/09 §2.3, §2.5, §2.6).

hypercorn's `TCPServer` and its contexts are internals; the version is pinned in pyproject.toml.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework

from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.socket_stream import READ_BYTES

log = logging.getLogger("hyperbeam_trio.http")

_UNBOUNDED = 1 << 62


class _Answered:
    """Stands for a stream that has been answered: what still comes on it is dropped."""

    async def handle(self, event: StreamEvent) -> None:
        """Take the next event."""


class _Streams(dict[int, Any]):
    """The streams of a connection by number.

    hypercorn forgets a stream with the end of the answer, and would let the whole connection fail
    at data that the peer had sent before it knew.
    """

    def __missing__(self, number: int) -> _Answered:
        return _Answered()


class _Server(TCPServer):
    _gone = False

    async def protocol_send(self, event: Event) -> None:
        # h2 sizes its header decoder before hypercorn tells it the limit. Its first send, the
        # settings frame, comes before any header is decoded.
        protocol = self.protocol.protocol
        if isinstance(protocol, H2Protocol):
            decoder = protocol.connection.decoder
            decoder.max_header_list_size = self.config.h2_max_header_list_size
            if not isinstance(protocol.streams, _Streams):
                protocol.streams = _Streams(protocol.streams)
        if not (self._gone and isinstance(event, Updated)):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        data: bytes = b"?"
        while data and not self._has_refused():
            try:
                data = bytes(await self.stream.receive_some(READ_BYTES))
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            await self.protocol.handle(RawData(data))
        self._gone = True
        await self.protocol.handle(Closed())
        # hypercorn would keep a connection that its peer has closed until it is no longer idle.
        await self.idle_task.stop()

    def _has_refused(self) -> bool:
        # hypercorn says `connection: close` to a bad websocket handshake, and then does not.
        protocol = self.protocol.protocol
        stream = protocol.stream if isinstance(protocol, H11Protocol) else None
        return isinstance(stream, WSStream) and stream.closed


class Hypercorn:
    """Serves single connections with hypercorn; a fault ends its own connection only."""

    def __init__(self, app: Any, limits: Limits) -> None:
        self._app = ASGIWrapper(cast(ASGIFramework, app))
        self._config = to_config(limits)
        self._context = WorkerContext(None)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve what comes over `stream`, a `DoorStream` or a `trio.SSLStream` over one."""
        try:
            await _Server(self._app, self._config, self._context, {}, cast(Any, stream)).run()
        except* Exception as errors:
            # No traceback: what a peer can cause at will must not fill the log.
            log.warning("a connection failed in hypercorn: %r", errors.exceptions)

    async def drain(self) -> None:
        """Let idle connections end, and the others after the answer that they are at."""
        await self._context.terminated.set()


def to_config(limits: Limits) -> Config:
    """hypercorn's settings with limits that fit this protocol."""
    config = Config()
    config.h11_max_incomplete_size = limits.head_bytes
    config.h2_max_header_list_size = limits.head_bytes
    config.keep_alive_max_requests = _UNBOUNDED
    config.keep_alive_timeout = limits.idle_seconds
    config.graceful_timeout = limits.grace_seconds
    config.ssl_handshake_timeout = limits.handshake_seconds
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = None  # it tells peers' faults as ours; our own faults are logged nearer
    return config
