"""A row of stores: who answers, who is filled, who decides, and what trouble looks like."""

from itertools import pairwise

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import BadRequest, ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import Store, StoreSpec, open_stores
from hyperbeam_trio.stores.memory import MemoryStore
from hyperbeam_trio.stores.tier import FAILURES_TO_OPEN, Tier
from hyperbeam_trio.stores.tiered import TieredStore
from hyperbeam_trio.testing.faults import FaultyStore


@pytest.fixture
def near():
    return FaultyStore(MemoryStore())


@pytest.fixture
def far():
    return FaultyStore(MemoryStore(), scope="remote")


@pytest.fixture
def row(near, far):
    return TieredStore([Tier(near), Tier(far, deadline=5)])


# Reading.


async def test_a_read_falls_through_and_fills_the_nearer_tiers(near, far, row):
    await far.put({"k": b"1"})
    assert await row.get("k") == b"1"
    far.broken = True
    assert await near.get("k") == b"1"
    assert await row.get("k") == b"1"
    assert await row.view("k", bytes) == b"1"


async def test_a_tier_may_decline_to_be_filled(near, far):
    row = TieredStore([Tier(near, fills=False), Tier(far)])
    await far.put({"k": b"1"})
    assert await row.get("k") == b"1"
    assert await near.get("k") is None


async def test_a_fill_never_replaces_a_newer_value(autojump_clock, near, far, row):
    await far.put({"k": b"old"})
    near.faults += [None, None, "delay"]
    async with trio.open_nursery() as nursery:
        # Finds nothing near, takes the old value from afar, and is held up before it fills.
        nursery.start_soon(row.get, "k")
        await trio.testing.wait_all_tasks_blocked()
        await row.put({"k": b"new"})
    assert await near.get("k") == b"new"


async def test_a_broken_tier_is_passed_over_when_another_has_the_key(near, far, row):
    await far.put({"k": b"1"})
    near.broken = True
    assert await row.get("k") == b"1"
    assert await row.view("k", bytes) == b"1"
    assert row.faults[near.describe()] >= 1


async def test_not_found_and_broken_are_told_apart(near, far, row):
    assert await row.get("k") is None
    far.broken = True
    with pytest.raises(StoreError, match="asked 2 tiers, 1 of them failed") as caught:
        await row.get("k")
    assert caught.value.status == 503


async def test_a_damaged_value_is_repaired_from_the_next_tier(near, far, row):
    await near.put({"k": b"damaged"})
    await far.put({"k": b"right"})
    near.faults += ["corrupt", "corrupt"]
    assert await row.get("k") == b"right"
    assert await near.get("k") == b"right"


async def test_damage_without_a_copy_is_reported(near, far, row):
    await near.put({"k": b"damaged"})
    near.faults += ["corrupt", "corrupt"]
    with pytest.raises(CorruptData):
        await row.get("k")


async def test_the_current_value_comes_from_the_authority(near, far, row):
    await near.put({"pointer": b"stale"})
    await far.put({"pointer": b"current"})
    assert await row.get("pointer") == b"stale"
    assert await row.get_current("pointer") == b"current"
    far.broken = True
    with pytest.raises(StoreError):
        await row.get_current("pointer")


async def test_the_authority_is_the_furthest_tier_that_takes_writes(near, far):
    archive = FaultyStore(MemoryStore())
    row = TieredStore([Tier(near), Tier(far), Tier(archive, writes=False)])
    await archive.put({"k": b"archived"})
    await far.put({"k": b"current"})
    assert await row.get_current("k") == b"current"


async def test_list_merges_all_tiers(near, far, row):
    await near.put({"a": b"", "c": b""})
    await far.put({"b": b"", "c": b"", "d": b""})
    assert await row.list() == ["a", "b", "c", "d"]
    assert await row.list(limit=2) == ["a", "b"]
    assert await row.list(after="b", limit=1) == ["c"]
    far.broken = True
    with pytest.raises(StoreError):
        await row.list()


async def test_a_read_without_waiting_is_left_to_the_nearest_tier():
    near = MemoryStore()
    row = TieredStore([Tier(near), Tier(MemoryStore())])
    await near.put({"k": b"1"})
    assert row.get_nowait("k") == b"1"
    with pytest.raises(trio.WouldBlock):
        row.get_nowait("none")
    assert TieredStore([Tier(near)]).get_nowait("none") is None


# Writing.


async def test_a_write_reaches_every_tier_that_takes_writes(near, far):
    archive = FaultyStore(MemoryStore())
    row = TieredStore([Tier(near), Tier(far), Tier(archive, writes=False)])
    await row.put({"k": b"1"})
    assert await row.create("slot", b"2")
    for store, expected in ((near, b"1"), (far, b"1"), (archive, None)):
        assert await store.get("k") == expected
    assert [await store.get("slot") for store in (near, far, archive)] == [b"2", b"2", None]


async def test_a_write_that_the_authority_refuses_is_nowhere(near, far, row):
    far.broken = True
    with pytest.raises(StoreError):
        await row.put({"k": b"1"})
    with pytest.raises(StoreError):
        await row.create("slot", b"1")
    assert await near.list() == []


async def test_the_authority_decides_a_create(near, far, row):
    await far.create("slot", b"theirs")
    assert not await row.create("slot", b"ours")
    assert await row.get("slot") == b"theirs"


async def test_the_authority_decides_a_claim(near, far, row):
    await far.create("slot/3", b"theirs")
    wanted = {f"slot/{n}": b"ours" for n in range(1, 6)}
    assert await row.claim(wanted, {"data/x": b"content"}) == 2
    assert await near.list() == ["data/x", "slot/1", "slot/2"]
    assert await far.list() == ["data/x", "slot/1", "slot/2", "slot/3"]


