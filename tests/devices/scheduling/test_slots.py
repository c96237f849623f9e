"""The slots of a process in a store: found again whatever happened, never taken twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import Store
from hyperbeam_trio.stores.memory import MemoryStore
from tests.devices.scheduling.world import signed

PROCESS = "l9ZzVYIXoWenmAjgzE2d5BUOxgm4MnyYk6uenVRX38E"


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = MemoryStore()
    yield opened
    await opened.close()


@pytest.fixture
def slots(store: Store) -> Slots:
    return Slots(Cache(store), PROCESS)


async def assignments(first: int, count: int) -> list[Message]:
    numbers = range(first, first + count)
    return [await signed(Message(slot=n, body=Message(data=f"{n}"))) for n in numbers]


async def test_claimed_slots_are_read_with_what_was_signed(slots):
    given = await assignments(0, 3)
    assert await slots.claim(0, given) == 3
    for slot, assignment in enumerate(given):
        found = await slots.read(slot)
        assert found is not None
        assert found.commitments == assignment.commitments
        assert isinstance(found["body"], Link)
        assert await slots.read_whole(slot) == assignment
        assert await slots.id_of(slot) == signed_id(assignment)


async def test_a_slot_that_is_taken_stays_with_its_owner(store, slots):
    theirs, ours = await assignments(1, 1), await assignments(0, 3)
    other = Slots(Cache(store), PROCESS)
    assert await other.claim(0, ours[:1]) == 1
    assert await other.claim(1, theirs) == 1
    assert await slots.claim(1, [Message(slot=1, by="us"), Message(slot=2, by="us")]) == 0
    assert await slots.id_of(1) == signed_id(theirs[0])
    assert await slots.id_of(2) is None


async def test_nothing_is_there_at_first(slots):
    assert await slots.newest() == -1
    assert await slots.read(0) is None
    assert await slots.read_whole(0) is None
    assert await slots.links(range(5)) == {}
    assert await slots.read_many(range(5)) == []


async def test_a_range_ends_at_the_first_slot_that_is_missing(slots):
    given = await assignments(0, 4)
    await slots.claim(0, given)
    assert list(await slots.links(range(2, 9))) == [2, 3]
    assert await slots.read_many(range(2, 9)) == given[2:]


async def test_a_slot_whose_message_is_gone_is_damage(store, slots):
    given = await assignments(0, 1)
    await slots.claim(0, given)
    await store.delete([key for key in await store.list() if not key.startswith("name/")])
    with pytest.raises(CorruptData, match="Slot 0"):
        await Slots(Cache(store), PROCESS).read(0)


async def test_copies_lie_apart_and_may_begin_anywhere(store, slots):
    copies = Slots(Cache(store), PROCESS, copies=True)
    given = await assignments(500, 3)
    await copies.copy(given)
    await copies.copy(given)
    assert await copies.read_whole(501) == given[1]
    assert await slots.newest() == -1


class Counting(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def get_current(self, key: str) -> bytes | None:
        self.looks += 1
        return await super().get_current(key)


@given(count=st.integers(0, 3000), known=st.integers(-1, 2999))
@settings(max_examples=60)
async def test_the_newest_slot_is_found_with_few_looks(count, known):
    store = Counting()
    slots = Slots(Cache(store), PROCESS)
    await store.put({f"name/{slots.name(n)}": _named for n in range(count)})
    slots._cache.lookup = _lookup(store)  # type: ignore[method-assign]
    assert await slots.newest(min(known, count - 1)) == count - 1
    assert store.looks <= 2 * max(count, 1).bit_length() + 2


_named = b"a name"


def _lookup(store: Counting):
    async def lookup(name: str) -> str | None:
        return None if await store.get_current(f"name/{name}") is None else "an id"

    return lookup
