"""Arweave's deep hash."""

from __future__ import annotations

from hashlib import sha256, sha384

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.deep_hash import BlobHash, ListHash, deep_hash, hash_blob
from tests import vectors

chunks = st.recursive(st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4))


def _chunk(notation):
    if isinstance(notation, str):
        return vectors.unbase64(notation)
    return [_chunk(part) for part in notation]


@vectors.each("deep_hash.json")
def test_it_is_that_of_the_reference(case):
    assert deep_hash(_chunk(case["input_b64u"])) == vectors.unbase64(case["sha384_b64u"])


@vectors.each("arbundles-bundles.json", member="deep_hash")
def test_it_is_that_of_arbundles(case):
    assert deep_hash(_chunk(case["chunk"])) == vectors.unbase64(case["sha384_base64url"])


def test_a_transaction_of_known_fields():
    fields = [
        b"2",
        b"\1" * 512,
        sha256(b"t").digest(),
        b"1000",
        b"2000",
        (7).to_bytes(48, "big"),
        [[b"App", b"x"], [b"B", b""]],
        b"4",
        vectors.unbase64("PtFB_UjWohdPYNrrsVgzUVEVBIRRPBN5EtZWvOGUXD0"),
    ]
    assert deep_hash(fields).hex() == (
        "a4a8a2d9bb6483da9740e55b5c865e264c46b268d293c81fdc419f25e90c82f1093748cad40141171f04f570330b379d"
    )


@given(chunks, chunks)
def test_nesting_counts(first, second):
    assert deep_hash([first, second]) != deep_hash([[first], second])
    assert deep_hash([first]) != deep_hash(first)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_pieces_hash_like_their_whole(pieces):
    running = BlobHash()
    for piece in pieces:
        running.update(memoryview(piece))
    assert running.size == sum(map(len, pieces))
    assert running.digest() == hash_blob(b"".join(pieces))


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.data())
def test_a_list_can_be_hashed_in_two_goes(parts, data):
    cut = data.draw(st.integers(0, len(parts)))
    first = ListHash(len(parts))
    for part in parts[:cut]:
        first.add(part)
    second = ListHash.resumed(first.digest())
    for part in parts[cut:]:
        second.add(part)
    assert second.digest() == deep_hash(parts)


@pytest.mark.parametrize("view", [memoryview(b"abcd"), memoryview(b"xabcdx")[1:5]])
def test_a_view_hashes_like_its_bytes(view):
    inner = sha384(b"blob4").digest() + sha384(b"abcd").digest()
    assert hash_blob(view) == deep_hash(b"abcd") == sha384(inner).digest()
