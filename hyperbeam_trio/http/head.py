"""The head of an HTTP/1 request: bytes to a `Head`, or a refusal (RFC 9112 §2-§6, RFC 9110).

llhttp judges the fields. What it lets pass and we don't: other versions, several spaces in the
request line, targets with a fragment, a body in codings that we can't undo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.request import refuse_host, refuse_length, refuse_target
from hyperbeam_trio.http.response import refusal

HEAD_END = b"\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
"""What a client that knows HTTP/2 sends first, up to its first empty line (RFC 9113 §3.4)."""

CHUNKED = -1

_match_line = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/([0-9]\.[0-9])\r\n").match
_match_line_start = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: (?:[!-~]+(?: .*)?)?)?").fullmatch
_find_bare = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\0").search
_has_token = re.compile(rb"[\t ]*,[\t ]*").split
_SPECIAL = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"}
)
_VERSIONS = {b"1.1": "1.1", b"1.0": "1.0"}


class Refused(Exception):
    """A request that the door answers by itself, with `response`, and then closes."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status, response.body)
        self.response = response


def bad(text: str, status: int = 400) -> Refused:
    """A refusal with a status and a line of text."""
    return Refused(refusal(status, text))


@dataclass(slots=True)
class Head:
    """A request's head. `length` is the body's, or `CHUNKED`; `upgrade` lower-case or empty."""

    method: str
    target: bytes
    version: str
    headers: list[Header]
    length: int = 0
    keep_alive: bool = True
    expects_continue: bool = False
    upgrade: bytes = b""


class _Fields:
    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[Header] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def parse_head(data: bytes, limits: Limits) -> Head:
    """The head that is `data`, with its empty line; raises `Refused`."""
    line = _match_line(data)
    if line is None:
        raise bad("The request line is malformed.")
    method, target, version = line.groups()
    if version not in _VERSIONS:
        raise bad("The HTTP version is neither 1.0 nor 1.1.", 505)
    headers = _parse_fields(data)
    if len(headers) > limits.header_count:
        raise bad(f"The request has more than {limits.header_count} headers.", 431)
    head = Head(method.decode(), target, _VERSIONS[version], headers)
    _refuse(refuse_target(head.method, target))
    _apply_fields(head, limits)
    return head


def _parse_fields(data: bytes) -> list[Header]:
    fields = _Fields()
    try:
        httptools.HttpRequestParser(fields).feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserInvalidMethodError:
        raise bad("The method is unknown.", 501) from None
    except httptools.HttpParserError as error:
        raise bad(f"The request is malformed: {error}.") from None
    return fields.headers


def _apply_fields(head: Head, limits: Limits) -> None:
    special: dict[bytes, bytes] = {}
    for name, value in head.headers:
        if name in _SPECIAL:
            if name in special:
                value = _join(name, special[name], value)
            special[name] = value
    old = head.version == "1.0"
    if b"host" in special:
        _refuse(refuse_host(special[b"host"]))
    elif not old:
        raise bad("The request has no host header.")
    head.keep_alive = not old
    if len(special) > (b"host" in special):
        _apply_framing(head, special, limits)
        _apply_connection(head, special, old)


def _join(name: bytes, first: bytes, second: bytes) -> bytes:
    if name == b"host" or name == b"content-length":
        raise bad(f"The request has several {name.decode()} headers.")
    return first + b"," + second


def _apply_framing(head: Head, special: dict[bytes, bytes], limits: Limits) -> None:
    coding = special.get(b"transfer-encoding")
    length = special.get(b"content-length")
    if coding is not None:
        if length is not None or head.version == "1.0":
            raise bad("The request has a transfer-encoding where it must not.")
        if coding.lower() != b"chunked":
            raise bad("The only transfer-encoding that the node knows is chunked.", 501)
        head.length = CHUNKED
    elif length is not None:
        _refuse(refuse_length(length, limits))
        head.length = int(length)


def _apply_connection(head: Head, special: dict[bytes, bytes], old: bool) -> None:
    connection = special.get(b"connection")
    if connection is not None:
        tokens = _has_token(connection.lower())
        head.keep_alive = b"close" not in tokens and (not old or b"keep-alive" in tokens)
        if b"upgrade" in tokens:
            head.upgrade = special.get(b"upgrade", b"").lower()
    if b"expect" in special and not old:
        if special[b"expect"].lower() != b"100-continue":
            raise bad("The only expectation that the node meets is 100-continue.", 417)
        head.expects_continue = True


def _refuse(response: HttpResponse | None) -> None:
    if response is not None:
        raise Refused(response)


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
