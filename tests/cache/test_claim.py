"""Names that only one can give: values stored under them in one durable step."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    store = await open_store("memory:")
    yield Cache(store)
    await store.close()


async def test_free_names_are_given_in_their_order(cache: Cache) -> None:
    slots = {f"schedule/{n}": Message(slot=n) for n in range(3)}
    assert await cache.claim(slots) == 3
    for name, message in slots.items():
        id = await cache.lookup(name)
        assert id is not None
        assert await cache.read(id) == message


async def test_a_taken_name_ends_it_and_keeps_its_value(cache: Cache) -> None:
    await cache.claim({"schedule/1": Message(by="them")})
    theirs = await cache.lookup("schedule/1")
    ours = {f"schedule/{n}": Message(by="us", slot=n) for n in range(3)}
    assert await cache.claim(ours) == 1
    assert await cache.lookup("schedule/1") == theirs
    assert await cache.lookup("schedule/2") is None


async def test_a_value_may_be_nested(cache: Cache) -> None:
    assert await cache.claim({"slot": Message(body=Message(data="hello"))}) == 1
    id = await cache.lookup("slot")
    assert id is not None
    whole = await cache.load_all(await cache.read(id))
    assert whole == Message(body=Message(data="hello"))
