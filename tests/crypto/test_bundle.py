"""ANS-104 bundles."""

from __future__ import annotations

import mmap
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.bundle import (
    FORMAT_TAGS,
    Bundle,
    build_bundle,
    build_list,
    build_map,
    is_bundle,
    nested,
    read_map,
    walk,
)
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import human_id, to_base64url
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from tests import vectors
from tests.crypto.refusal import value_or_refusal

WALLET = Ed25519Wallet(bytes(range(32)))
ONE = DataItem.create(b"one", [(b"a", b"1")]).sign(WALLET)
TWO = DataItem.create(b"two")
LIST = build_list([ONE, TWO])


@vectors.each("arbundles-bundles.json", lambda case: "items_base64url" in case, member="bundles")
def test_bundles_of_arbundles_are_read_and_built(case):
    raw = vectors.unbase64(case["bundle_base64url"])
    bundle = Bundle(raw)
    assert bundle.ids == case["ids"]
    assert [item.to_bytes() for item in bundle] == [
        vectors.unbase64(item) for item in case["items_base64url"]
    ]
    assert all(item.verify() for item in bundle)
    assert build_list(bundle) == raw


@vectors.each("arbundles-bundles.json", lambda case: "outer_id" in case, member="bundles")
def test_the_bundle_in_an_item_of_arbundles_is_found(case):
    outer = DataItem.parse(vectors.unbase64(case["outer_base64url"]))
    bundle = nested(outer)
    assert (outer.id, outer.verify()) == (case["outer_id"], True)
    assert bundle.ids == case["ids"]
    assert outer.data == vectors.unbase64(case["bundle_base64url"])


@vectors.each("n-ans104.json", lambda case: case["name"] == "bundle: list")
def test_a_list_of_the_reference_is_read_and_built(case):
    outer = DataItem.parse(vectors.unbase64(case["signed_serialized_b64u"]))
    bundle = nested(outer)
    assert [item.id for item in bundle] == [item["id_b64u"] for item in case["items"]]
    assert build_list(bundle, "unsigned") == outer.data
    assert Bundle(build_list(bundle)).ids == [item["id_b64u"] for item in case["items"]]


@vectors.each("n-ans104.json", lambda case: case["name"] == "bundle: map")
def test_a_map_of_the_reference_is_read_and_built(case):
    outer = DataItem.parse(vectors.unbase64(case["signed_serialized_b64u"]))
    manifest = outer.tag(b"bundle-map").decode()
    read = read_map(nested(outer), manifest)
    assert {key: item.id for key, item in read.items()} == {
        key: item["id_b64u"] for key, item in zip(["k1", "k2"], case["items"], strict=True)
    }
    assert build_map(read) == (manifest, outer.data)


@vectors.each("ans104.json", lambda case: case["name"].startswith("bundle: "))
def test_a_map_of_the_older_reference_is_read_though_it_is_big_endian(case):
    outer = DataItem.parse(vectors.unbase64(case["signed_serialized_b64u"]))
    read = read_map(nested(outer), outer.tag(b"bundle-map").decode())
    assert [read[key].id for key in sorted(read)] == [item["id_b64u"] for item in case["items"]]


def test_the_worked_example_of_a_map():
    child = DataItem.create(b"", [(b"k", b"v")])
    manifest, data = build_map({"sub": child})
    assert child.unsigned_id == "fvzwLIp2wvlVPvFYwmRjjxIYE3S_HsTkAIkj1F8NJb8"
    assert manifest == "W__x_EiSztaLo9mz4CDFKY4xH_iYo_Gik8aWrlbp8Hs"
    assert len(data) == 2348
    assert to_base64url(sha256(data).digest()) == "6mW-XT4JItkjRfc45qlVKIz168Vde8CStc_jXhPnNus"
    assert Bundle(data)[0].data == b'{"sub":"fvzwLIp2wvlVPvFYwmRjjxIYE3S_HsTkAIkj1F8NJb8"}'


def test_unsigned_items_are_listed_by_their_unsigned_ids():
    bundle = Bundle(LIST)
    assert bundle.ids == [ONE.id, TWO.unsigned_id]
    assert bundle[0:2] == [ONE, TWO]
    assert bundle[-1] == TWO
    assert (bundle.index_of(TWO.unsigned_id), bundle.index_of(TWO.id)) == (1, None)


