"""Turns of nodes that share a far store: one at a time, none for ever, and slots without them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.devices.scheduling.turns import COURTESY_SECONDS, STALE_SECONDS, Turns
from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.message import Message
from hyperbeam_trio.stores.memory import MemoryStore
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.world import current, ping, post, spawn

PROCESS = "p" * 43


class Far(MemoryStore):
    """A memory store that several nodes are said to meet in; `stuck` makes deleting fail."""

    shared = True
    stuck = False

    async def delete(self, keys: Sequence[str]) -> None:
        if self.stuck:
            raise StoreError("The store does not delete now.")
        await super().delete(keys)


def of(*, by: str, slots: range) -> list[Message]:
    return [Message(slot=slot, by=by, body=Message(of=slot, by=by)) for slot in slots]


async def far() -> Far:
    return await Far.open("", {})


async def test_one_node_at_a_time_has_the_turn(autojump_clock: MockClock) -> None:
    store, order = await far(), list[str]()

    async def work(name: str) -> None:
        turns = Turns(store, PROCESS)
        for _ in range(3):
            await turns.take()
            order.append(f"{name} begins")
            await trio.sleep(0.1)
            order.append(f"{name} ends")
            await turns.leave(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "a")
        nursery.start_soon(work, "b")
    pairs = list(zip(order[::2], order[1::2], strict=True))
    assert len(pairs) == 6
    assert all(begin.split()[0] == end.split()[0] for begin, end in pairs)


async def test_a_node_among_others_lets_them_have_the_next_turn(autojump_clock: MockClock) -> None:
    store, order = await far(), list[str]()

    async def work(name: str) -> None:
        turns = Turns(store, PROCESS)
        turns.met_others()
        for _ in range(4):
            await turns.take()
            order.append(name)
            await trio.sleep(0.1)
            await turns.leave(0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "a")
        nursery.start_soon(work, "b")
    assert "".join(order) in ("abababab", "babababa")


async def test_a_node_alone_does_not_wait(autojump_clock: MockClock) -> None:
    turns = Turns(await far(), PROCESS)
    begun = trio.current_time()
    for _ in range(3):
        await turns.take()
        await turns.leave(0)
    assert trio.current_time() - begun < COURTESY_SECONDS


async def test_a_turn_that_is_held_is_taken_again_at_once(autojump_clock: MockClock) -> None:
    turns = Turns(await far(), PROCESS)
    await turns.take()
    begun = trio.current_time()
    await turns.take()
    assert trio.current_time() == begun


async def test_a_holder_that_died_is_passed_over(autojump_clock: MockClock) -> None:
    store = await far()
    await Turns(store, PROCESS).take()
    begun = trio.current_time()
    await Turns(store, PROCESS).take()
    assert STALE_SECONDS < trio.current_time() - begun < 2 * STALE_SECONDS


async def test_a_turn_that_can_t_be_ended_harms_nobody(autojump_clock: MockClock) -> None:
    store = await far()
    turns = Turns(store, PROCESS)
    await turns.take()
    store.stuck = True
    await turns.leave(5)
    store.stuck = False
    await turns.take()
    assert await turns.newest() == 5


async def test_who_comes_late_claims_nothing_and_goes_on_behind(autojump_clock: MockClock) -> None:
    store = await far()
    early, late = (Slots(Cache(store), PROCESS) for _ in range(2))
    assert await early.claim(0, of(by="early", slots=range(40))) == 40
    assert await late.claim(0, of(by="late", slots=range(2))) == 0
    assert await late.newest() == 39
    assert await late.claim(40, of(by="late", slots=range(40, 42))) == 2
    assert await early.newest(39) == 41


async def test_nodes_that_know_no_turns_can_take_slots_from_under_us() -> None:
    store = await far()
    ours = Slots(Cache(store), PROCESS)
    cache = Cache(store)
    await cache.claim({ours.name(1): Message(slot=1, by="somebody")})
    assert await ours.claim(0, of(by="us", slots=range(3))) == 1
    assert await ours.claim(1, of(by="us", slots=range(1, 3))) == 0


async def test_the_newest_slot_is_never_older_than_one_that_is_stored() -> None:
    store = await far()
    slots = Slots(Cache(store), PROCESS)
    await slots.claim(0, of(by="us", slots=range(3)))
    await Cache(store).claim({slots.name(3): Message(slot=3)})
    assert await Slots(Cache(store), PROCESS).newest() == 3


async def test_a_hint_without_its_slot_is_not_believed() -> None:
    store = await far()
    slots = Slots(Cache(store), PROCESS)
    await slots.claim(0, of(by="us", slots=range(3)))
    turns = Turns(store, PROCESS)
    await turns.take()
    await turns.leave(7)
    assert await Slots(Cache(store), PROCESS).newest() == 2


async def test_a_scheduler_ends_its_turn_when_all_that_waited_has_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MemoryStore, "shared", True)
    async with running_node(store="memory:") as node:
        process = await spawn(node)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(post, node, await ping(process, number=number))
        assert await current(node, process) == 20
        with trio.fail_after(5):
            while await node.store.get(f"turn/{process}") is not None:
                await trio.lowlevel.checkpoint()
        hint = await node.store.get(f"turn/{process}/newest")
        assert hint is not None
        assert int(hint) <= 20


async def test_ending_a_turn_that_is_not_held_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryStore, "shared", True)
    async with running_node(store="memory:") as node:
        process = await spawn(node)
        slots = Slots(node.cache, process)
        await slots.begin([])
        await slots.end(0)
        await slots.end(0)
        assert await node.store.get(f"turn/{process}") is None
