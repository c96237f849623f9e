"""`verify` says what is damaged or missing, and who points at it."""

from __future__ import annotations

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.record import encode
from hyperbeam_trio.cache.verify import Damage, Reference, verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.codec.ids import fresh_id, message_id, signed_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore, RemoteDictStore
from tests.support.filled import CHILD, fill, flip, report

LARGE = b"x" * 5000


async def test_an_intact_store_has_nothing_to_report(store: DictStore) -> None:
    await fill(store)
    found = [progress async for progress in verify(store)]
    assert all(isinstance(progress, Progress) for progress in found)
    last = found[-1]
    assert isinstance(last, Progress)
    assert last.count == len(store.values)
    assert last.size == sum(map(len, store.values.values()))


async def test_each_damaged_value_is_reported_with_who_points_at_it(store: DictStore) -> None:
    signed = await fill(store)
    blob, child = f"data/{message_id(LARGE)}", f"message/{fresh_id(CHILD)}"
    flip(store, blob)
    flip(store, child)
    found = await report(store)
    assert {item.key for item in found if isinstance(item, Damage)} == {blob, child}
    references = {item for item in found if isinstance(item, Reference)}
    assert Reference(child, f"message/{fresh_id(signed)}") in references
    assert Reference(blob, f"message/{message_id([2, LARGE])}") in references
    assert len(references) == 2


async def test_any_single_damage_is_reported(store: DictStore) -> None:
    await fill(store)
    for key in list(store.values):
        kept = store.values[key]
        flip(store, key)
        found = await report(store)
        assert key in {item.key for item in found if isinstance(item, Damage)}
        store.values[key] = kept


async def test_a_damaged_signed_message_is_traced_through_its_alias(store: DictStore) -> None:
    signed = await fill(store)
    parent = await Cache(store).write(Message(part=signed))
    flip(store, f"message/{fresh_id(signed)}")
    found = await report(store)
    alias = f"alias/{signed_id(signed)}"
    assert Reference(f"message/{fresh_id(signed)}", alias) in found
    assert Reference(alias, f"message/{parent}") in found


async def test_a_missing_part_is_reported_with_who_wants_it(store: DictStore) -> None:
    signed = await fill(store)
    del store.values[f"message/{fresh_id(CHILD)}"]
    (found,) = await report(store)
    assert isinstance(found, Damage)
    assert (found.key, found.kind) == (f"message/{fresh_id(CHILD)}", "missing")
    assert f"message/{fresh_id(signed)}" in found.reason


async def test_forged_records_are_found_by_their_ids(store: DictStore) -> None:
    for items, is_list in (({"a": b"1"}, False), ({"1": b"1"}, True), ({'"': b"\n"}, False)):
        key = "message/" + "A" * 43
        store.values[key] = encode(key, items, is_list=is_list)
        (found,) = await report(store)
        assert isinstance(found, Damage)
        assert found.key == key
        assert "id" in found.reason


async def test_forged_aliases_are_found(store: DictStore) -> None:
    signed = await fill(store)
    key = "alias/" + "A" * 43
    target, commitment = Link(fresh_id(signed)), signed_id(signed).encode()
    store.values[key] = encode(key, {"message": target, "commitments": [commitment]})
    (found,) = await report(store)
    assert isinstance(found, Damage)
    assert found.key == key


async def test_a_walk_goes_on_from_where_it_stopped(store: DictStore) -> None:
    await fill(store)
    keys = sorted(key for key in store.values if key.startswith("message/"))
    flip(store, keys[0])
    flip(store, keys[-1])
    after = keys[0]
    found = [item for item in await report(store, after) if isinstance(item, Damage)]
    assert [item.key for item in found] == [keys[-1]]
    with pytest.raises(BadRequest, match="go on"):
        await report(store, "elsewhere/key")


async def test_remote_stores_are_read_many_at_once(autojump_clock: object) -> None:
    store = RemoteDictStore()
    await Cache(store).write_many([Message(number=number) for number in range(64)])
    flip(store, next(iter(store.values)))
    (found,) = [item for item in await report(store) if isinstance(item, Damage)]
    assert found.key == next(iter(store.values))
    assert store.most >= 8
