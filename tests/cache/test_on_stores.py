"""The cache over the stores that come with the node."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hyperbeam_trio.cache import MISSING, Cache, StoredResult
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_stores

STORES = [["memory:"], ["lmdb:{}/a"], ["fs:{}/b"], ["memory:?capacity=4KiB", "lmdb:{}/c"]]
MESSAGE = Message({"body": b"x" * 5000, "nested": {"list": [1, "two"]}, "odd/../key": "v"})


@pytest.mark.parametrize("uris", STORES, ids="+".join)
async def test_every_store_keeps_messages(uris: list[str], tmp_path: Path) -> None:
    store = await open_stores([uri.format(tmp_path) for uri in uris])
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        id = await Cache(store).write(MESSAGE, names=["a name/with ünicode"])
        await Cache(store).write_result("key/1", MESSAGE)
        cache = Cache(store, clock=lambda: 0.0)
        assert await cache.load_all(Link(id)) == MESSAGE
        assert await cache.read_key(id, "odd/../key") == b"v"
        assert await cache.read_key(id, "absent") is MISSING
        assert await cache.lookup("a name/with ünicode") == id
        assert await cache.names("a name/") == ["a name/with ünicode"]
        result = await cache.read_result("key/1")
        assert isinstance(result, StoredResult)
        assert await cache.load_all(result.value) == MESSAGE
        nursery.cancel_scope.cancel()
    await store.close()


@pytest.mark.parametrize("uris", STORES[1:3], ids="+".join)
async def test_messages_are_there_after_a_restart(uris: list[str], tmp_path: Path) -> None:
    uris = [uri.format(tmp_path) for uri in uris]
    store = await open_stores(uris)
    id = await Cache(store).write(MESSAGE)
    await store.close()
    store = await open_stores(uris)
    assert await Cache(store).load_all(Link(id)) == MESSAGE
    await store.close()


async def test_cancelled_writers_leave_whole_messages_or_none(tmp_path: Path) -> None:
    store = await open_stores([f"lmdb:{tmp_path}/data"])
    cache = Cache(store)
    messages = [Message(nested={"number": number}) for number in range(64)]

    async def write_and_give_up(message: Message, scope: trio.CancelScope) -> None:
        with scope:
            await cache.write(message)

    scopes = [trio.CancelScope() for _ in messages]
    async with trio.open_nursery() as nursery:
        for message, scope in zip(messages, scopes, strict=True):
            nursery.start_soon(write_and_give_up, message, scope)
        await trio.lowlevel.checkpoint()
        for scope in scopes[::2]:
            scope.cancel()
    fresh = Cache(store)
    for message in messages:
        id = fresh_id(message)
        if await fresh.exists(id):
            assert await fresh.load_all(Link(id)) == message
        assert await cache.write(message) == id
        assert await fresh.load_all(Link(id)) == message
    assert all([await fresh.exists(fresh_id(message)) for message in messages[1::2]])
    await store.close()


async def test_what_a_small_memory_dropped_is_written_again() -> None:
    store = await open_stores(["memory:?capacity=2KiB"])
    cache = Cache(store)
    id = await cache.write(Message(a=1))
    for number in range(20):
        await cache.write(Message(number=number, filler="x" * 500))
    assert await cache.read(id) is None
    await cache.write(Message(a=1))
    assert await cache.read(id) == Message(a=1)
