"""A request to another server, checked and as bytes, and what a redirection makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
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


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be sent; `max_body` is the most bytes that its answer's body may have."""

    method: str
    url: str
    origin: Origin
    target: bytes
    headers: Sequence[Header]
    body: bytes
    allow_private: bool
    max_body: int

    @classmethod
    def of(
        cls,
        method: str,
        url: str,
        headers: Iterable[Header],
        body: bytes,
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

    def parts(self) -> Iterator[bytes | memoryview]:
        """The bytes to send, in pieces."""
        head = self._head()
        if len(self.body) <= PIECE_BYTES:
            yield head + self.body
            return
        yield head
        rest = memoryview(self.body)
        for start in range(0, len(self.body), PIECE_BYTES):
            yield rest[start : start + PIECE_BYTES]

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
        if self.body or self.method not in _BODILESS:
            lines.append(b"content-length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", b""])


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
