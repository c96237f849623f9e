"""`repair` takes from another store what is damaged or missing, if it is sound there."""

from __future__ import annotations

import pytest

from hyperbeam_trio.cache.record import encode
from hyperbeam_trio.cache.repairing import Repair, repair
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.message import Link
from tests.support.dict_store import DictStore
from tests.support.filled import CHILD, fill, flip, report

CHILD_KEY = f"message/{fresh_id(CHILD)}"


@pytest.fixture
async def good(store: DictStore) -> DictStore:
    await fill(store)
    other = DictStore()
    other.values = dict(store.values)
    return other


async def repairs(store: DictStore, good: DictStore, *, drop: bool = False) -> list[Repair]:
    return [r async for r in repair(store, good, drop=drop) if isinstance(r, Repair)]


async def test_any_damage_is_replaced(store: DictStore, good: DictStore) -> None:
    for key in list(store.values):
        flip(store, key)
        (done,) = await repairs(store, good)
        assert (done.key, done.outcome) == (key, "replaced")
        assert store.values == good.values


async def test_all_damaged_at_once(store: DictStore, good: DictStore) -> None:
    for key in store.values:
        flip(store, key)
    assert {done.outcome for done in await repairs(store, good)} == {"replaced"}
    assert store.values == good.values


async def test_what_is_missing_comes_with_what_it_needs(store: DictStore, good: DictStore) -> None:
    blob = next(key for key in store.values if key.startswith("data/"))
    del store.values[CHILD_KEY], store.values[blob]
    assert {done.outcome for done in await repairs(store, good)} == {"replaced"}
    assert await report(store) == []
    assert store.values == good.values


async def test_a_signed_message_that_is_missing_comes_by_its_alias(
    store: DictStore, good: DictStore
) -> None:
    (alias,) = [key for key in good.values if key.startswith("alias/")]
    signed = alias.removeprefix("alias/")
    target = next(k for k in good.values if k.startswith("commitments/") and signed in k)
    holder = "message/" + target.split("/")[1]
    store.values = {"name/n": encode("name/n", {"id": Link(signed), "name": b"n"})}
    assert {done.outcome for done in await repairs(store, good)} == {"replaced"}
    assert {alias, holder, target} <= store.values.keys()
    assert await report(store) == []


async def test_what_is_damaged_there_too_is_lost_or_dropped(
    store: DictStore, good: DictStore
) -> None:
    flip(store, CHILD_KEY)
    flip(good, CHILD_KEY)
    damaged = store.values[CHILD_KEY]
    (done,) = await repairs(store, good)
    assert done.outcome == "lost"
    assert store.values[CHILD_KEY] == damaged
    dropped = await repairs(store, good, drop=True)
    assert ("dropped", CHILD_KEY) in {(done.outcome, done.key) for done in dropped}
    assert CHILD_KEY not in store.values


async def test_a_forged_record_is_not_taken_for_a_replacement(
    store: DictStore, good: DictStore
) -> None:
    flip(store, CHILD_KEY)
    good.values[CHILD_KEY] = encode(CHILD_KEY, {"n": b"2"})
    (done,) = await repairs(store, good)
    assert done.outcome == "lost"


async def test_nothing_is_done_to_an_intact_store(store: DictStore, good: DictStore) -> None:
    puts = store.puts
    assert await repairs(store, DictStore(), drop=True) == []
    assert store.puts == puts
