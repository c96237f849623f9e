"""A request to another server, checked and as bytes, and what a redirection makes of it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol
from urllib.parse import urljoin

from hyperbeam_trio import __version__
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.http.origin import Origin, parse_url

Redirects = Literal["none", "same-server", "anywhere"]
"""Where redirections are followed to; others are given to the caller as they are."""

PIECE_BYTES: Final = 64 * 1024
"""A body goes out in pieces of this size, each of which has its own time to be taken."""

_FRAMING: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te"}
    | {b"upgrade", b"expect", b"trailer", b"proxy-connection"}
)
_SECRETS: Final = frozenset({b"authorization", b"cookie"})
_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD: Final = frozenset({307, 308})
_AGENT: Final = (b"user-agent", f"hyperbeam-trio/{__version__}".encode())
_is_token = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_find_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


class SentBody(Protocol):
    """A body that is not held in memory: read anew each time that it is sent."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of them, in parts; what this raises ends the request, and the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be sent; `max_body` is the most bytes that its answer's body may have."""

    method: str
    url: str
    origin: Origin
    target: bytes
    headers: Sequence[Header]
    body: bytes | SentBody
    allow_private: bool
    max_body: int

    @classmethod
    def of(
        cls,
        method: str,
        url: str,
        headers: Iterable[Header],
        body: bytes | SentBody,
        allow_private: bool,
        max_body: int,
    ) -> Call:
        """A call; `BadRequest` for what can't be sent. Headers of the connection are left out."""
        origin, target = parse_url(url)
        if _is_token(method.encode()) is None:
            raise BadRequest(f"{method[:40]!r} is no HTTP method.")
        checked = _checked(headers)
        return cls(method, url, origin, target, checked, body, allow_private, max_body)

    @property
    def place(self) -> str:
        """What is asked, for errors and logs; queries may hold secrets and are left out."""
        path = self.target.partition(b"?")[0].decode()
        return f"{self.method} {self.origin}{path:.200}"

    @property
    def repeatable(self) -> bool:
        """Whether asking twice does no more than asking once."""
        return self.method in _REPEATABLE

    async def parts(self) -> AsyncGenerator[bytes | memoryview, None]:
        """The bytes to send, in pieces."""
        head, body = self._head(), self.body
        if not isinstance(body, bytes):
            yield head
            async with aclosing(body.pieces()) as pieces:
                async for piece in pieces:
                    for part in _cut(piece):
                        yield part
        elif len(body) <= PIECE_BYTES:
            yield head + body
        else:
            yield head
            for part in _cut(body):
                yield part

    def moved(self, status: int, location: bytes | None, redirects: Redirects) -> Call | None:
        """The call that a redirection asks for; `None` if it is none, or may not be followed.

        Another server gets no secrets, and nothing but its address decides whether it is asked.
        """
        if status not in _MOVED or location is None or redirects == "none":
            return None
        url = urljoin(self.url, location.decode("latin-1"))
        origin, target = parse_url(url)
        if origin == self.origin:
            call = replace(self, url=url, target=target)
        elif redirects == "anywhere":
            kept = [header for header in self.headers if header[0] not in _SECRETS]
            call = replace(
                self, url=url, origin=origin, target=target, headers=kept, allow_private=False
            )
        else:
            return None
        if status in _SAME_METHOD or self.method == "HEAD":
            return call
        return replace(call, method="GET", body=b"")

    def _head(self) -> bytes:
        lines = [
            b"%s %s HTTP/1.1" % (self.method.encode(), self.target),
            b"host: " + self.origin.authority.encode(),
            *[name + b": " + value for name, value in self.headers],
        ]
        size = len(self.body) if isinstance(self.body, bytes) else self.body.size
        if size or self.method not in _BODILESS:
            lines.append(b"content-length: %d" % size)
        return b"\r\n".join([*lines, b"", b""])


def _cut(body: bytes) -> Iterable[memoryview]:
    rest = memoryview(body)
    return (rest[start : start + PIECE_BYTES] for start in range(0, len(body), PIECE_BYTES))


def first(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The value of the first header of this name."""
    return next((value for found, value in headers if found == name), None)


def _checked(headers: Iterable[Header]) -> list[Header]:
    """Headers that can be sent, without those that belong to the connection."""
    sent = []
    for given, value in headers:
        name = given.lower()
        if _is_token(name) is None or _find_control(value):
            raise BadRequest(f"The header {name[:80]!r} can't be sent: {value[:80]!r}.")
        if name not in _FRAMING:
            sent.append((name, value))
    if first(sent, b"user-agent") is None:
        sent.append(_AGENT)
    return sent
