"""Tags of a data item as Avro bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.field import InvalidField, TagLimits
from hyperbeam_trio.crypto.item_tags import decode_tags, encode_tags
from tests import vectors
from tests.crypto.refusal import value_or_refusal

tag_lists = st.lists(
    st.tuples(st.binary(min_size=1, max_size=200), st.binary(max_size=300)), max_size=10
)
LOOSE = TagLimits(count=1 << 70, name=1 << 70, value=1 << 70)


@vectors.each("arbundles-bundles.json", member="tags")
def test_they_are_written_as_arbundles_does(case):
    tags = [(tag["name"].encode(), tag["value"].encode()) for tag in case["tags"]]
    assert encode_tags(tags) == vectors.unbase64(case["bytes_base64url"])


@vectors.each("ans104.json", lambda case: case["name"] == "tags")
def test_they_are_written_and_read_as_the_older_reference_does(case):
    _check(case)


@vectors.each("n-ans104.json", lambda case: case["name"] == "tags")
def test_they_are_written_and_read_as_the_reference_does(case):
    _check(case)


def _check(case) -> None:
    tags = tuple((name.encode(), value.encode()) for name, value in case["tags"])
    raw = vectors.unbase64(case["avro_b64u"])
    assert encode_tags(tags) == raw
    assert decode_tags(raw, len(tags)) == tags


@given(tag_lists)
def test_what_is_written_reads_back(tags):
    assert decode_tags(encode_tags(tags), len(tags)) == tuple(tags)


def test_blocks_may_give_their_size_behind_a_negative_count():
    one_block = bytes.fromhex("03 0a 02 61 02 62 02 61 00 00".replace(" ", ""))
    with pytest.raises(InvalidField, match="a block of 5 bytes ends elsewhere"):
        decode_tags(one_block, 2)
    one_block = bytes.fromhex("03 0e 02 61 02 62 02 61 00 00".replace(" ", ""))
    assert decode_tags(one_block, 2) == ((b"a", b"b"), (b"a", b""))


def test_several_blocks_follow_one_another():
    blocks = bytes.fromhex("02 02 61 02 62 01 08 02 63 02 64 00".replace(" ", ""))
    assert decode_tags(blocks, 2) == ((b"a", b"b"), (b"c", b"d"))


@pytest.mark.parametrize(
    ("raw", "count", "problem"),
    [
        ("", 1, "no bytes for 1"),
        ("020261026200", 0, "the header says 0, the bytes hold more"),
        ("020261026200", 2, "the header says 2, the bytes hold 1"),
        ("02026102620000", 1, "1 bytes after the end"),
        ("0202610262", 1, "end too early"),
        ("02026108", 1, "tag 1 value: says 4 bytes where 0 are left"),
        ("02016100", 1, "tag 1 name: says -1 bytes"),
        ("02000000", 1, "tag 1 name: is empty"),
        ("ffffffffffffffffffffffff00", 1, "over 64 bits"),
        ("feffffffffffffffff01", 1, "the bytes hold more"),
        ("80", 1, "end too early"),
    ],
)
def test_bytes_that_are_no_array_of_tags_are_refused(raw, count, problem):
    with pytest.raises(InvalidField, match=problem):
        decode_tags(bytes.fromhex(raw), count)


@pytest.mark.parametrize(
    ("tags", "field", "limit"),
    [
        ([(b"a", b"")] * 129, "tags", 128),
        ([(b"n" * 1025, b"")], "tag 1 name", 1024),
        ([(b"a", b""), (b"b", b"v" * 3073)], "tag 2 value", 3072),
    ],
)
def test_an_error_names_the_limit_that_is_passed(tags, field, limit):
    with pytest.raises(InvalidField, match=f"^{field}: .* at most {limit}") as caught:
        decode_tags(encode_tags(tags), len(tags))
    assert caught.value.status == 400
    assert caught.value.details == {"reason": "invalid_field", "field": field, "limit": limit}


def test_tags_at_their_limits_are_read():
    tags = ((b"n" * 1024, b"v" * 3072),) * 128
    raw = encode_tags(tags)
    assert len(raw) <= TagLimits().encoded
    assert decode_tags(raw, 128) == tags


@given(st.binary(max_size=60), st.integers(0, 140))
def test_any_bytes_are_read_or_refused(raw, count):
    tags = value_or_refusal(decode_tags, raw, count)
    assert isinstance(tags, InvalidField) or len(tags) == count


@given(st.binary(max_size=60))
def test_limits_as_wide_as_numbers_do_not_make_it_allocate(raw):
    with pytest.raises(InvalidField, match=r"^tag"):
        decode_tags(raw, 1 << 62, LOOSE)
