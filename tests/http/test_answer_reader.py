"""Answers as their bytes arrive."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.http.answer_reader import HEAD_BYTES, HEADER_COUNT, AnswerReader


def read(data: bytes, *, method: str = "GET", ends: bool = False) -> tuple[AnswerReader, bytes]:
    reader = AnswerReader(method)
    reader.feed(data)
    if ends:
        reader.feed(b"")
    return reader, reader.take()


def test_an_answer_has_a_status_headers_in_order_and_a_body():
    answer = b"HTTP/1.1 201 Created\r\nB: 1\r\nA: 2 \r\nb: 3\r\ncontent-length: 2\r\n\r\nhi"
    reader, body = read(answer)
    assert reader.status == 201
    assert reader.headers == [(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"content-length", b"2")]
    assert body == b"hi"
    assert reader.done
    assert reader.is_clean()


@given(st.lists(st.integers(0, 120), max_size=8))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts):
    whole = (
        b"HTTP/1.1 100 Continue\r\nx: 1\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
        b"a: b\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )
    reader = AnswerReader("GET")
    places = sorted({0, *cuts, len(whole)})
    for start, end in pairwise(places):
        if whole[start:end]:
            reader.feed(whole[start:end])
    assert reader.headers == [(b"transfer-encoding", b"chunked"), (b"a", b"b")]
    assert reader.take() == b"hello world"
    assert reader.is_clean()


@pytest.mark.parametrize("status", [204, 304])
def test_some_answers_have_no_body(status):
    reader, body = read(b"HTTP/1.1 %d X\r\n\r\n" % status)
    assert (reader.done, body) == (True, b"")


def test_the_answer_to_a_head_has_no_body_whatever_its_length_says():
    reader, _ = read(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", method="HEAD")
    assert reader.is_clean()


def test_a_body_of_unknown_length_ends_with_the_connection():
    reader, body = read(b"HTTP/1.1 200 OK\r\n\r\nhello", ends=True)
    assert (reader.done, body, reader.is_clean()) == (True, b"hello", False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_an_answer_that_ends_too_early_is_an_error(data):
    reader = AnswerReader("GET")
    if data:
        reader.feed(data)
    with pytest.raises(RemoteError, match="ended within"):
        reader.feed(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_an_error(data):
    with pytest.raises(RemoteError):
        read(data)


def test_heads_are_bounded_in_bytes():
    reader = AnswerReader("GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nx: ")
    with pytest.raises(RemoteError, match="longer than"):
        reader.feed(b"a" * (HEAD_BYTES + 1))


def test_heads_are_bounded_in_headers():
    with pytest.raises(RemoteError, match="headers"):
        read(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (HEADER_COUNT + 2))


@pytest.mark.parametrize(
    "more", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"\r\nHTTP/1.1 200 OK\r\n\r\n"]
)
def test_bytes_behind_the_answer_spoil_the_connection(more):
    reader = AnswerReader("GET")
    try:
        reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi" + more)
    except RemoteError:
        return
    assert reader.take() == b"hi"
    assert not reader.is_clean()


@pytest.mark.parametrize(
    "head", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n"]
)
def test_some_connections_carry_one_answer_only(head):
    reader, _ = read(head + b"content-length: 0\r\n\r\n")
    assert reader.done
    assert not reader.is_clean()
