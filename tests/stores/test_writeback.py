"""A tier that is written later: nothing is forgotten, not by a crash and not by a long outage."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import Busy, CorruptData, StoreError
from hyperbeam_trio.store import open_store
from hyperbeam_trio.stores import writeback
from hyperbeam_trio.stores.memory import MemoryStore
from hyperbeam_trio.stores.tier import Tier
from hyperbeam_trio.stores.tiered import TieredStore
from hyperbeam_trio.testing.faults import FaultyStore


class Durable(MemoryStore):
    """A memory store that is trusted with the queue, as a test may."""

    durable = True


@pytest.fixture
def near():
    return FaultyStore(Durable())


@pytest.fixture
def far():
    return FaultyStore(MemoryStore(), scope="remote")


@pytest.fixture
def row(near, far):
    return TieredStore([Tier(near), Tier(far, back=True)])


@pytest.fixture
async def served(row, nursery):
    await nursery.start(row.serve)
    return row


async def test_a_write_does_not_wait_for_the_tier_behind(far, row):
    far.broken = True
    await row.put({"k": b"1"})
    assert await row.create("slot", b"2")
    assert far.calls == 0


async def test_the_queue_brings_everything_behind(near, far, served):
    await served.put({"a": b"1", "b": b"2"})
    assert await served.create("slot", b"3")
    await served.put({"a": b"4"})
    await served.delete(["b"])
    await served.flush()
    far_now = {key: await far.get(key) for key in await far.list()}
    assert far_now == {"a": b"4", "slot": b"3"}
    assert await near.list("~writeback/") == []


async def test_the_queue_is_no_data(row):
    await row.put({"zebra": b"1"})
    await row.put({"~z": b"1"})
    assert await row.list() == ["zebra", "~z"]
    assert await row.list(limit=1, after="zebra") == ["~z"]


async def test_an_outage_is_survived(autojump_clock, far, served):
    far.broken = True
    for n in range(10):
        await served.put({f"{n}": b"x"})
        await trio.sleep(30)
    assert await far.inner.list() == []
    assert served._back[0].failures > 1
    far.broken = False
    await served.flush()
    assert len(await far.list()) == 10


async def test_items_go_behind_in_the_order_of_their_batch(autojump_clock, far, served):
    far.faults.append("torn")
    await served.put({"content": b"1", "name": b"2"})
    await trio.testing.wait_all_tasks_blocked()
    assert await far.inner.list() == ["content"]
    await served.flush()
    assert await far.list() == ["content", "name"]


async def test_what_was_queued_before_a_crash_is_sent_after_it(tmp_path, far):
    first = TieredStore([Tier(await open_store(f"lmdb:{tmp_path}/q")), Tier(far, back=True)])
    await first.put({"k": b"1"})
    await first.tiers[0].store.close()
    second = TieredStore([Tier(await open_store(f"lmdb:{tmp_path}/q")), Tier(far, back=True)])
    async with trio.open_nursery() as nursery:
        await nursery.start(second.serve)
        await second.flush()
        nursery.cancel_scope.cancel()
    assert await far.get("k") == b"1"
    await second.tiers[0].store.close()


async def test_a_lost_slot_is_not_sent_over_the_winner(near, far, served):
    await near.inner.create("slot", b"theirs")
    await far.put({"slot": b"theirs"})
    assert not await served.create("slot", b"ours")
    await served.flush()
    assert await far.get("slot") == b"theirs"


async def test_a_queue_that_is_full_says_busy(monkeypatch, row):
    monkeypatch.setattr(writeback, "MAX_NOTES", 2)
    await row.put({"a": b"1"})
    await row.put({"b": b"1"})
    with pytest.raises(Busy, match="2 writes wait"):
        await row.put({"c": b"1"})
    assert await row.get("c") is None


async def test_a_damaged_note_is_reported_and_stops_no_other(autojump_clock, near, far, served):
    far.broken = True
    await served.put({"a": b"1"})
    await served.put({"b": b"1"})
    await trio.testing.wait_all_tasks_blocked()
    note = (await near.list("~writeback/"))[0]

    class Damaged(FaultyStore):
        async def get(self, key: str) -> bytes | None:
            if key == note:
                raise CorruptData(f"store faulty: the record of {key!r} is damaged.")
            return await super().get(key)

    near.__class__ = Damaged
    far.broken = False
    with pytest.raises(CorruptData, match="damaged"):
        await served.flush()
    assert await far.list() == ["b"]
    assert served._back[0].stuck == 1


async def test_a_crash_between_queue_and_create_leaves_no_harm(near, far, served):
    near.faults += [None, "refuse"]
    with pytest.raises(StoreError):
        await served.create("slot", b"1")
    await served.flush()
    assert await far.list() == []
