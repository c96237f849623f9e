"""The scheduler of a process: slots without holes or repeats, whoever asks and whatever fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.wallet import RsaWallet, Wallet
from hyperbeam_trio.devices.scheduling.chain import extend_base, extend_chain
from hyperbeam_trio.devices.scheduling.server import (
    IDLE_SECONDS,
    PATIENCE_SECONDS,
    SMALL_GROUP,
    Scheduler,
)
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import Busy, DeadlineExceeded, Forbidden, HyperbeamError, StoreError
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node, open_node
from hyperbeam_trio.store import Store
from hyperbeam_trio.stores.memory import MemoryStore
from hyperbeam_trio.testing.node import fixed_wallet
from tests.devices.scheduling.world import current, definition, ping, post, spawn


class GatedStore(MemoryStore):
    """A memory store whose claims can be held up, and fail before or after they are done."""

    def __init__(self) -> None:
        super().__init__()
        self.open = trio.Event()
        self.open.set()
        self.claiming = trio.Event()
        self.fail_before = self.fail_after = 0
        self.claims: list[int] = []

    async def claim(self, keys: Mapping[str, bytes], content: Mapping[str, bytes]) -> int:
        self.claims.append(len(keys))
        self.claiming.set()
        await self.open.wait()
        if self.fail_before:
            self.fail_before -= 1
            raise StoreError("The disk is on fire.")
        created = await super().claim(keys, content)
        if self.fail_after:
            self.fail_after -= 1
            raise StoreError("The line went dead.")
        return created


@asynccontextmanager
async def running(
    store: Store | None = None, wallet: Wallet | None = None, **options: Any
) -> AsyncIterator[Node]:
    config = NodeConfig().with_options({"store": ["memory:"], "mode": "debug", **options})
    async with open_node(config, store=store, wallet=wallet or fixed_wallet()) as node:
        yield node


async def schedule(node: Node, process: str) -> list[Message]:
    """All assignments, read from the store."""
    slots = Slots(node.cache, process)
    return await slots.read_many(range(await slots.newest() + 1))


async def check_schedule(node: Node, process: str) -> list[Message]:
    """The schedule, its slots and its chain being as they should."""
    found = await schedule(node, process)
    chain = None
    for slot, assignment in enumerate(found):
        chain = extend_chain(chain, signed_id(assignment.message("body")))
        assert assignment.int("slot") == slot
        assert assignment.text("hash-chain") == chain
    return found


class Clients:
    """Senders of messages; `acknowledged` are the slots that they were told, by message id."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}
        self.refused: list[HyperbeamError] = []

    async def send(self, node: Node, process: str, name: str, count: int = 1) -> None:
        for number in range(count):
            message = await ping(process, data=f"{name}/{number}")
            try:
                assignment = await post(node, message)
            except HyperbeamError as error:
                self.refused.append(error)
                continue
            self.acknowledged[signed_id(message)] = assignment.int("slot")

    async def check(self, node: Node, process: str) -> None:
        """Every acknowledged slot is there, once, and holds that message."""
        found = await check_schedule(node, process)
        slots = list(self.acknowledged.values())
        assert len(set(slots)) == len(slots)
        for message, slot in self.acknowledged.items():
            assert signed_id(found[slot].message("body")) == message


@pytest.mark.parametrize("wallet", [None, RsaWallet.generate(2048)], ids=["ed25519", "rsa"])
async def test_64_clients_get_64_times_as_many_slots_as_one(wallet):
    async with running(wallet=wallet) as node:
        process = await spawn(node)
        clients = Clients()
        async with trio.open_nursery() as nursery:
            for number in range(64):
                nursery.start_soon(clients.send, node, process, f"{number}", 3)
        await clients.check(node, process)
        assert not clients.refused
        assert sorted(clients.acknowledged.values()) == list(range(1, 193))
        assert await current(node, process) == 192


@pytest.mark.parametrize("wallet", [fixed_wallet(), RsaWallet.generate(2048)], ids=["ed", "rsa"])
async def test_three_nodes_on_one_store_share_a_schedule(wallet):
    store = MemoryStore()
    async with (
        running(store, wallet) as one,
        running(store, wallet) as two,
        running(store, wallet) as three,
    ):
        process = await spawn(one)
        clients = Clients()
        async with trio.open_nursery() as nursery:
            for number in range(24):
                node = (one, two, three)[number % 3]
                nursery.start_soon(clients.send, node, process, f"{number}", 4)
        assert not clients.refused
        for node in (one, two, three):
            await clients.check(node, process)
            assert await current(node, process) == 96


async def test_the_same_message_gets_a_slot_as_often_as_it_is_posted(node):
    process = await spawn(node)
    message = await ping(process)
    assert [(await post(node, message)).int("slot") for _ in range(3)] == [1, 2, 3]


async def test_a_slot_taken_by_another_writer_is_left_to_it(node):
    process = await spawn(node)
    theirs = [Message({"slot": 1, "hash-chain": "A" * 43, "body": await ping(process)})]
    await Slots(node.cache, process).claim(1, theirs)
    assignment = await post(node, message := await ping(process))
    assert assignment.int("slot") == 2
    assert assignment.text("hash-chain") == extend_chain("A" * 43, signed_id(message))


async def test_a_schedule_goes_on_after_a_restart():
    store = MemoryStore()
    async with running(store) as node:
        process = await spawn(node)
        for _ in range(3):
            await post(node, await ping(process))
    async with running(store) as node:
        assert await current(node, process) == 3
        assert (await post(node, await ping(process))).int("slot") == 4
        assert len(await check_schedule(node, process)) == 5


