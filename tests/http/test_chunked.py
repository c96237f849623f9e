"""The chunked coding against h11's, which others wrote."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.chunked import ChunkDecoder
from hyperbeam_trio.http.wire import LAST_CHUNK, encode_chunk

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def decode(*pieces: bytes) -> tuple[bytes, ChunkDecoder]:
    decoder = ChunkDecoder()
    return b"".join([decoder.feed(piece) for piece in pieces]), decoder


def decode_with_h11(body: bytes) -> bytes:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD + body)
    content = b""
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        content += bytes(event.data) if isinstance(event, h11.Data) else b""
    return content


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A chunked body with all that the rules allow."""
    token = st.text("abcXYZ019-_.!", min_size=1, max_size=5).map(str.encode)
    extension = st.one_of(st.just(b""), st.builds(b";%b=%b".__mod__, st.tuples(token, token)))
    out = b""
    for part in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(part)
        out += size + draw(extension) + b"\r\n" + part + b"\r\n"
    trailers = draw(st.lists(st.builds(b"%b: %b\r\n".__mod__, st.tuples(token, token)), max_size=3))
    return out + b"0" + draw(extension) + b"\r\n" + b"".join(trailers) + b"\r\n"


@given(body=bodies(), rest=st.binary(max_size=10), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_a_good_body_is_decoded_as_h11_does(body: bytes, rest: bytes, cuts: list[int]) -> None:
    data = body + rest
    places = [0, *sorted(min(cut, len(body) - 1) for cut in cuts), len(data)]
    content, decoder = decode(*[data[start:end] for start, end in pairwise(places)])
    assert content == decode_with_h11(body)
    assert decoder.ended
    assert decoder.rest == rest


@given(parts=st.lists(st.binary(min_size=1), max_size=5))
def test_what_we_encode_we_decode(parts: list[bytes]) -> None:
    content, decoder = decode(b"".join([encode_chunk(part) for part in parts]) + LAST_CHUNK)
    assert content == b"".join(parts)
    assert decoder.ended


@given(data=st.lists(st.sampled_from(b"0155aAfFg;=\r\n\t xX:"), max_size=30).map(bytes))
def test_rubbish_is_refused_or_waited_for_however_it_is_cut(data: bytes) -> None:
    def outcome(*pieces: bytes) -> tuple[bool, bytes] | None:
        try:
            content, decoder = decode(*pieces)
        except BadRequest:
            return None
        return decoder.ended, content

    whole = outcome(data)
    assert outcome(*[bytes([byte]) for byte in data]) == whole or (whole and whole[0])


def test_many_small_chunks_cost_no_more_than_their_bytes() -> None:
    decoder = ChunkDecoder()
    content = decoder.feed(encode_chunk(b"x") * 100_000)
    assert content == b"x" * 100_000
    assert not decoder.ended


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x\r\n", "chunk size"),
        (b"5 \r\n", "chunk size"),
        (b"1" * 16, "chunk size"),
        (b"1;" + b"a" * 5000, "chunk size"),
        (b"1" + b" " * 5000, "chunk size"),
        (b" ", "chunk size"),
        (b"1\r\nab", "longer than its size"),
        (b"0\r\nX\r\n\r\n", "trailers"),
        (b"0\r\nX: a\r\n" * 10_000, "trailers"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(data: bytes, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        decode(data)
