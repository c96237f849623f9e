"""What is special to memory: its bound, and that nothing is promised."""

import pytest

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.store import open_store
from hyperbeam_trio.stores.memory import MemoryStore


async def test_a_bounded_store_drops_what_was_used_longest_ago():
    store = MemoryStore(capacity=3 * 1300)
    for key in "abc":
        await store.put({key: b"x" * 1000})
    assert await store.get("a") is not None
    await store.put({"d": b"x" * 1000})
    assert await store.list() == ["a", "c", "d"]


async def test_a_value_over_the_bound_is_not_kept():
    store = MemoryStore(capacity=1000)
    await store.put({"small": b"1", "big": b"x" * 2000})
    assert await store.list() == []


async def test_the_order_of_keys_is_rebuilt_after_many_drops():
    store = MemoryStore()
    for n in range(3):
        await store.put({f"{n}/{i:05}": b"" for i in range(3000)})
        await store.delete([f"{n}/{i:05}" for i in range(1, 3000)])
        await store.put({"again": b""})
    assert await store.list() == ["0/00000", "1/00000", "2/00000", "again"]


async def test_memory_is_not_durable_and_has_no_place():
    store = await open_store("memory:?capacity=1MiB")
    assert not store.durable
    with pytest.raises(ConfigError, match="no location"):
        await open_store("memory:here")


@pytest.mark.parametrize("capacity", [0, 1 << 20])
async def test_a_peek_sees_what_is_written_after_it_was_taken(capacity):
    store = MemoryStore(capacity)
    peek = store.peek()
    assert peek("a") is None
    await store.put({"a": b"1"})
    assert peek("a") == b"1"


async def test_a_peek_sees_nothing_after_close():
    store = MemoryStore()
    peek = store.peek()
    await store.put({"a": b"1"})
    await store.close()
    assert peek("a") is None