async def test_nobody_is_answered_before_the_slot_is_written():
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        clients = Clients()
        store.open, store.claiming = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.send, node, process, "one")
            await store.claiming.wait()
            assert not clients.acknowledged
            assert await current(node, process) == 0
            store.open.set()
        await clients.check(node, process)
        assert await current(node, process) == 1


async def test_a_store_that_fails_costs_the_sender_its_slot_and_nobody_else():
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        store.fail_before = 1
        with pytest.raises(StoreError, match="on fire"):
            await post(node, await ping(process))
        assert (await post(node, await ping(process))).int("slot") == 1
        await check_schedule(node, process)


async def test_a_write_that_was_done_though_it_failed_is_acknowledged():
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        store.fail_after = 1
        assert (await post(node, await ping(process))).int("slot") == 1
        assert (await post(node, await ping(process))).int("slot") == 2
        await check_schedule(node, process)


async def test_a_full_queue_says_when_to_come_again():
    store = GatedStore()
    async with running(store, **{"scheduler-max-queue": 4}) as node:
        process = await spawn(node)
        clients = Clients()
        store.open = trio.Event()
        async with trio.open_nursery() as nursery:
            for number in range(80):
                nursery.start_soon(clients.send, node, process, f"{number}")
            await trio.testing.wait_all_tasks_blocked()
            assert clients.refused
            store.open.set()
        assert {type(error) for error in clients.refused} == {Busy}
        assert clients.refused[0].details == {"retry-after": 1}
        assert len(clients.acknowledged) + len(clients.refused) == 80
        await clients.check(node, process)


async def test_a_message_told_to_be_too_late_never_gets_a_slot(autojump_clock):
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        clients = Clients()
        store.open, store.claiming = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.send, node, process, "first")
            await store.claiming.wait()
            for number in range(100):
                nursery.start_soon(clients.send, node, process, f"{number}")
            await trio.sleep(PATIENCE_SECONDS + 1)
            assert clients.refused
            store.open.set()
        assert {type(error) for error in clients.refused} == {DeadlineExceeded}
        await clients.check(node, process)
        assert await current(node, process) == len(clients.acknowledged)


async def test_who_hangs_up_before_its_turn_uses_no_slot(autojump_clock):
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        clients = Clients()
        store.open, store.claiming = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.send, node, process, "first", 1)
            await store.claiming.wait()
            with trio.move_on_after(1):
                async with trio.open_nursery() as impatient:
                    for number in range(100):
                        impatient.start_soon(clients.send, node, process, f"{number}")
            assert _scheduler(node, process).statistics()["queued"] == 0
            store.open.set()
        found = await check_schedule(node, process)
        assert len(found) < 100


async def test_of_many_messages_half_are_written_while_the_others_are_answered(autojump_clock):
    store = GatedStore()
    async with running(store) as node:
        process = await spawn(node)
        clients = Clients()
        store.open, store.claiming = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(clients.send, node, process, "first")
            await store.claiming.wait()
            for number in range(2 * SMALL_GROUP + 4):
                nursery.start_soon(clients.send, node, process, f"{number}")
            await trio.testing.wait_all_tasks_blocked()
            store.open.set()
        assert store.claims[1:] == [1, SMALL_GROUP + 2, SMALL_GROUP, 2]
        await clients.check(node, process)


async def test_an_idle_scheduler_ends_and_is_started_again(autojump_clock, node):
    process = await spawn(node)
    assert node.schedulers.names() == [process]
    await trio.sleep(IDLE_SECONDS + 1)
    assert node.schedulers.names() == []
    assert await current(node, process) == 0
    assert (await post(node, await ping(process))).int("slot") == 1


async def test_those_who_wait_are_told_when_the_node_stops():
    store = GatedStore()
    clients = Clients()
    async with trio.open_nursery() as nursery, running(store) as node:
        process = await spawn(node)
        store.open, store.claiming = trio.Event(), trio.Event()
        nursery.start_soon(clients.send, node, process, "one")
        await store.claiming.wait()
    assert [error.status for error in clients.refused] == [503]


async def test_with_the_option_assignments_carry_their_base_hashpath():
    async with running(**{"scheduler-base-hashpath": True}) as node:
        process = await spawn(node)
        clients = Clients()
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(clients.send, node, process, f"{number}", 3)
        found = await check_schedule(node, process)
        base = process
        for before, assignment in zip([None, *found], found, strict=False):
            if before is not None:
                base = extend_base(base, signed_id(before))
            assert assignment.text("base-hashpath") == base


async def test_a_node_that_does_not_schedule_says_so_and_keeps_nothing():
    async with running(**{"scheduling-mode": "disabled"}) as node:
        process = await definition(node)
        with pytest.raises(Forbidden, match="scheduling-mode"):
            await post(node, process)
        assert await node.store.list() == []


def _scheduler(node: Node, process: str) -> Scheduler:
    found = node.schedulers.handle(process)
    assert isinstance(found, Scheduler)
    return found


async def test_an_unknown_hashpath_algorithm_holds_nobody_up():
    async with running(**{"scheduler-base-hashpath": True}) as node:
        process = await spawn(node, **{"hashpath-alg": "nonsense"})
        with trio.fail_after(10):
            second = await post(node, await ping(process))
            third = await post(node, await ping(process, data="again"))
    assert [second["slot"], third["slot"]] == [1, 2]
    assert {"base-hashpath"} <= second.keys() & third.keys()
