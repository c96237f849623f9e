"""Copying a store: everything sound arrives, in an order that never dangles."""

from __future__ import annotations

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.copying import BATCH_BYTES, copy
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.message import Message
from tests.support.dict_store import DictStore
from tests.support.filled import fill, flip, report


async def test_a_copy_is_equal(store: DictStore) -> None:
    await fill(store)
    target = DictStore()
    *_, last = [progress async for progress in copy(store, target)]
    assert target.values == store.values
    assert isinstance(last, Progress)
    assert last.count == len(store.values)
    assert await report(target) == []


async def test_damage_is_reported_and_stays_behind(store: DictStore) -> None:
    await fill(store)
    keys = list(store.values)
    flip(store, keys[0])
    flip(store, keys[-1])
    target = DictStore()
    found = [item async for item in copy(store, target) if isinstance(item, Damage)]
    assert {item.key for item in found} == {keys[0], keys[-1]}
    assert target.values.keys() == set(keys[1:-1])


async def test_a_copy_that_stops_goes_on_later() -> None:
    source, target = DictStore(), DictStore()
    await Cache(source).write_many([Message(number=number) for number in range(2500)])
    target.stop_after = 2100
    cursors: list[str] = []

    async def copy_on(after: str) -> None:
        async for progress in copy(source, target, after=after):
            assert isinstance(progress, Progress)
            cursors.append(progress.cursor)

    with pytest.raises(StoreError):
        await copy_on("")
    assert len(cursors) == 2
    target.stop_after = None
    await copy_on(cursors[-1])
    assert target.values == source.values
    assert len(cursors) == 3


async def test_large_binaries_go_in_batches_of_their_own(store: DictStore) -> None:
    cache, target = Cache(store), DictStore()
    await cache.write_many([bytes([number]) * (BATCH_BYTES // 2) for number in range(5)])
    _ = [progress async for progress in copy(store, target)]
    assert target.values == store.values
    assert target.puts == 3


async def test_names_come_last(store: DictStore) -> None:
    await fill(store)
    whole = len(store.values)
    for items in range(whole):
        target = DictStore()
        target.stop_after = items
        with pytest.raises(StoreError):
            _ = [progress async for progress in copy(store, target)]
        if "name/name" in target.values:
            assert await report(target) == []
