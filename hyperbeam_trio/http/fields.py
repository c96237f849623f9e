"""The fields of an HTTP/1 head, and what they say about its body (RFC 9112 §5, §6, RFC 9110).

llhttp judges them. What it lets pass and we don't: a body in codings that we can't undo, strange
hosts, unknown expectations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import httptools

from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.http.request import refuse_host
from hyperbeam_trio.http.response import Refused, bad

CHUNKED = -1

KEPT_BYTES = 1024
"""Field blocks up to this size are remembered: a client tends to repeat its own to the letter."""

_PROBE = {"1.0": b"GET / HTTP/1.0\r\n", "1.1": b"GET / HTTP/1.1\r\n"}
_split_tokens = re.compile(rb"[\t ]*,[\t ]*").split
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_SPECIAL = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"transfer-encoding", b"upgrade"}
)


@dataclass(frozen=True, slots=True)
class Fields:
    """A head's fields. `length` is the body's, or `CHUNKED`; `upgrade` lower-case or empty."""

    headers: tuple[Header, ...]
    length: int
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes


class _Collector:
    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[Header] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def parse_fields(block: bytes, version: str) -> Fields:
    """The fields in `block`, which ends with an empty line; raises `Refused`."""
    return (_kept_fields if len(block) <= KEPT_BYTES else _parse_fields)(block, version)


def _parse_fields(block: bytes, version: str) -> Fields:
    headers = _collect(_PROBE[version] + block)
    special: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SPECIAL:
            special[name] = _join(name, special[name], value) if name in special else value
    old = version == "1.0"
    _check_host(special.get(b"host"), old)
    tokens = _split_tokens(special.get(b"connection", b"").lower())
    return Fields(
        headers=tuple(headers),
        length=_to_length(special, old),
        keep_alive=b"close" not in tokens and (not old or b"keep-alive" in tokens),
        expects_continue=_expects_continue(special.get(b"expect"), old),
        upgrade=special.get(b"upgrade", b"").lower() if b"upgrade" in tokens else b"",
    )


_kept_fields = lru_cache(maxsize=256)(_parse_fields)


def _collect(head: bytes) -> list[Header]:
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise bad(f"The request is malformed: {error}.") from None
    return collector.headers


def _join(name: bytes, first: bytes, second: bytes) -> bytes:
    if name == b"host" or name == b"content-length":
        raise bad(f"The request has several {name.decode()} headers.")
    return first + b"," + second


def _check_host(host: bytes | None, old: bool) -> None:
    refused = None if host is None else refuse_host(host)
    if refused is not None:
        raise Refused(refused)
    if host is None and not old:
        raise bad("The request has no host header.")


def _to_length(special: dict[bytes, bytes], old: bool) -> int:
    coding, length = special.get(b"transfer-encoding"), special.get(b"content-length")
    if coding is None:
        if length is not None and _is_length(length) is None:
            raise bad("The content-length is not a number.")
        return int(length or 0)
    if length is not None or old:
        raise bad("The request has a transfer-encoding where it must not.")
    if coding.lower() != b"chunked":
        raise bad("The only transfer-encoding that the node knows is chunked.", 501)
    return CHUNKED


def _expects_continue(expectation: bytes | None, old: bool) -> bool:
    if expectation is None or old:
        return False
    if expectation.lower() != b"100-continue":
        raise bad("The only expectation that the node meets is 100-continue.", 417)
    return True
