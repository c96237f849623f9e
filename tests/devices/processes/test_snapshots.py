"""Snapshots of processes: the same states from them, little room, and nothing believed unproven."""

from __future__ import annotations

import pytest
import trio
import wasmtime

from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.verify import Damage, Reference, verify
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import USER, Running, spawn
from tests.support.filled import collect
from tests.support.legacy_guest import PROGRAM, spawn_guest
from tests.support.shared_modules import shared_module

CODES = [
    "return 1+1",
    "Count = (Count or 0) + 1; return Count",
    'Send({Target="Foo", Data="Bar", Action="Hi"}); return #ao.outbox.Messages',
    'error("boom")',
    "Big = {}; for i = 1, 3000 do Big[i] = tostring(i) end; return #Big",
    "Count = (Count or 0) + 1; return Count",
]
"""What the messages of slots 1 and up say; a program that is not aos takes anything."""


@pytest.fixture(params=["wat", "aos"])
def program(request) -> bytes:
    if request.param == "wat":
        return bytes(wasmtime.wat2wasm(PROGRAM))
    return shared_module("aos-2-pure-xs.wasm")


async def begun(node: Node, program: bytes) -> Running:
    """A process of a program with the legacy convention, its messages scheduled."""
    process = await spawn_guest(node, program, authority=USER.address)
    for code in CODES:
        await process.send(action="Eval", data=code)
    return process


async def slots_with_snapshots(process: Running) -> list[int]:
    prefix = f"computed/{process.id}/snapshot/"
    names = await process.node.cache.names(prefix)
    return sorted(int(name.removeprefix(prefix)) for name in names)


async def kept(process: Running) -> None:
    """Wait until the worker has kept the snapshot of what it computed last."""
    await process.ask("snapshot")


async def forget_states(process: Running, *slots: int) -> None:
    """As if these slots had never been computed here."""
    keys = [f"name/computed/{process.id}/{kind}/{s}" for s in slots for kind in NAMED]
    await process.node.store.delete(keys)


NAMED = ("slot", "snapshot")


