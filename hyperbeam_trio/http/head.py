"""The head of an HTTP/1 request: bytes to a `Head`, or a refusal (RFC 9112 §2, §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hyperbeam_trio.http.fields import Fields, parse_fields
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.request import refuse_target
from hyperbeam_trio.http.response import Refused, bad

HEAD_END = b"\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
"""What a client that knows HTTP/2 sends first, up to its first empty line (RFC 9113 §3.4)."""

_match_line = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n").match
_match_line_start = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: (?:[!-~]+(?: .*)?)?)?").fullmatch
_is_method = re.compile(r"[A-Z][A-Z-]{0,31}").fullmatch
_find_bare = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0").search
_VERSIONS = {b"1.1": "1.1", b"1.0": "1.0"}


@dataclass(slots=True)
class Head:
    """A request's head; `version` is "1.0" or "1.1"."""

    method: str
    target: bytes
    version: str
    fields: Fields


def parse_head(data: bytes, limits: Limits) -> Head:
    """The head that is `data`, with its empty line; raises `Refused`."""
    line = _match_line(data)
    if line is None:
        raise bad("The request line is malformed.")
    method, target, number = line.groups()
    version = _VERSIONS.get(number)
    if version is None:
        raise bad("The HTTP version is neither 1.0 nor 1.1.", 505)
    head = Head(method.decode(), target, version, parse_fields(data[line.end() :], version))
    _check(head, limits)
    return head


def _check(head: Head, limits: Limits) -> None:
    if _is_method(head.method) is None:
        raise bad("The method is unknown.", 501)
    refused = refuse_target(head.method, head.target)
    if refused is not None:
        raise Refused(refused)
    if len(head.fields.headers) > limits.header_count:
        raise bad(f"The request has more than {limits.header_count} headers.", 431)
    if head.fields.length > limits.body_bytes:
        raise bad(f"The body is longer than {limits.body_bytes} bytes.", 413)


class HeadBuffer:
    """A head that arrives in pieces; it is refused as soon as it can't become a good one."""

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.head_bytes
        self._data = bytearray()
        self._in_line = True

    def feed(self, piece: bytes) -> tuple[bytes, bytes] | None:
        """The head and what came after it, once there is all of it; raises `Refused`."""
        seen = len(self._data)
        self._data += piece
        if self._data[:1] == b"\r":
            seen = 0
            while self._data.startswith(b"\r\n"):
                del self._data[:2]
        if not seen:
            self._begin()
        found = self._data.find(HEAD_END, max(0, seen - 3))
        end = found + len(HEAD_END) if found >= 0 else len(self._data)
        self._check(seen, end)
        if end > self._limit:
            raise self._too_long()
        if found < 0:
            return None
        return bytes(self._data[:end]), bytes(self._data[end:])

    def _begin(self) -> None:
        if self._data and b"\r" not in self._data and not _match_line_start(self._data):
            raise bad("The request line is malformed.")

    def _check(self, seen: int, end: int) -> None:
        start = max(0, seen - 1)
        if _find_bare(self._data, start, end) is not None:
            raise bad("The request has a bare CR, a bare LF or a zero byte in its head.")
        if self._in_line and self._data.find(b"\r\n", start, end) >= 0:
            self._in_line = False
            if not self._data.startswith(PREFACE[:16]) and _match_line(self._data) is None:
                raise bad("The request line is malformed.")

    def _too_long(self) -> Refused:
        if self._in_line:
            return bad(f"The request line is longer than {self._limit} bytes.", 414)
        return bad(f"The request's head is longer than {self._limit} bytes.", 431)

    def __bool__(self) -> bool:
        return bool(self._data)
