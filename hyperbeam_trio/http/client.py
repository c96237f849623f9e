"""The node's HTTP client: one for its life, bounded in everything (spec/07 §6, spec/09 §6).

    async with HttpClient() as client:
        answer = await client.request("GET", "https://arweave.net/info")

Only public addresses are reached unless the caller says `allow_private`, as for URLs that the
operator wrote, or the operator lists the host. Redirects are followed on the same server only.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

import trio

from hyperbeam_trio.errors import DeadlineExceeded, RemoteError
from hyperbeam_trio.http.addresses import AddressPolicy
from hyperbeam_trio.http.answer_reader import AnswerReader
from hyperbeam_trio.http.call import Call, Redirects, SentBody, first
from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.http.pool import Connection, ConnectionPool, PoolStatistics, Unreachable
from hyperbeam_trio.metrics import Exchanges

if TYPE_CHECKING:
    from hyperbeam_trio.config import NodeConfig

log = logging.getLogger("hyperbeam_trio.http.client")

REDIRECTS: Final = 5


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How long and how much. Times in seconds, sizes in bytes.

    `connect`: until a connection is there; `send`: until the peer takes the next bytes; `silence`:
    until the next bytes come; `total`: for everything, redirects and repetitions included.
    """

    connect: float = 5.0
    send: float = 30.0
    silence: float = inf
    total: float = 300.0
    idle: float = 120.0
    connections: int = 256
    max_body: int = 64 << 20
    retries: int = 0
    retry_pause: float = 1.0
    retry_doubles: bool = True
    retry_statuses: frozenset[int] = frozenset()
    allowed: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: NodeConfig) -> ClientSettings:
        """The settings that a node's options describe."""
        return cls(
            connect=config.http_client_connect_timeout / 1000,
            total=config.http_client_send_timeout / 1000,
            idle=config.http_client_keepalive / 1000,
            connections=config.http_client_connections,
            max_body=config.http_client_max_body,
            retries=config.http_retry,
            retry_pause=config.http_retry_time / 1000,
            retry_doubles=config.http_retry_mode == "backoff",
            retry_statuses=frozenset(config.http_retry_response),
            allowed=tuple(config.http_allow_private),
        )


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """An answer: its status, headers with lower-case names in wire order, body, final URL."""

    status: int
    headers: Sequence[Header]
    body: bytes
    url: str

    def header(self, name: bytes) -> bytes | None:
        """The first header of this name."""
        return first(self.headers, name)


class _Lost(RemoteError):
    """The connection broke; `unheard`: it was an old one, and no byte of an answer came."""

    unheard = False