def test_an_item_under_a_foreign_id_is_refused():
    bundle = Bundle(build_bundle([(TWO.unsigned_id, ONE), (ONE.id, ONE)]))
    with pytest.raises(InvalidField, match=f"item 0 is listed as {TWO.unsigned_id}, but is"):
        bundle[0]
    assert bundle.unchecked(0) == bundle[1] == ONE


def test_the_items_of_a_mapped_file_are_not_copied(tmp_path):
    path = tmp_path / "bundle"
    path.write_bytes(LIST)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        bundle = Bundle(memoryview(mapped))
        assert bundle[0].data.obj is mapped
        assert bundle[0].verify()
        del bundle


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "0 bytes, at least 32"),
        (bytes(31), "31 bytes, at least 32"),
        (bytes(33), "33 bytes, by its index 32"),
        (b"\1" + bytes(94), "an index of 1 items in 95 bytes"),
        (b"\xff" * 200, "an index of 1157920892.* items in 200 bytes"),
        (b"\1" + bytes(31) + b"\xff" * 32 + bytes(32), "96 bytes, by its index 1157920892"),
        (bytes(31) + b"\1" + bytes(31) + b"\5" + bytes(32), "96 bytes, by its index 101"),
        (b"\1" + bytes(31) + b"\5" + bytes(63), "96 bytes, by its index 101"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(raw, problem):
    with pytest.raises(InvalidField, match=f"^bundle: {problem}"):
        Bundle(raw)


@given(st.binary(max_size=300), st.integers(0, 3))
def test_any_bytes_are_read_or_refused(raw, count):
    items = value_or_refusal(lambda: list(Bundle(count.to_bytes(32, "little") + raw)))
    assert isinstance(items, InvalidField) or sum(item.size for item in items) <= len(raw)


@given(st.integers(0), st.integers(0, 7))
def test_a_changed_bit_anywhere_is_noticed(place, bit):
    raw = bytearray(LIST)
    raw[place % len(raw)] ^= 1 << bit
    items = value_or_refusal(lambda: list(Bundle(bytes(raw))))
    assert isinstance(items, InvalidField) or items != [ONE, TWO]


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object of ids"),
        (b'{"a":1}', "not an object of ids"),
        (b'{"a":"short"}', "key 'a': 'short' is not an id"),
        (f'{{"a":"{ONE.id}"}}'.encode(), f"key 'a' names {ONE.id}, which the bundle lacks"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(manifest, problem):
    item = DataItem.create(manifest)
    bundle = Bundle(build_list([item]))
    with pytest.raises(InvalidField, match=f"bundle-map: .*{problem}"):
        read_map(bundle, item.unsigned_id)


def test_a_manifest_that_is_not_listed_is_refused():
    with pytest.raises(InvalidField, match="lists no manifest"):
        read_map(Bundle(LIST), human_id(bytes(32)))


def test_both_tags_make_a_bundle_whatever_their_case():
    assert is_bundle(DataItem.create(b"", [(b"Bundle-Format", b"BINARY"), FORMAT_TAGS[1]]))
    assert not is_bundle(DataItem.create(b"", FORMAT_TAGS[:1]))
    assert not is_bundle(DataItem.create(b"", [FORMAT_TAGS[0], (b"bundle-version", b"1.0.0")]))
    assert nested(DataItem.create(bytes(32))) is None


def test_bundles_within_bundles_are_walked_in_order():
    inner = DataItem.create(LIST, FORMAT_TAGS)
    bundle = Bundle(build_list([ONE, inner, TWO]))
    assert [path for path, _ in walk(bundle)] == [(0,), (1,), (1, 0), (1, 1), (2,)]
    assert [item for _, item in walk(bundle)][2:4] == [ONE, TWO]


def test_the_depth_of_a_walk_is_bounded():
    data = LIST
    for _ in range(3):
        data = build_list([DataItem.create(data, FORMAT_TAGS)])
    assert len(list(walk(Bundle(data), max_depth=4))) == 5
    with pytest.raises(InvalidField, match="nested too deep"):
        list(walk(Bundle(data), max_depth=3))
