"""Heads of HTTP/1 requests: what is read from them, and how large ones are gathered."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.http.fields import CHUNKED
from hyperbeam_trio.http.head import Head, HeadBuffer, parse_head
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.response import Refused

LIMITS = Limits()


def parse(*lines: str, start: str = "POST /a?b HTTP/1.1") -> Head:
    return parse_head("\r\n".join([start, "Host: a", *lines, "", ""]).encode("latin-1"), LIMITS)


def test_names_are_lower_case_and_values_have_no_white_space_around() -> None:
    head = parse("X-Y: \t a b \t", "x-Y:c")
    assert head.fields.headers == ((b"host", b"a"), (b"x-y", b"a b"), (b"x-y", b"c"))
    assert (head.method, head.target, head.version) == ("POST", b"/a?b", "1.1")


@pytest.mark.parametrize(
    ("lines", "length"),
    [((), 0), (("Content-Length: 7",), 7), (("Transfer-Encoding: Chunked",), CHUNKED)],
)
def test_the_length_of_the_body(lines: tuple[str, ...], length: int) -> None:
    assert parse(*lines).fields.length == length


@pytest.mark.parametrize(
    ("version", "lines", "keep_alive"),
    [
        ("1.1", (), True),
        ("1.1", ("Connection: close",), False),
        ("1.1", ("Connection: x , CLOSE",), False),
        ("1.1", ("Connection: x", "Connection: close"), False),
        ("1.1", ("Connection: closed",), True),
        ("1.0", (), False),
        ("1.0", ("Connection: Keep-Alive",), True),
        ("1.0", ("Connection: keep-alive, close",), False),
    ],
)
def test_whether_the_connection_goes_on(
    version: str, lines: tuple[str, ...], keep_alive: bool
) -> None:
    assert parse(*lines, start=f"GET / HTTP/{version}").fields.keep_alive == keep_alive


def test_an_upgrade_needs_connection_to_name_it() -> None:
    assert parse("Upgrade: WebSocket").fields.upgrade == b""
    assert parse("Upgrade: WebSocket", "Connection: x, Upgrade").fields.upgrade == b"websocket"


def test_an_expectation_counts_in_version_1_1_only() -> None:
    assert parse("Expect: 100-Continue").fields.expects_continue
    assert not parse("Expect: 100-continue", start="POST / HTTP/1.0").fields.expects_continue


@given(st.binary(min_size=1, max_size=200))
def test_rubbish_is_refused_or_waited_for(data: bytes) -> None:
    with suppress(Refused):
        assert HeadBuffer(LIMITS).feed(data) is None


def test_a_head_in_many_pieces_is_gathered_with_what_follows() -> None:
    data = b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\nrest"
    buffer = HeadBuffer(LIMITS)
    for at in range(0, len(data), 1000):
        found = buffer.feed(data[at : at + 1000])
    assert found == (data[:-4], b"rest")


@pytest.mark.parametrize(("start", "status"), [(b"GET /", 414), (b"GET / HTTP/1.1\r\nX: ", 431)])
def test_a_head_beyond_the_limit_is_refused_while_it_comes(start: bytes, status: int) -> None:
    buffer = HeadBuffer(Limits(head_bytes=1000))
    assert buffer.feed(start) is None
    with pytest.raises(Refused) as caught:
        buffer.feed(b"a" * 1000)
    assert caught.value.response.status == status