class StreamedResponse:
    """An answer whose body is still coming; read it with `chunks` or `read`."""

    def __init__(
        self, call: Call, connection: Connection, reader: AnswerReader, settings: ClientSettings
    ) -> None:
        self.status = reader.status
        self.headers: Sequence[Header] = reader.headers
        self.url = call.url
        self._call = call
        self._connection = connection
        self._reader = reader
        self._settings = settings

    def header(self, name: bytes) -> bytes | None:
        """The first header of this name."""
        return first(self.headers, name)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in parts; `RemoteError` beyond the limit, or when the connection breaks."""
        reader, left = self._reader, self._call.max_body
        if (reader.length or 0) > left and self._call.method != "HEAD":
            raise self._too_long()
        while True:
            part = reader.take()
            left -= len(part)
            if left < 0:
                raise self._too_long()
            if part:
                yield part
            elif reader.done:
                return
            else:
                await _receive(self._call, self._connection, reader, self._settings)

    async def read(self) -> bytes:
        """The whole body."""
        parts = [part async for part in self.chunks()]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_long(self) -> RemoteError:
        limit = self._call.max_body
        return RemoteError(f"{self._call.place}: the answer is longer than {limit} bytes.")


class HttpClient:
    """Asks other servers. All methods may be called from many tasks at once.

    Errors: `BadRequest` for a URL or header that can't be sent, `Forbidden` for an address that
    is not public, `Busy`, `RemoteError` (502) and `DeadlineExceeded` (504). `exchanges` counts.
    """

    def __init__(
        self, settings: ClientSettings | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.exchanges = Exchanges()
        self._settings = settings or ClientSettings()
        policy = AddressPolicy(self._settings.allowed)
        self._pool = ConnectionPool(self._settings.connections, policy, tls)
        self.configure(self._settings)

    def configure(self, settings: ClientSettings) -> None:
        """Change the settings, for new connections and requests; the pool's size stays."""
        self._settings = settings
        self._pool.policy = AddressPolicy(settings.allowed)
        self._pool.connect_seconds = settings.connect
        self._pool.idle_seconds = settings.idle

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; requests that are under way may end."""
        self._pool.close()

    def statistics(self) -> PoolStatistics:
        """Connections and requests that wait for one."""
        return self._pool.statistics()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[Header] = (),
        body: bytes | SentBody = b"",
        deadline: float | None = None,
        max_body: int | None = None,
        allow_private: bool = False,
        redirects: Redirects = "same-server",
    ) -> ClientResponse:
        """Ask, and read the whole answer; `deadline` in seconds and `max_body` in bytes.

        Sent again as the settings say, if the method may be repeated or nothing was sent.
        """
        limit = self._settings.max_body if max_body is None else max_body
        call = Call.of(method, url, headers, body, allow_private, limit)
        settings = self._settings
        pauses = _pauses(settings)
        with _within(call, settings.total if deadline is None else deadline):
            while True:
                pause = next(pauses, None)
                try:
                    async with self._follow(call, redirects) as streamed:
                        content = await streamed.read()
                        answer = ClientResponse(
                            streamed.status, streamed.headers, content, streamed.url
                        )
                    if pause is None or answer.status not in settings.retry_statuses:
                        return answer
                except (RemoteError, DeadlineExceeded) as error:
                    if pause is None or not _is_repeatable(call, error):
                        raise
                await trio.sleep(pause)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[Header] = (),
        body: bytes | SentBody = b"",
        deadline: float | None = None,
        max_body: int | None = None,
        allow_private: bool = False,
        redirects: Redirects = "same-server",
    ) -> AsyncIterator[StreamedResponse]:
        """`async with client.stream(...) as answer`: its body in parts, in constant memory.

        Parameters as for `request`; it is not sent again once there is an answer.
        """
        limit = self._settings.max_body if max_body is None else max_body
        call = Call.of(method, url, headers, body, allow_private, limit)
        with _within(call, self._settings.total if deadline is None else deadline):
            async with self._follow(call, redirects) as streamed:
                yield streamed

    @asynccontextmanager
    async def _follow(self, call: Call, redirects: Redirects) -> AsyncIterator[StreamedResponse]:
        for _ in range(REDIRECTS + 1):
            async with self._repeat(call) as streamed:
                moved = call.moved(streamed.status, streamed.header(b"location"), redirects)
                if moved is None:
                    yield streamed
                    return
            call = moved
        raise RemoteError(f"{call.place}: it redirects more than {REDIRECTS} times.")

    @asynccontextmanager
    async def _repeat(self, call: Call) -> AsyncIterator[StreamedResponse]:
        """The answer to one exchange; once more if an idle connection turns out to be gone."""
        asked = False
        try:
            async with self._exchange(call, fresh=False) as streamed:
                asked = True
                yield streamed
                return
        except _Lost as lost:
            if asked or not lost.unheard or not call.repeatable:
                raise
        async with self._exchange(call, fresh=True) as streamed:
            yield streamed

    @asynccontextmanager
    async def _exchange(self, call: Call, *, fresh: bool) -> AsyncIterator[StreamedResponse]:
        guarded = not call.allow_private
        async with self._pool.use(call.origin, guarded=guarded, fresh=fresh) as connection:
            reader, begun = AnswerReader(call.method), monotonic()
            try:
                sent, whole = await _send(call, connection, self._settings)
                self.exchanges.uploaded += sent
                while not reader.has_head:
                    await _receive(call, connection, reader, self._settings)
                log.debug("%s %d", call.place, reader.status)
                yield StreamedResponse(call, connection, reader, self._settings)
            finally:
                self.exchanges.downloaded += reader.received
                if reader.has_head:
                    self.exchanges.add(call.method, reader.status, monotonic() - begun)
            if whole and reader.is_clean():
                self._pool.keep(connection)


async def _send(call: Call, connection: Connection, settings: ClientSettings) -> tuple[int, bool]:
    """Send a request; how many of its bytes were taken, and whether those are all.

    A peer that has enough of it may answer before; then what it says is what counts.
    """
    sent = 0
    try:
        async with aclosing(call.parts()) as parts:
            async for part in parts:
                with trio.fail_after(settings.send):
                    await connection.stream.send_all(part)
                sent += len(part)
    except trio.TooSlowError:
        if not connection.has_word():
            raise DeadlineExceeded(f"{call.place}: the request is not taken.") from None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        log.debug("%s: the connection broke, perhaps after an answer that says why", call.place)
    else:
        return sent, True
    return sent, False


async def _receive(
    call: Call, connection: Connection, reader: AnswerReader, settings: ClientSettings
) -> None:
    try:
        with trio.fail_after(settings.silence):
            data = bytes(await connection.stream.receive_some())
        reader.feed(data)
    except trio.TooSlowError:
        raise DeadlineExceeded(f"{call.place}: no byte in {settings.silence:g} s.") from None
    except (trio.BrokenResourceError, RemoteError) as error:
        lost = _Lost(f"{call.place}: {error}")
        lost.unheard = connection.reused and not reader.begun
        raise lost from error


def _is_repeatable(call: Call, error: Exception) -> bool:
    return call.repeatable or isinstance(error, Unreachable)


def _pauses(settings: ClientSettings) -> Iterator[float]:
    pause = settings.retry_pause
    for _ in range(settings.retries):
        yield pause
        pause *= 2 if settings.retry_doubles else 1


@contextmanager
def _within(call: Call, seconds: float) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise DeadlineExceeded(f"{call.place}: no answer within {seconds:g} s.") from None
