"""Items that arrive in pieces."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.field import InvalidField, TagLimits
from hyperbeam_trio.crypto.item_stream import DataItemStream, file_pieces, read_pieces
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from tests import vectors
from tests.crypto.refusal import value_or_refusal

WALLET = Ed25519Wallet(bytes(range(32)))
ITEM = DataItem.create(b"some data", [(b"Name", b"v" * 300)], b"t" * 32, b"a" * 32).sign(WALLET)


def _cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    return [raw[start:end] for start, end in pairwise(places)]


@given(st.lists(st.integers(0, 1000), max_size=8))
def test_the_pieces_do_not_matter(cuts):
    stream = DataItemStream()
    data = b"".join(bytes(stream.update(piece)) for piece in _cut(ITEM.to_bytes(), cuts))
    assert data == ITEM.data
    assert stream.finish()
    assert (stream.header.id, stream.header.raw) == (ITEM.id, ITEM.raw)
    assert (stream.data_size, stream.verified) == (9, True)


def test_single_bytes_are_enough():
    stream = read_pieces(bytes((byte,)) for byte in ITEM.to_bytes())
    assert stream.verified


@vectors.each("arbundles-items.json", lambda case: case["signature_type"] != 6, member="items")
def test_items_of_arbundles_stream(case):
    stream = read_pieces(_cut(vectors.unbase64(case["item_base64url"]), [1, 100, 1050]))
    assert stream.verified
    assert stream.header.id == case["id"]


@given(st.integers(0), st.integers(0, 7))
def test_a_changed_bit_is_noticed_at_the_end(place, bit):
    raw = bytearray(ITEM.to_bytes())
    raw[place % len(raw)] ^= 1 << bit
    stream = value_or_refusal(read_pieces, [bytes(raw)])
    assert isinstance(stream, InvalidField) or stream.verified is False


@pytest.mark.parametrize("size", [0, 1, 50, 120, 180, 400])
def test_an_item_that_ends_within_its_header_is_refused(size):
    stream = DataItemStream()
    stream.update(ITEM.to_bytes()[:size])
    assert stream.header is None
    with pytest.raises(InvalidField, match=f"{size} bytes, its header takes"):
        stream.finish()


def test_a_header_over_a_limit_is_refused_at_once():
    stream = DataItemStream(TagLimits(value=299))
    with pytest.raises(InvalidField, match="tag 1 value: 300 bytes, at most 299"):
        stream.update(ITEM.to_bytes())


def test_an_unsigned_item_does_not_verify():
    assert read_pieces([DataItem.create(b"x").to_bytes()]).verified is False


def test_the_data_comes_back_uncopied():
    stream = DataItemStream()
    stream.update(ITEM.raw)
    piece = bytearray(b"some data")
    assert stream.update(piece).obj is piece


def test_a_file_is_read_through_one_buffer():
    large = DataItem.create(bytes(range(256)) * 20).sign(WALLET)
    file = io.BytesIO(large.to_bytes())
    assert read_pieces(file_pieces(file, 1000)).verified
    file.seek(0)
    buffers = {id(piece.obj) for piece in file_pieces(file, 1000)}
    assert len(buffers) == 1
