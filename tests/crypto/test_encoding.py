"""Ids and base64."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import (
    combine_ids,
    commitment_id,
    from_base64,
    hash_id,
    human_id,
    is_id,
    native_id,
    to_base58,
    to_base64,
    to_base64url,
)
from hyperbeam_trio.errors import BadRequest
from tests import vectors
from tests.crypto.refusal import value_or_refusal

ANY_SIZE = st.one_of(st.binary(max_size=64), st.binary(min_size=190, max_size=700))
ids = st.binary(min_size=32, max_size=32)


@given(ANY_SIZE)
def test_base64url_is_that_of_rfc_4648_without_padding(data):
    assert to_base64url(data) == base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@given(ANY_SIZE)
def test_base64_is_that_of_rfc_4648(data):
    assert to_base64(data) == base64.b64encode(data).decode()


@given(ANY_SIZE)
def test_both_alphabets_are_read_with_and_without_padding(data):
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        assert from_base64(encoded) == data
        assert from_base64(encoded.rstrip(b"=").decode()) == data


@pytest.mark.parametrize("text", ["a", "abcde", "ab=", "abc==", "ab===", "a b=", "äbcd", "a\nbc"])
@pytest.mark.parametrize("front", ["", "A" * 400], ids=["short", "long"])
def test_what_is_not_base64_is_refused_by_name(front, text):
    with pytest.raises(BadRequest, match="the seal is not base64"):
        from_base64(front + text, "the seal")


@given(st.text(max_size=300))
@example("=" * 300)
def test_any_text_is_decoded_or_refused(text):
    read = value_or_refusal(from_base64, text)
    assert isinstance(read, BadRequest) or from_base64(to_base64url(read)) == read


@given(ids)
def test_an_id_has_two_forms(raw):
    assert native_id(human_id(raw)) == raw
    assert is_id(human_id(raw))


@pytest.mark.parametrize(
    "text",
    ["", "a" * 42, "a" * 44, "a" * 42 + "+", "a" * 42 + "é", "0x" + "a" * 39 + "g", "\n" * 43],
)
def test_other_texts_are_no_ids(text):
    assert not is_id(text)
    with pytest.raises(BadRequest, match="not an id"):
        native_id(text)


def test_an_ethereum_address_is_an_id_without_32_bytes():
    address = "0x9c813c4b7f3047d698807025ea2a7434d36e69d4"
    assert is_id(address)
    with pytest.raises(BadRequest):
        native_id(address)


@given(st.binary(max_size=40).filter(lambda raw: len(raw) != 32))
def test_only_32_bytes_have_a_human_form(raw):
    with pytest.raises(BadRequest, match=f"this has {len(raw)}"):
        human_id(raw)


def test_ids_combine_to_their_sum():
    first = "6FPsPXEgnX93_ioAX_jDZMawJzOpgpLjQvMpacAHV9Y"
    second = "NCzpTiB4yCYQjey3E1YUBr9oNm1L5c0NUa7xPuRE-6Y"
    assert combine_ids([first, second]) == "HIDVi5GZZaWIjBa3c07Xa4YYXaD1aF_wlKIaqKRMU3w"


@vectors.each("n-ids.json", lambda case: case["kind"] == "combination" and "ids" in case)
def test_ids_combine_as_the_reference_does(case):
    assert combine_ids(case["ids"]) == case["combined"]


@given(ids)
def test_one_id_combines_to_itself(raw):
    assert combine_ids([human_id(raw)]) == human_id(raw)


@given(st.lists(ids, min_size=2, max_size=5))
def test_the_order_of_combined_ids_does_not_matter(raws):
    forward = [human_id(raw) for raw in raws]
    assert combine_ids(forward) == combine_ids(reversed(forward))


def test_no_ids_do_not_combine():
    with pytest.raises(BadRequest, match="no ids"):
        combine_ids([])


def test_the_id_of_a_commitment_is_its_hmac_or_the_hash_of_its_signature():
    assert commitment_id(bytes(32)) == human_id(bytes(32))
    assert commitment_id(b"\1" * 512) == human_id(sha256(b"\1" * 512).digest())
    assert hash_id(b"\1" * 512) == commitment_id(b"\1" * 512)


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), (b"\0\0\1", "112"), (b"hello world", "StV1DL6CwTryKyV")],
)
def test_base58_is_that_of_bitcoin(data, text):
    assert to_base58(data) == text
