"""Byte sequences that a door must survive, with the answers it must give.

`answers` are the statuses of the responses, in order. `then` says what follows: the connection is
`closed`; it is `open` for another request; the door `waits` for more bytes; or it is closed and
the answers may be `lost` on the way. Where hypercorn answers otherwise, `hypercorn` tells how and
`why` that is no fault. Whatever is sent, no request for a target with `smuggled`
in it may reach the handler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Then = Literal["open", "closed", "waits", "lost"]
Answer = tuple[tuple[int, ...], Then]


@dataclass(frozen=True)
class Case:
    """One sequence; `eof` shuts the sending side after it."""

    name: str
    data: bytes
    answers: tuple[int, ...]
    then: Then = "closed"
    hypercorn: Answer | None = None
    why: str = ""
    eof: bool = False


def head(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([start, b"Host: a", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return head(*lines, start=b"POST / HTTP/1.1") + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


FOLDED: Answer = ((200,), "open")
UNFOLDED = "RFC 9112 §5.2 lets a server put a space where a fold was"
LOST: Answer = ((), "lost")
EARLY = "hypercorn closes without reading on, so that our answer can be lost"
UNKNOWN_CODING: Answer = ((501,), "closed")
SHOULD_501 = "RFC 9112 §6.1: 501 for a coding that is not known"
IGNORED = "h11 skips extensions unread; where they end is not in doubt"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
OK = (200,)
BAD = (400,)