async def test_state_ids_are_equal_fresh_kept_and_from_any_snapshot(program, tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    last = len(CODES)
    async with running_node(store=store, process_snapshot_slots=1) as node:
        process = await begun(node, program)
        fresh = await process.ids(len(CODES) + 1)
        assert await process.ids(len(CODES) + 1) == fresh
        await kept(process)
        assert await slots_with_snapshots(process) == list(range(last + 1))
    for first in range(last, 0, -1):
        async with running_node(store=store, process_snapshot_slots=None) as node:
            process = Running(node, process.id)
            await forget_states(process, *range(first, last + 1))
            assert unsigned_id(await process.state(last)) == fresh[last]
            await kept(process)
    async with running_node() as node:
        # In one go, without a snapshot on the way, and in another node.
        process = await begun(node, program)
        await process.state(last)
        assert await process.ids(len(CODES) + 1) == fresh


async def test_without_either_option_nothing_is_snapped(program):
    none = {"process_snapshot_slots": None, "process_snapshot_time": None}
    async with running_node(**none) as node:
        process = await begun(node, program)
        await process.ids(len(CODES) + 1)
        await kept(process)
        assert await slots_with_snapshots(process) == []


async def test_a_snapshot_every_so_many_slots():
    async with running_node(process_snapshot_slots=3) as node:
        process = await begun(node, bytes(wasmtime.wat2wasm(PROGRAM)))
        await process.state(6)
        await kept(process)
        assert await slots_with_snapshots(process) == [0, 3, 6]


class HeavyDevice(Device):
    """Computes at once, and takes its time for a snapshot."""

    name = "heavy@1.0"

    @key
    async def compute(self, base, request, context):
        return base.set(results={"slot": request.int("slot")})

    @key
    async def snapshot(self, base, request, context):
        await trio.sleep(5)
        return Message(body="heavy")


async def test_snapshots_that_cost_more_than_they_save_wait_for_a_rest(autojump_clock):
    async with running_node(devices={"heavy@1.0": HeavyDevice}) as node:
        process = await spawn(node, execution_device="heavy@1.0")
        for slot in range(1, 4):
            await process.send()
            await process.state(slot)
        assert await slots_with_snapshots(process) == [1]
        await trio.sleep(10)
        assert await slots_with_snapshots(process) == [1, 3]


@pytest.mark.parametrize(("memory", "warm"), [(40, 3), (12, 2), (5, 1), (4, 1)])
async def test_only_so_much_memory_stays_warm(autojump_clock, memory, warm):
    options = {"devices": {"heavy@1.0": HeavyDevice}, "process_workers_memory": memory}
    async with running_node(**options) as node:
        processes = []
        for seed in range(3):
            processes.append(await spawn(node, execution_device="heavy@1.0", seed=seed))
            await processes[-1].state(0)
            await trio.sleep(10)
        workers = node.devices.get("process@1.0")._workers
        assert workers.names() == sorted(process.id for process in processes[-warm:])
        assert (await processes[0].state(0))["at-slot"] == 0


async def test_what_a_client_gets_is_the_memory_itself(program):
    async with running_node() as node:
        process = await begun(node, program)
        await process.state(1)
        snapshot = await process.ask("snapshot")
        assert list(snapshot) == ["3"]
        whole = await node.cache.load_all(snapshot)
        body = whole["3"]["body"]
        assert len(body) % 65536 == 0
        assert b"ok" in body
        link = (await node.cache.load(snapshot["3"]))["body"]
        assert link == Link(hash_id(body), "binary", len(body))


@pytest.mark.parametrize("gone", [False, True])
async def test_a_damaged_snapshot_is_passed_over(program, tmp_path, gone):
    store = [f"lmdb://{tmp_path}/data"]
    last = len(CODES)
    async with running_node(store=store, process_snapshot_slots=1) as node:
        process = await begun(node, program)
        fresh = await process.ids(len(CODES) + 1)
        await kept(process)
        await forget_states(process, last)
        newest = await node.cache.lookup(f"computed/{process.id}/snapshot/{last - 1}")
        body_id = (await node.cache.load(Link(newest)))["3"].id
        link = (await node.cache.load(Link(body_id)))["body"]
        page = (await node.store.get(f"parts/{link.id}")) or b""
        assert page
        if gone:
            await node.store.delete([f"message/{body_id}"])
        else:
            await node.store.put({f"parts/{link.id}": page[:-1] + b"!"})
    async with running_node(store=store) as node:
        assert unsigned_id(await Running(node, process.id).state(last)) == fresh[last]


async def test_pages_that_did_not_change_are_stored_once(program):
    async with running_node(process_snapshot_slots=1) as node:
        process = await begun(node, program)
        await process.state(1)
        await kept(process)
        before = await bytes_in(node)
        await process.state(2)
        await kept(process)
        assert await bytes_in(node) - before < 200_000


async def bytes_in(node: Node) -> int:
    total = 0
    for name in await node.store.list(""):
        total += await node.store.view(name, len) or 0
    return total


async def test_snapshots_live_through_the_collection_of_garbage(program, tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    last = len(CODES)
    async with running_node(store=store, process_snapshot_slots=1) as node:
        process = await begun(node, program)
        fresh = await process.ids(len(CODES) + 1)
        await kept(process)
        await forget_states(process, last)
        await collect(Collector(node.cache))
        findings = [f async for f in verify(node.store) if isinstance(f, Damage | Reference)]
        assert findings == []
    async with running_node(store=store) as node:
        assert unsigned_id(await Running(node, process.id).state(last)) == fresh[last]


@pytest.mark.parametrize(("wanted", "there"), [(1, [6]), (2, [4, 5, 6]), (5, [2, 3, 4, 5, 6])])
async def test_only_the_newest_snapshots_are_kept(wanted, there):
    options = {"process_snapshot_slots": 1, "process_snapshots_kept": wanted}
    async with running_node(**options) as node:
        process = await begun(node, bytes(wasmtime.wat2wasm(PROGRAM)))
        await process.ids(len(CODES) + 1)
        await kept(process)
        found = await slots_with_snapshots(process)
        assert found[-wanted:] == there[-wanted:]
        assert len(found) < 2 * wanted or wanted == 1
        assert await all_states(process)


async def all_states(process: Running) -> bool:
    """Whether the state of every slot is still there."""
    names = await process.node.cache.names(f"computed/{process.id}/slot/")
    return len(names) == len(CODES) + 1


async def test_a_process_goes_on_from_those_that_are_kept(program, tmp_path):
    options = {"store": [f"lmdb://{tmp_path}/data"], "process_snapshots_kept": 2}
    last = len(CODES)
    async with running_node(process_snapshot_slots=1, **options) as node:
        process = await begun(node, program)
        fresh = await process.ids(len(CODES) + 1)
        await kept(process)
    async with running_node(**options) as node:
        process = Running(node, process.id)
        before = await bytes_in(node)
        await collect(Collector(node.cache))
        assert await bytes_in(node) < before
        findings = [f async for f in verify(node.store) if isinstance(f, Damage | Reference)]
        assert findings == []
        await forget_states(process, last)
        assert unsigned_id(await process.state(last)) == fresh[last]
        # Farther back than any snapshot: from the beginning.
        await node.store.delete([f"name/computed/{process.id}/slot/{s}" for s in range(1, last)])
    async with running_node(**options) as node:
        process = Running(node, process.id)
        assert unsigned_id(await process.state(2)) == fresh[2]


async def test_a_worker_that_comes_later_lets_go_of_what_was_left(tmp_path):
    options = {"store": [f"lmdb://{tmp_path}/data"], "process_snapshot_slots": 1}
    async with running_node(process_snapshots_kept=None, **options) as node:
        process = await begun(node, bytes(wasmtime.wat2wasm(PROGRAM)))
        await process.ids(len(CODES) + 1)
        await kept(process)
        assert await slots_with_snapshots(process) == list(range(len(CODES) + 1))
    async with running_node(process_snapshots_kept=2, **options) as node:
        process = Running(node, process.id)
        slot = await process.send(action="Eval", data="x")
        await process.state(slot)
        await kept(process)
        assert await slots_with_snapshots(process) == [slot - 1, slot]


async def test_snapshots_that_do_not_do_drive_out_none_that_do(tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    options = {"store": store, "process_snapshot_slots": 1, "process_snapshots_kept": 2}
    last = len(CODES)
    async with running_node(**options) as node:
        process = await begun(node, bytes(wasmtime.wat2wasm(PROGRAM)))
        await process.ids(last + 1)
        await kept(process)
        # As after an update that can't read those of the version before.
        for slot in (last - 1, last):
            name = f"computed/{process.id}/snapshot/{slot}"
            await node.cache.write(Message(body="of another version"), names=[name])
        slots = range(1, last + 1)
        await node.store.delete([f"name/computed/{process.id}/slot/{slot}" for slot in slots])
    async with running_node(**options) as node:
        process = Running(node, process.id)
        await process.state(1)
        await kept(process)
        assert set(await slots_with_snapshots(process)) == {0, 1, last - 1, last}


async def test_where_the_store_keeps_everything_so_do_processes(monkeypatch):
    async def delete(keys):
        raise StoreError("Nothing is deleted here.")

    async with running_node(process_snapshot_slots=1, process_snapshots_kept=1) as node:
        monkeypatch.setattr(node.store, "delete", delete)
        process = await begun(node, bytes(wasmtime.wat2wasm(PROGRAM)))
        await process.ids(len(CODES) + 1)
        await kept(process)
        assert await slots_with_snapshots(process) == list(range(len(CODES) + 1))
