"""Object names of keys: reversible, in order, and made of what every service takes."""

import string

from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.store import MAX_KEY_BYTES
from hyperbeam_trio.stores.s3_names import PART, just_before, key_of, object_name

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
LONG = st.lists(st.sampled_from(["a" * 99, "é", "/", ".", "_", "b" * 50]), max_size=9).map("".join)
KEYS = st.one_of(TEXTS, LONG)
TAKEN = frozenset(string.ascii_letters + string.digits + "-!.=_|~/")


@given(KEYS)
def test_a_name_gives_its_key_back(key: str):
    assert key_of(object_name(key)) == key


@given(KEYS)
def test_names_are_short_and_plain(key: str):
    name = object_name(key)
    assert TAKEN.issuperset(name)
    assert all(len(part) <= PART + 2 for part in name.split("/"))
    assert len(name) < 1000 or len(key.encode()) > MAX_KEY_BYTES


@given(KEYS, KEYS)
def test_names_sort_as_keys_do(one: str, other: str):
    assert (object_name(one) < object_name(other)) == (one.encode() < other.encode())


@given(KEYS, KEYS)
def test_names_sort_the_same_in_directories(one: str, other: str):
    """A service that walks directories compares part by part."""
    as_parts = object_name(one).split("/") < object_name(other).split("/")
    assert as_parts == (one.encode() < other.encode())


@given(KEYS, KEYS)
def test_keys_with_a_prefix_are_names_with_its_name(prefix: str, rest: str):
    assert object_name(prefix + rest).startswith(object_name(prefix))


@given(KEYS.filter(bool), KEYS)
def test_just_before_a_name_lies_no_other(prefix: str, key: str):
    before = just_before(object_name(prefix))
    assert (object_name(key) > before) == (key.encode() >= prefix.encode())
