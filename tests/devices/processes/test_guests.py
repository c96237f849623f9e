"""WebAssembly guests inside processes: a slot that fails fails alone (spec/05 §2.8, §2.9)."""

from __future__ import annotations

import pytest
import wasmtime

from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.errors import GuestTimeout
from hyperbeam_trio.message import Atom, Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, spawn

COUNTER = """
(module
  (memory (export "memory") 1 4)
  (func (export "add") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
    (i32.load (i32.const 0)))
  (func (export "spoil") (i32.store (i32.const 0) (i32.const 999)) unreachable)
  (func (export "forever") (i32.store (i32.const 0) (i32.const 7)) (loop (br 0)))
  (func (export "count") (param i32)
    (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
"""


@pytest.fixture
async def node():
    async with running_node(wasm_time_limit=0.3) as running:
        yield running


async def _counter(node, **keys) -> Running:
    image = await node.cache.write(Message(body=bytes(wasmtime.wat2wasm(COUNTER))))
    return await spawn(node, execution_device="wasm-64@1.0", image=image, **keys)


async def _add(process: Running, number: int) -> int:
    return await process.send(function="add", parameters=[number])


async def test_a_guest_lives_on_from_slot_to_slot(node):
    counter = await _counter(node)
    await _add(counter, 5)
    slot = await _add(counter, 6)
    assert await counter.result(slot, "output") == [11]
    assert await counter.result(slot - 1, "output") == [5]


async def test_a_guest_goes_on_from_its_snapshot_in_another_node(tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    async with running_node(store=store) as node:
        counter = await _counter(node)
        for number in (1, 2, 3):
            await _add(counter, number)
        assert await counter.result(3, "output") == [6]
        await _add(counter, 4)
    async with running_node(store=store) as node:
        resumed = await Running(node, counter.id).state(4)
        assert await Running(node, counter.id).result(4, "output") == [10]
    async with running_node() as node:
        replayed = await _counter(node)
        for number in (1, 2, 3, 4):
            await _add(replayed, number)
        assert replayed.id == counter.id
        assert unsigned_id(await replayed.state(4)) == unsigned_id(resumed)


async def test_a_memory_that_grew_goes_on_from_its_snapshot(tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    async with running_node(store=store) as node:
        counter = await _counter(node)
        slot = await counter.send(function="grow", parameters=[1])
        assert await counter.result(slot, "output") == [1]
        await _add(counter, 5)
        again = await counter.send(function="grow", parameters=[0])
    async with running_node(store=store) as node:
        assert await Running(node, counter.id).result(again, "output") == [2]


@pytest.mark.parametrize("function", ["spoil", "nowhere"])
async def test_a_guest_that_fails_ends_its_own_slot(node, function):
    counter = await _counter(node)
    await _add(counter, 5)
    failed = await counter.send(function=function, parameters=[])
    after = await _add(counter, 6)
    assert await counter.result(after, "output") == [11]
    assert await counter.result(failed, "type") == Atom("error")
    assert (await counter.state(failed))["at-slot"] == failed


async def test_fuel_ends_the_slot_of_a_guest_that_loops():
    async with running_node(wasm_fuel_limit=1_000_000) as node:
        counter = await _counter(node)
        await _add(counter, 5)
        failed = await counter.send(function="forever", parameters=[])
        after = await _add(counter, 6)
        assert await counter.result(after, "output") == [11]
        assert await counter.result(failed, "type") == Atom("error")
        assert await counter.result(failed, "limit") == b"fuel"
        assert b"fuel limit" in await counter.result(failed, "error")


async def test_without_any_option_a_process_is_metered():
    assert NodeConfig().process_fuel_limit == 10_000_000_000
    assert NodeConfig().wasm_fuel_limit is None


async def test_a_guest_that_loops_ends_its_slot_whatever_the_clock_says():
    async with running_node(process_fuel_limit=5_000_000) as node:
        counter = await _counter(node)
        await _add(counter, 5)
        failed = [await counter.send(function="forever", parameters=[]) for _ in range(3)]
        after = await _add(counter, 6)
        assert await counter.result(after, "output") == [11]
        for slot in failed:
            assert await counter.result(slot, "limit") == b"fuel"
            assert await counter.result(slot, "error") == b"Guest exceeded its fuel limit."


async def test_metering_shows_in_no_state():
    ids = []
    for limit in (None, 10_000_000_000, 100_000):
        async with running_node(process_fuel_limit=limit) as node:
            counter = await _counter(node)
            slots = [await _add(counter, number) for number in (5, 6)]
            ids.append([unsigned_id(await counter.state(slot)) for slot in slots])
    assert ids[0] == ids[1] == ids[2]


async def test_what_the_clock_ended_is_no_outcome():
    async with running_node(wasm_time_limit=0.01, process_fuel_limit=None) as node:
        counter = await _counter(node)
        await _add(counter, 5)
        slow = await counter.send(function="count", parameters=[2**30])
        with pytest.raises(GuestTimeout) as caught:
            await counter.state(slow)
        assert caught.value.status == 503
        assert caught.value.details["limit"] == "time"
        assert caught.value.details["attempted-slot"] == slow
        assert (await counter.ask("latest"))["at-slot"] == slow - 1
        node.reconfigure({"wasm-time-limit": 300})
        assert await counter.result(await _add(counter, 6), "output") == [11]
        assert await counter.result(slow, "type") == Atom("ok")


async def test_parameters_that_make_no_sense_end_their_own_slot(node):
    counter = await _counter(node)
    failed = await counter.send(function="add", parameters="rubbish")
    after = await _add(counter, 6)
    assert await counter.result(after, "output") == [6]
    assert await counter.result(failed, "type") == Atom("error")


async def test_a_guest_can_not_grow_without_end(node):
    counter = await _counter(node)
    slot = await counter.send(function="grow", parameters=[100_000])
    assert await counter.result(slot, "output") == [-1]
    assert await counter.result(await _add(counter, 2), "output") == [2]


async def test_a_dry_run_leaves_the_live_guest_as_it_was(node):
    counter = await _counter(node)
    await _add(counter, 5)
    await counter.state(1)
    dry = await counter.ask("as", **{"as": "execution"})
    asked = Message(path="compute", function="add", parameters=[100])
    answer = await node.resolve(dry, asked)
    output = await node.resolve(await node.resolve(answer, "results"), "output")
    assert await node.cache.load_all(output) == [105]
    assert await counter.result(await _add(counter, 1), "output") == [6]
