"""Binaries in parts, repaired, copied, compared, exported and imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.differing import Difference, diff
from hyperbeam_trio.cache.exporting import export, import_lines
from hyperbeam_trio.cache.parts import PART_BYTES
from hyperbeam_trio.cache.repairing import Repair, repair
from hyperbeam_trio.cache.verify import Damage, verify
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore

WHOLE = b"".join(bytes([n]) * PART_BYTES for n in range(3)) + b"the end"
SECOND = f"data/{hash_id(WHOLE[PART_BYTES : 2 * PART_BYTES])}"


async def once() -> AsyncIterator[bytes]:
    yield WHOLE


@pytest.fixture
async def message(cache: Cache) -> str:
    link = await cache.write_pieces(once())
    return await cache.write(Message(data=link, name="large"), names=["kept"])


async def loaded(store: DictStore, id: str) -> object:
    return await Cache(store).load_all(await Cache(store).read(id))


async def outcomes(store: DictStore, source: DictStore, *, drop: bool = False) -> Mapping[str, str]:
    done = [found async for found in repair(store, source, drop=drop)]
    return {found.key: found.outcome for found in done if isinstance(found, Repair)}


async def damages(store: DictStore) -> list[Damage]:
    return [found async for found in verify(store) if isinstance(found, Damage)]


@pytest.mark.parametrize("loss", ["part damaged", "part gone", "list damaged", "list gone", "all"])
async def test_what_is_damaged_or_gone_comes_from_another_store(
    store: DictStore, message: str, loss: str
) -> None:
    source = DictStore()
    source.values = dict(store.values)
    listed = f"parts/{hash_id(WHOLE)}"
    if loss == "part damaged":
        store.values[SECOND] = b"?" + store.values[SECOND][1:]
    elif loss == "list damaged":
        store.values[listed] = store.values[listed][:-1] + b"?"
    else:
        for key in {"part gone": [SECOND], "list gone": [listed]}.get(loss, [SECOND, listed]):
            del store.values[key]
    assert await damages(store)
    assert set((await outcomes(store, source)).values()) == {"replaced"}
    assert await damages(store) == []
    assert await loaded(store, message) == Message(data=WHOLE, name="large")
    assert store.values == source.values


async def test_a_store_that_has_the_binary_whole_mends_one_that_had_it_in_parts(
    store: DictStore, message: str
) -> None:
    source = DictStore()
    await Cache(source).write(WHOLE)
    del store.values[f"parts/{hash_id(WHOLE)}"]
    await outcomes(store, source)
    assert await damages(store) == []
    assert await loaded(store, message) == Message(data=WHOLE, name="large")


async def test_a_part_that_nobody_has_is_lost(store: DictStore, message: str) -> None:
    del store.values[SECOND]
    assert (await outcomes(store, DictStore()))[SECOND] == "lost"
    assert [damage.key for damage in await damages(store) if damage.kind == "missing"] == [SECOND]


async def test_a_copy_is_equal_and_a_difference_is_found(store: DictStore, message: str) -> None:
    target = DictStore()
    assert not [found async for found in copy(store, target) if isinstance(found, Damage)]
    assert target.values == store.values
    assert await loaded(target, message) == Message(data=WHOLE, name="large")
    del target.values[SECOND]
    found = [d async for d in diff(store, target) if isinstance(d, Difference)]
    assert found == [Difference(SECOND, "only left")]


async def test_a_damaged_part_is_left_out_of_a_copy(store: DictStore, message: str) -> None:
    target = DictStore()
    store.values[SECOND] = b"?" + store.values[SECOND][1:]
    found = [d async for d in copy(store, target) if isinstance(d, Damage)]
    assert [damage.key for damage in found] == [SECOND]
    assert SECOND not in target.values


async def test_an_export_brings_the_parts_along(
    store: DictStore, message: str, tmp_path: Path
) -> None:
    path = trio.Path(tmp_path / "store.jsonl")
    async with await path.open("wb") as file:
        assert not [found async for found in export(store, file) if isinstance(found, Damage)]
    target = DictStore()
    async with await path.open("rb") as file:
        done = [found async for found in import_lines(file, target)]
    assert not [found for found in done if isinstance(found, Damage)]
    assert target.values == store.values
    assert await loaded(target, message) == Message(data=WHOLE, name="large")
    assert await Cache(target).load(Link(hash_id(WHOLE), "binary", len(WHOLE))) == WHOLE
