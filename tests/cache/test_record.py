"""One record holds one message; a reader can take a single key out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache.record import MISSING, decode, encode, find, keys
from hyperbeam_trio.errors import BadRequest, CorruptData
from hyperbeam_trio.message import As, Atom, Link, Message, Resolve, same
from tests.cache.values import messages

KEY = "message/some-id"
EVERY_KIND = {
    "binary": b"\xff\0 text",
    "empty": b"",
    "integer": -(10**40),
    "zero": 0,
    "float": -0.1,
    "atom": Atom("not_found"),
    "true": True,
    "false": False,
    "null": None,
    "link": Link("a" * 43),
    "blob": Link("b" * 43, "binary", 123_456),
    "list": [b"one", 2, [Atom("three")]],
    "message": Message({"deep": {"deeper": 1}}),
    "resolve": Resolve((b"one", Link("c" * 43))),
}
LARGE = {f"key-{number}": b"value %d" % number for number in range(3000)}
ANY_TEXT = st.text(st.characters(), max_size=30)


def test_every_kind_of_value_comes_back_as_it_was() -> None:
    items = decode(KEY, encode(KEY, EVERY_KIND))
    assert isinstance(items, dict)
    assert list(items) == sorted(EVERY_KIND)
    assert all(same(items[name], value) for name, value in EVERY_KIND.items())


@pytest.mark.parametrize("value", [b"link:abc", b"group", b"\x07" + b"a" * 43, b"\xffkey\xff"])
def test_no_bytes_are_mistaken_for_a_link_or_a_key(value: bytes) -> None:
    data = encode(KEY, {"a": value, "key": b"other"})
    assert find(KEY, memoryview(data), "a") == value
    assert find(KEY, memoryview(data), "key") == b"other"


def test_atoms_that_name_true_false_and_null_are_these() -> None:
    items = {"t": Atom("true"), "f": Atom("false"), "n": Atom("null")}
    assert decode(KEY, encode(KEY, items)) == {"t": True, "f": False, "n": None}


def test_a_list_is_a_list() -> None:
    items = {"1": b"a", "2": b"b", "10": b"c"}
    assert decode(KEY, encode(KEY, items, is_list=True)) == [b"a", b"b", b"c"]
    assert decode(KEY, encode(KEY, {}, is_list=True)) == []
    assert decode(KEY, encode(KEY, {})) == {}


def test_a_large_list_keeps_its_order() -> None:
    items = {str(number): number for number in range(1, 5001)}
    assert decode(KEY, encode(KEY, items, is_list=True)) == list(range(1, 5001))
    assert keys(KEY, encode(KEY, items, is_list=True)) == list(items)


def test_one_key_of_a_large_record_is_found_without_reading_the_rest() -> None:
    data = bytearray(encode(KEY, LARGE))
    found = bytes(data).find(b"value 1234")
    data[: found - 10_000] = data[: found - 10_000].replace(b"value", b"wrong")
    assert find(KEY, memoryview(data), "key-1234") == b"value 1234"
    with pytest.raises(CorruptData):
        decode(KEY, bytes(data))


def test_all_keys_of_a_large_record_are_found() -> None:
    data = memoryview(encode(KEY, LARGE))
    assert all(find(KEY, data, name) == value for name, value in LARGE.items())
    assert find(KEY, data, "key-3000") is MISSING
    assert keys(KEY, bytes(data)) == sorted(LARGE)


def test_keys_do_not_pile_up_in_one_page() -> None:
    alike = {"x" * number: b"" for number in range(1500)}
    data = encode(KEY, alike)
    assert decode(KEY, data) == alike
    assert find(KEY, data, "x" * 777) == b""


@given(st.dictionaries(ANY_TEXT, st.binary(max_size=60), max_size=80), ANY_TEXT)
def test_any_text_can_be_a_key(items: dict[str, bytes], other: str) -> None:
    data = encode(KEY, items)
    assert decode(KEY, data) == items
    assert keys(KEY, data) == sorted(items)
    for name in [*items, other]:
        assert find(KEY, memoryview(data), name) == items.get(name, MISSING)


@given(messages, st.data())
def test_a_damaged_byte_is_noticed(message: Message, data: st.DataObject) -> None:
    record = bytearray(encode(KEY, message))
    at = data.draw(st.integers(0, len(record) - 1), "at")
    record[at] ^= data.draw(st.integers(1, 255), "bits")
    with pytest.raises(CorruptData):
        decode(KEY, bytes(record))
    with pytest.raises(CorruptData):
        keys(KEY, bytes(record))


def test_every_byte_of_a_paged_record_counts() -> None:
    record = encode(KEY, Message({"0": "x" * 4400, "1": ""}))
    for at in range(len(record)):
        damaged = record[:at] + bytes([record[at] ^ 1]) + record[at + 1 :]
        with pytest.raises(CorruptData):
            decode(KEY, damaged)


def test_a_damaged_byte_of_a_large_record_is_noticed_or_elsewhere() -> None:
    record = encode(KEY, LARGE)
    for at in range(0, len(record), 97):
        damaged = record[:at] + bytes([record[at] ^ 0x10]) + record[at + 1 :]
        for name in ("key-7", "absent"):
            try:
                assert find(KEY, memoryview(damaged), name) == LARGE.get(name, MISSING)
            except CorruptData:
                continue
        with pytest.raises(CorruptData):
            decode(KEY, damaged)


@pytest.mark.parametrize("items", [EVERY_KIND, LARGE], ids=["small", "large"])
def test_a_cut_record_is_noticed(items: dict[str, bytes]) -> None:
    record = encode(KEY, items)
    for end in {0, 1, 5, 10, 11, 30, len(record) // 2, len(record) - 1}:
        with pytest.raises(CorruptData):
            decode(KEY, record[:end])
        with pytest.raises(CorruptData):
            keys(KEY, record[:end])


def test_a_record_under_a_wrong_key_is_noticed() -> None:
    for items in (EVERY_KIND, LARGE):
        record = encode(KEY, items)
        with pytest.raises(CorruptData, match="message/other"):
            decode("message/other", record)
        with pytest.raises(CorruptData):
            find("message/other", memoryview(record), "key-1")


@given(st.binary(max_size=200))
def test_rubbish_is_never_read(rubbish: bytes) -> None:
    with pytest.raises(CorruptData):
        decode(KEY, rubbish)
    with pytest.raises(CorruptData):
        find(KEY, memoryview(rubbish), "key")


def test_what_has_no_stored_form_is_refused() -> None:
    with pytest.raises(BadRequest, match="can't store"):
        encode(KEY, {"as": As(b"device@1.0", Message())})
