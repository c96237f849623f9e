"""Responses as bytes, against h11's reading of them."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.errors import NodeError
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.http.response import FRAMING, refusal, sendable_headers
from hyperbeam_trio.http.wire import encode_head, encode_last_words

NAMES = st.text("abcxyz019-_.!", min_size=1, max_size=12).map(str.encode)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30).map(str.encode)


def read(data: bytes) -> h11.Response:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    connection.receive_data(data)
    response = connection.next_event()
    assert isinstance(response, h11.Response)
    return response


@given(status=st.integers(200, 599), headers=st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_h11_reads_what_we_send(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    sent = sendable_headers(headers)
    response = read(encode_head(status, sent, b"content-length: 0\r\nconnection: close\r\n"))
    assert response.status_code == status
    assert list(response.headers)[: len(sent)] == sent
    names = [name for name, _ in list(response.headers)[len(sent) :]]
    assert names == [b"date", b"content-length", b"connection"]


def test_a_head_without_headers_or_framing_is_whole() -> None:
    head = encode_head(204, [], b"")
    assert head.startswith(b"HTTP/1.1 204 No Content\r\ndate: ")
    assert head.endswith(b" GMT\r\n\r\n")
    assert head.count(b"\r\n") == 3


def test_a_status_without_a_name_is_sent() -> None:
    assert read(encode_head(299, [], b"")).status_code == 299


@given(st.tuples(st.binary(max_size=10), st.binary(max_size=20)))
def test_no_header_adds_a_line(header: tuple[bytes, bytes]) -> None:
    try:
        sent = sendable_headers([header])
    except NodeError:
        return
    assert encode_head(200, sent, b"").count(b"\n") == 3 + len(sent)
    assert b"\0" not in b"".join(header) or not sent


@pytest.mark.parametrize("name", sorted(FRAMING))
def test_framing_is_the_doors(name: bytes) -> None:
    assert sendable_headers([(name, b"x"), (b"x-y", b"z")]) == [(b"x-y", b"z")]


def test_last_words_are_bytes_only() -> None:
    async def parts():
        yield b"x"

    assert encode_last_words(refusal(400, "No.")).endswith(b"\r\nconnection: close\r\n\r\nNo.\n")
    with pytest.raises(TypeError, match="streamed"):
        encode_last_words(HttpResponse(200, [], parts()))
