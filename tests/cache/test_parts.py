"""Binaries that come in pieces: stored, read, checked and collected part by part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from random import Random

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.parts import BATCH_BYTES, PART_BYTES, parts_record
from hyperbeam_trio.cache.verify import Damage, Reference, verify
from hyperbeam_trio.codec.ids import fresh_id, linked_body
from hyperbeam_trio.crypto.encoding import hash_id, human_id
from hyperbeam_trio.errors import (
    BadRequest,
    CorruptData,
    NecessaryMessageNotFound,
    StoreError,
    TooLarge,
)
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore
from tests.support.filled import collect, swept_keys

LARGE = Random(7).randbytes(BATCH_BYTES + 3 * PART_BYTES + 17)


async def pieces(data: bytes, size: int = 300_001) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not holds():
            await trio.lowlevel.checkpoint()


async def read(cache: Cache, link: Link) -> list[bytes]:
    return [piece async for piece in cache.read_pieces(link)]


async def findings(store: DictStore) -> list[Damage | Reference]:
    return [found async for found in verify(store) if isinstance(found, Damage | Reference)]


@pytest.mark.parametrize(
    "size", [0, 1, PART_BYTES, PART_BYTES + 1, BATCH_BYTES, BATCH_BYTES + 1, len(LARGE)]
)
async def test_what_is_written_in_pieces_is_read_back(
    cache: Cache, store: DictStore, size: int
) -> None:
    data = LARGE[:size]
    link = await cache.write_pieces(pieces(data))
    assert link == Link(hash_id(data), "binary", size)
    assert b"".join(await read(cache, link)) == data
    assert await cache.load(link) == data
    assert await cache.read(link.id) == data
    assert await cache.exists(link.id)
    assert max(map(len, store.values.values())) <= PART_BYTES
    assert await findings(store) == []


async def test_pieces_of_any_size_make_the_same_parts(cache: Cache, store: DictStore) -> None:
    await cache.write_pieces(pieces(LARGE))
    once = dict(store.values)
    await cache.write_pieces(pieces(LARGE, len(LARGE)))
    assert store.values == once


async def test_a_message_with_a_linked_body_has_the_id_of_the_loaded_one(cache: Cache) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    id = await cache.write(Message(data=link, n=7, inner={"a": [1]}, text="x"))
    assert id == fresh_id(Message(data=LARGE, n=7, inner={"a": [1]}, text="x"))
    assert await cache.read_key(id, "data") == link
    assert await cache.write(Message(body=link)) == fresh_id(Message(body=LARGE))


async def test_a_message_whose_body_has_more_parts_is_read_for_its_id(cache: Cache) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    both = {"more": b"m" * 5000}
    assert linked_body(Message(data=link, **both)) is None
    id = await cache.write(Message(data=link, **both))
    assert id == fresh_id(Message(data=LARGE, **both))


async def test_no_more_is_joined_than_is_allowed(store: DictStore) -> None:
    cache = Cache(store, join_bytes=len(LARGE) - 1)
    link = await cache.write_pieces(pieces(LARGE))
    with pytest.raises(TooLarge, match="only read in pieces"):
        await cache.load(link)
    assert b"".join(await read(cache, link)) == LARGE
    assert await cache.write(Message(data=link)) == fresh_id(Message(data=LARGE))


async def test_parts_that_are_said_to_be_small_are_not_joined_either(store: DictStore) -> None:
    cache = Cache(store, join_bytes=100)
    link = await cache.write_pieces(pieces(LARGE))
    listed = await cache.parts(link.id)
    assert listed is not None
    said = [Link(part.id, "binary", 1) for part in listed]
    await store.put(parts_record(link.id, said))
    with pytest.raises(CorruptData, match="it lists"):
        await cache.read(link.id)


async def test_errors_of_the_source_come_through_and_leave_nothing(
    cache: Cache, store: DictStore
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield LARGE + LARGE
        await until(lambda: len(store.values) > 1)
        raise BadRequest("The body was cut.")

    with pytest.raises(BadRequest, match="cut"):
        await cache.write_pieces(broken())
    assert not store.values


async def test_in_a_shared_store_what_is_refused_is_left_to_the_collector(
    store: DictStore,
) -> None:
    cache = Cache(store, alone=False)

    def refuse() -> None:
        raise BadRequest("The signature does not hold.")

    with pytest.raises(BadRequest, match="hold"):
        await cache.write_pieces(pieces(LARGE), confirm=refuse)
    assert store.values
    assert swept_keys(await collect(Collector(cache)))
    assert not store.values


async def test_what_others_wrote_is_not_taken_back(cache: Cache, store: DictStore) -> None:
    first, second, third = (LARGE[n * PART_BYTES :][:PART_BYTES] for n in range(3))
    await cache.write(first)

    async def refused_but_shared() -> AsyncIterator[bytes]:
        yield LARGE[: 2 * BATCH_BYTES]
        await until(lambda: f"data/{hash_id(third)}" in store.values)
        await cache.write(second)
        await cache.write_pieces(pieces(third))
        raise BadRequest("The body was cut.")

    with pytest.raises(BadRequest, match="cut"):
        await cache.write_pieces(refused_but_shared())
    assert set(store.values) == {f"data/{hash_id(part)}" for part in (first, second, third)}


async def test_of_two_that_are_refused_the_last_takes_the_parts_back(
    cache: Cache, store: DictStore
) -> None:
    async def outer() -> AsyncIterator[bytes]:
        yield LARGE[:BATCH_BYTES]
        with pytest.raises(BadRequest, match="inner"):
            await cache.write_pieces(inner())
        assert f"data/{hash_id(LARGE[:PART_BYTES])}" in store.values
        raise BadRequest("outer")

    async def inner() -> AsyncIterator[bytes]:
        await until(lambda: len(store.values) == BATCH_BYTES // PART_BYTES)
        yield LARGE[:BATCH_BYTES]
        raise BadRequest("inner")

    with pytest.raises(BadRequest, match="outer"):
        await cache.write_pieces(outer())
    assert not store.values


async def test_what_watches_gets_every_byte_in_order(cache: Cache) -> None:
    seen = sha256()
    link = await cache.write_pieces(pieces(LARGE), watch=seen.update)
    assert human_id(seen.digest()) == link.id == hash_id(LARGE)


async def test_damage_is_found_and_named(cache: Cache, store: DictStore) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    message = await cache.write(Message(data=link))
    part = f"data/{hash_id(LARGE[:PART_BYTES])}"
    store.values[part] = b"!" + store.values[part][1:]
    with pytest.raises(CorruptData, match=part):
        await read(cache, link)
    assert await cache.read_key(message, "data") == link
    found = await findings(store)
    assert Damage(part, "its hash does not hold") in found
    assert Reference(part, f"parts/{link.id}") in found
    assert Reference(f"parts/{link.id}", f"message/{message}") in found


async def test_a_missing_part_is_found(cache: Cache, store: DictStore) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    del store.values[f"data/{hash_id(LARGE[:PART_BYTES])}"]
    with pytest.raises(CorruptData, match="gone"):
        await cache.load(link)
    assert any(
        isinstance(found, Damage) and found.kind == "missing" for found in await findings(store)
    )


async def test_a_record_under_another_id_is_not_believed(cache: Cache, store: DictStore) -> None:
    first = await cache.write_pieces(pieces(LARGE))
    with pytest.raises(NecessaryMessageNotFound):
        await read(cache, Link("A" * 43, "binary", 1))
    second = await cache.write_pieces(pieces(LARGE[1:]))
    store.values[f"parts/{second.id}"] = store.values[f"parts/{first.id}"]
    with pytest.raises(CorruptData):
        await read(cache, second)


async def test_parts_stay_as_long_as_something_leads_to_them(
    cache: Cache, store: DictStore
) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    await cache.write(Message(data=link), names=["kept"])
    before = dict(store.values)
    other = await cache.write_pieces(pieces(LARGE[1:]))
    swept = swept_keys(await collect(Collector(cache)))
    assert f"parts/{other.id}" in swept
    assert store.values == before
    assert swept_keys(await collect(Collector(cache, [link.id]))) == set()


async def test_what_loses_parts_to_the_collector_while_it_comes_is_refused(
    cache: Cache, store: DictStore
) -> None:
    async def collected_between() -> AsyncIterator[bytes]:
        yield LARGE[:BATCH_BYTES]
        await until(lambda: len(store.values) == BATCH_BYTES // PART_BYTES)
        await collect(Collector(cache))
        yield LARGE[-BATCH_BYTES:]

    with pytest.raises(StoreError, match="again"):
        await cache.write_pieces(collected_between())


async def test_parts_are_copied_before_what_lists_them(cache: Cache, store: DictStore) -> None:
    link = await cache.write_pieces(pieces(LARGE))
    target = DictStore()
    assert not [found async for found in copy(store, target) if isinstance(found, Damage)]
    assert await Cache(target).load(link) == LARGE
