"""Stored bytes that are not what was written are reported, never served."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.ids import message_id
from hyperbeam_trio.errors import CorruptData, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message, same
from tests.cache.values import messages
from tests.support.dict_store import DictStore
from tests.support.filled import sign


async def read_everything(cache: Cache, id: str, signed: str) -> list[object]:
    """All that can be asked about what was stored below."""
    result = await cache.read_result("key")
    return [
        await cache.load_all(await cache.read(id)),
        await cache.load_all(await cache.read(signed)),
        await cache.load_all(await cache.read(id, commitments="all")),
        await cache.load_all(await cache.read_key(id, "body", None)),
        await cache.keys(id),
        None if result is None else await cache.load_all(result.value),
        await cache.lookup("name"),
        await cache.names(),
    ]


@given(messages, st.data())
def test_any_damaged_byte_is_reported_or_harmless(message: Message, data: st.DataObject) -> None:
    async def damage_and_read() -> None:
        store = DictStore()
        id = await Cache(store).write(message, names=["name"])
        signed = await sign(Message(a=1))
        await Cache(store).write(signed)
        await Cache(store).write_result("key", message)
        expected = await read_everything(Cache(store), id, next(iter(signed.commitments)))
        key = data.draw(st.sampled_from(sorted(store.values)), "key")
        raw = bytearray(store.values[key])
        if not raw:
            return
        at = data.draw(st.integers(0, len(raw) - 1), "at")
        change = data.draw(st.sampled_from(["flip", "cut", "zero"]), "change")
        if change == "cut":
            del raw[at:]
        else:
            raw[at] = raw[at] ^ 0x40 if change == "flip" else 0
        store.values[key] = bytes(raw)
        try:
            found = await read_everything(Cache(store), id, next(iter(signed.commitments)))
        except CorruptData:
            return
        assert len(found) == len(expected)
        assert all(same(a, b) for a, b in zip(found, expected, strict=True))  # type: ignore[arg-type]  # lists of text compare too

    trio.run(damage_and_read)


async def test_the_error_names_the_damaged_key(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(a=1))
    store.values[f"message/{id}"] = store.values[f"message/{id}"][:-1]
    with pytest.raises(CorruptData, match=f"message/{id}") as caught:
        await cache.read(id)
    assert caught.value.details["damaged"] == f"message/{id}"
    with pytest.raises(CorruptData, match=f"message/{id}"):
        await cache.read_key(id, "a")


async def test_a_binary_that_lies_under_another_id_is_not_served(
    cache: Cache, store: DictStore
) -> None:
    large, other = b"a" * 5000, b"b" * 5000
    id = await cache.write(Message(body=large))
    store.values[f"data/{message_id(large)}"] = other
    found = await cache.read(id)
    assert isinstance(found, Message)
    for ask in (cache.load(found["body"]), cache.read(message_id(large)), cache.load_all(found)):
        with pytest.raises(CorruptData, match=message_id(large)):
            await ask


async def test_records_that_were_swapped_are_not_served(cache: Cache, store: DictStore) -> None:
    first, second = await cache.write(Message(a=1)), await cache.write(Message(a=2))
    values = store.values
    values[f"message/{first}"], values[f"message/{second}"] = (
        values[f"message/{second}"],
        values[f"message/{first}"],
    )
    for id in (first, second):
        with pytest.raises(CorruptData):
            await cache.read(id)


async def test_a_record_of_the_wrong_sort_is_not_served(cache: Cache, store: DictStore) -> None:
    from hyperbeam_trio.cache.record import encode

    id = "A" * 43
    for key in (f"alias/{id}", "result/key", "name/name"):
        for items, is_list in (({"1": b"x"}, True), ({"other": b"x"}, False)):
            store.values[key] = encode(key, items, is_list=is_list)
            ask = {
                "alias": cache.read(id),
                "result": cache.read_result("key"),
                "name": cache.lookup("name"),
            }
            with pytest.raises(CorruptData):
                await ask.pop(key.partition("/")[0])
            for other in ask.values():
                other.close()
        del store.values[key]


async def test_a_missing_part_is_named(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(nested={"a": 1}))
    nested = await cache.read_key(id, "nested")
    assert isinstance(nested, Link)
    del store.values[f"message/{nested.id}"]
    with pytest.raises(NecessaryMessageNotFound, match=nested.id):
        await cache.load_all(Link(id))
