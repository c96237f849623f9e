"""`diff` says where two stores are not alike, and nothing when they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.differing import Difference, diff
from hyperbeam_trio.cache.layout import NAMESPACES
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.message import Message
from tests.support.dict_store import DictStore
from tests.support.filled import fill, flip

KEYS = st.builds(str.__add__, st.sampled_from(NAMESPACES), st.sampled_from("aAbB_-09"))
CONTENTS = st.dictionaries(KEYS, st.sampled_from([b"1", b"2"]))


async def differences(left: DictStore, right: DictStore, after: str = "") -> list[Difference]:
    return [d async for d in diff(left, right, after=after) if isinstance(d, Difference)]


async def test_a_copy_does_not_differ(store: DictStore) -> None:
    await fill(store)
    target = DictStore()
    _ = [progress async for progress in copy(store, target)]
    found = [progress async for progress in diff(store, target)]
    assert all(isinstance(progress, Progress) for progress in found)
    assert isinstance(found[-1], Progress)
    assert found[-1].count == len(store.values)


async def test_each_sort_of_difference_is_told(store: DictStore) -> None:
    await fill(store)
    other = DictStore()
    other.values = dict(store.values)
    missing, changed, *_ = sorted(store.values)
    del other.values[missing]
    flip(other, changed)
    other.values["name/more"] = b"more"
    assert set(await differences(store, other)) == {
        Difference(missing, "only left"),
        Difference(changed, "value"),
        Difference("name/more", "only right"),
    }


@given(CONTENTS, CONTENTS)
async def test_it_finds_what_a_dictionary_would(
    left: dict[str, bytes], right: dict[str, bytes]
) -> None:
    one, other = DictStore(), DictStore()
    one.values, other.values = left, right
    found = {difference.key for difference in await differences(one, other)}
    assert found == {key for key in left | right if left.get(key) != right.get(key)}


async def test_many_batches_go_on_from_a_cursor() -> None:
    one, other = DictStore(), DictStore()
    await Cache(one).write_many([Message(number=number) for number in range(2500)])
    other.values = {key: value for key, value in one.values.items() if key < "message/a"}
    whole = await differences(one, other)
    assert {d.key for d in whole} == one.values.keys() - other.values.keys()
    cursors = [found.cursor async for found in diff(one, other) if isinstance(found, Progress)]
    assert len(cursors) > 2
    rest = await differences(one, other, after=cursors[0])
    assert rest == [d for d in whole if d.key > cursors[0]]
