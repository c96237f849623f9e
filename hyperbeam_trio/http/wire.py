"""HTTP/1.1 responses as bytes (RFC 9112 §4, §6, §7)."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time

from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.response import whole_body

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b" % (status, status.phrase.encode()) for status in HTTPStatus
}


@lru_cache(maxsize=2)
def _date_line(second: int) -> bytes:
    return b"date: %b" % formatdate(second, usegmt=True).encode()


def encode_head(status: int, headers: Iterable[Header], framing: bytes) -> bytes:
    """A response head; `framing` is the lines about length and connection, each with its end."""
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status]
    lines += map(b": ".join, headers)
    lines += (_date_line(int(time())), framing, b"")
    return b"\r\n".join(lines)


def encode_chunk(part: bytes) -> bytes:
    """One chunk of a body; `part` must not be empty, for that would be the end."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def encode_last_words(response: HttpResponse) -> bytes:
    """A whole response with a body of bytes, after which the connection is closed."""
    body = whole_body(response)
    framing = b"content-length: %d\r\nconnection: close\r\n" % len(body)
    return encode_head(response.status, response.headers, framing) + body