async def test_a_cancelled_write_does_not_leave_tiers_apart(autojump_clock, near, far, row):
    near.faults.append("delay")
    with trio.move_on_after(1):
        await row.put({"k": b"1"})
    assert await near.get("k") == await far.get("k") == b"1"


async def test_deleted_keys_are_gone_from_all_tiers(near, far, row):
    await row.put({"k": b"1"})
    await row.delete(["k"])
    assert await row.get("k") is None
    assert await far.get("k") is None


async def test_access_limits_what_a_row_does(near, far):
    row = TieredStore([Tier(near, writes=False, admin=False), Tier(far, writes=False, admin=False)])
    assert not row.writable
    with pytest.raises(StoreError, match="no tier takes writes"):
        await row.put({"k": b"1"})
    with pytest.raises(StoreError, match="no tier may delete"):
        await row.delete(["k"])


# Remote tiers.


async def test_a_slow_remote_is_given_up(autojump_clock, near, far, row):
    far.faults.append("delay")
    with pytest.raises(StoreError, match="no answer within 5 s"):
        await row.get("k")


async def test_equal_remote_reads_are_one(autojump_clock, far, row):
    await far.put({"k": b"1"})
    calls = far.calls
    far.faults.append("delay")
    row.tiers[1].deadline = 1000
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(row.get, "k")
    assert far.calls == calls + 1


async def test_a_failing_remote_is_left_alone_for_a_while(autojump_clock, far, row):
    await far.put({"k": b"1"})
    far.broken = True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreError, match="as was asked for"):
            await row.get("k")
    far.broken = False
    calls = far.calls
    with pytest.raises(StoreError, match="left alone") as caught:
        await row.get("k")
    assert caught.value.details["retry-after"] == 1
    assert far.calls == calls
    await trio.sleep(1.5)
    assert await row.get("k") == b"1"


async def test_a_remote_that_stays_broken_is_tried_ever_less(autojump_clock, far, row):
    far.broken = True
    start = trio.current_time()
    asked = []
    while trio.current_time() < start + 300:
        calls = far.calls
        with pytest.raises(StoreError):
            await row.get("k")
        if far.calls > calls:
            asked.append(trio.current_time() - start)
        await trio.sleep(0.5)
    pauses = [b - a for a, b in pairwise(asked[FAILURES_TO_OPEN:])]
    assert pauses == sorted(pauses)
    assert 4 < len(pauses) < 12
    assert pauses[-1] >= 60


async def test_a_cancelled_probe_lets_another_through(autojump_clock, far, row):
    far.broken = True
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(StoreError):
            await row.get("k")
    await trio.sleep(2)
    far.broken = False
    far.faults.append("delay")
    with trio.move_on_after(1):
        await row.get("k")
    assert await row.get("k") is None


async def test_a_bad_key_says_nothing_about_a_remote(far, row):
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(ValueError, match="key"):
            await row.get("a//b")
    assert await row.get("k") is None


# Opening.


async def test_a_row_is_opened_from_uris_with_policies(tmp_path):
    row = await open_stores(
        ["memory:?fill=no", f"lmdb:{tmp_path}/a", f"fs:{tmp_path}/b?access=read,admin&deadline=2"]
    )
    assert isinstance(row, TieredStore)
    assert [tier.fills for tier in row.tiers] == [False, True, True]
    assert [tier.writes for tier in row.tiers] == [True, True, False]
    assert row.describe() == f"memory > lmdb {tmp_path}/a > fs {tmp_path}/b"
    await row.close()


async def test_one_store_with_a_policy_is_a_row_of_one(tmp_path):
    row = await open_stores([f"lmdb:{tmp_path}/a?access=read"])
    with pytest.raises(StoreError, match="no tier takes writes"):
        await row.put({"k": b"1"})
    await row.close()


@pytest.mark.parametrize(
    ("specs", "complaint"),
    [
        (["memory:?access=raed", "memory:"], "expected some of read,write,admin"),
        (["memory:?write=later", "memory:"], "expected one of through, back"),
        (["memory:?access=write", "memory:?access=write"], "no tier may be read"),
        (["memory:", "memory:?write=back"], "durable tier"),
        (["memory:?deadline=-1", "memory:"], "positive number of seconds"),
        (["memory:", "nonsense:"], "no store of scheme 'nonsense'"),
        ([], "at least one store"),
    ],
)
async def test_a_row_that_cannot_work_is_a_config_error(specs, complaint):
    with pytest.raises(ConfigError, match=complaint):
        await open_stores(specs)


async def test_tiers_opened_before_a_bad_one_are_closed_again(tmp_path):
    with pytest.raises(ConfigError):
        await open_stores([f"lmdb:{tmp_path}/a", "nonsense:"])
    row = await open_stores([StoreSpec("lmdb", f"{tmp_path}/a", {"sync": False}), "memory:"])
    await row.close()


async def test_a_tier_that_fails_to_close_does_not_keep_others_open(near, far):
    class Stubborn(MemoryStore):
        async def close(self) -> None:
            raise StoreError("store stubborn: it does not close.")

    other: Store = MemoryStore()
    row = TieredStore([Tier(Stubborn()), Tier(other)])
    with pytest.raises(StoreError, match="does not close"):
        await row.close()
    with pytest.raises(StoreError, match="closed"):
        await other.get("k")


async def test_an_error_of_the_caller_passes_through(near, row):
    def refuse(_: memoryview) -> None:
        raise BadRequest("no such key in this record")

    await near.put({"k": b"1"})
    with pytest.raises(BadRequest):
        await row.view("k", refuse)
