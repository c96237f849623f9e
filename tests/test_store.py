"""Store URIs, keys, and opening stores by their scheme."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.errors import ConfigError, TooLarge
from hyperbeam_trio.store import (
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    Store,
    StoreSpec,
    check_key,
    open_store,
    open_stores,
    store_class,
    store_schemes,
)


@pytest.mark.parametrize(
    ("uri", "spec"),
    [
        ("memory:", StoreSpec("memory")),
        ("lmdb:./data", StoreSpec("lmdb", "./data")),
        ("fs:/x?read-only=true&a=b=c", StoreSpec("fs", "/x", {"read-only": "true", "a": "b=c"})),
        ("lmdb:C:/data", StoreSpec("lmdb", "C:/data")),
    ],
)
def test_a_uri_has_a_scheme_a_location_and_options(uri: str, spec: StoreSpec):
    assert StoreSpec.parse(uri) == spec


@pytest.mark.parametrize("uri", ["data", ":data", "", "lmdb:x?sync"])
def test_a_uri_that_is_none_is_a_config_error(uri: str):
    with pytest.raises(ConfigError, match="store: "):
        StoreSpec.parse(uri)


def test_the_built_in_stores_are_found_by_entry_points():
    assert {"memory", "lmdb", "fs", "tiered"} <= set(store_schemes())
    assert all(issubclass(store_class(scheme), Store) for scheme in store_schemes())


async def test_an_unknown_scheme_lists_the_known():
    with pytest.raises(ConfigError, match=r"scheme 'ldmb'.*known are .*lmdb"):
        await open_store("ldmb:./data")


async def test_one_spec_is_one_store_and_several_are_a_row():
    one = await open_stores(["memory:"])
    assert one.describe() == "memory"
    row = await open_stores([StoreSpec("memory"), "memory:"])
    assert row.describe() == "memory > memory"
    await row.put({"k": b"1"})
    assert await row.get("k") == b"1"


@given(st.text(max_size=20))
def test_a_key_is_good_by_the_letter_of_the_contract(key: str):
    try:
        raw = key.encode()
        good = 0 < len(raw) <= MAX_KEY_BYTES and "\0" not in key
        good = good and not {"", ".", ".."} & set(key.split("/"))
    except UnicodeEncodeError:
        good = False
    if good:
        assert check_key(key) == key.encode()
    else:
        with pytest.raises(ValueError):  # noqa: PT011 - the contract promises no more
            check_key(key)


@pytest.mark.parametrize("scheme", ["memory", "lmdb", "fs"])
async def test_a_value_over_the_limit_is_too_large(tmp_path, scheme: str):
    store = await open_store(f"{scheme}:{tmp_path if scheme != 'memory' else ''}")
    with pytest.raises(TooLarge, match="the limit is"):
        await store.put({"k": bytes(MAX_VALUE_BYTES + 1)})
    with pytest.raises(TooLarge):
        await store.create("k", bytes(MAX_VALUE_BYTES + 1))
    assert await store.get("k") is None
    await store.close()


async def test_a_store_that_may_wait_says_so_to_a_read_without_waiting():
    class Minimal(Store):
        async def open(self): ...
        async def get(self, key):
            return key.encode()

        async def put(self, items): ...
        async def create(self, key, value): ...
        async def list(self, prefix="", *, after="", limit=None): ...
        async def delete(self, keys): ...
        async def close(self): ...

    store = Minimal()
    with pytest.raises(trio.WouldBlock):
        store.get_nowait("k")
    assert await store.get_current("k") == b"k"
    assert await store.view("k", bytes) == b"k"
    assert store.describe() == "Minimal"
