"""process@1.0: slots become states, the same ones however they are reached (spec/05 §2)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.process import ProcessDevice
from hyperbeam_trio.errors import (
    BadRequest,
    InfiniteRecursion,
    NodeError,
    NotFound,
    RemoteError,
)
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, signed, spawn


class GatedDevice(Device):
    """Counts executions, and waits in every slot until the test opens the gate."""

    name = "gated@1.0"
    gate = trio.Event()
    begun = trio.Event()
    executed: list[int] = []
    failing: set[int] = set()

    @key
    async def compute(self, base, request, context):
        slot = request.int("slot")
        type(self).begun.set()
        await type(self).gate.wait()
        if slot in self.failing:
            raise RemoteError("The other side does not answer.")
        self.executed.append(slot)
        return base.set(results={"slot": slot})


@pytest.fixture
def gated():
    GatedDevice.gate, GatedDevice.begun = trio.Event(), trio.Event()
    GatedDevice.executed, GatedDevice.failing = [], set()
    GatedDevice.gate.set()
    return GatedDevice


async def test_a_definition_and_a_message_make_two_states(node):
    process = await spawn(node)
    assert await process.send(action="Ping") == 1
    state = await process.state(1)
    assert await node.cache.load_all(state["already-seen"]) == [1, 0]
    assert await process.result(1, "assignment-slot") == 1
    assert state["at-slot"] == 1
    assert state["initialized"] == b"true"
    assert state["input-prefix"] == b"process"
    assert state["device"] == b"process@1.0"
    assert not state.commitments


async def test_a_state_holds_the_signed_definition(node):
    process = await spawn(node)
    definition = await node.resolve(await process.state(0), "process")
    assert signed_id(definition) == process.id


@pytest.mark.parametrize(
    "path", ["compute=1", "compute&slot=1", "compute&slot+integer=1", "compute?slot=1"]
)
async def test_every_way_to_name_a_slot(node, path):
    process = await spawn(node)
    await process.send()
    state = await node.resolve(f"/{process.id}~process@1.0/{path}")
    assert state["at-slot"] == 1


async def test_a_slot_by_the_id_of_its_message(node):
    process = await spawn(node)
    message = await signed(Message(type="Message", target=process.id, action="Find me"))
    await process.send()
    slot = (await process.post(message)).int("slot")
    await process.send()
    found = await process.ask("compute", compute=signed_id(message))
    assert found["at-slot"] == slot == 2


async def test_a_message_that_has_no_slot(node):
    process = await spawn(node)
    with pytest.raises(NotFound, match="no slot for message"):
        await process.ask("compute", compute="A" * 43)


async def test_the_state_ids_are_equal_fresh_kept_and_from_a_snapshot(tmp_path):
    store = [f"lmdb://{tmp_path}/data"]
    async with running_node(store=store) as node:
        process = await spawn(node)
        for _ in range(5):
            await process.send()
        fresh = [unsigned_id(await process.state(slot)) for slot in range(6)]
        kept = [unsigned_id(await process.state(slot)) for slot in range(6)]
        await process.send()
    async with running_node(store=store) as node:
        resumed = unsigned_id(await Running(node, process.id).state(6))
    async with running_node() as node:
        replayed = await spawn(node)
        for _ in range(6):
            await replayed.send()
        assert unsigned_id(await replayed.state(6)) == resumed
        again = [unsigned_id(await replayed.state(slot)) for slot in range(6)]
    assert fresh == kept == again


async def test_two_nodes_with_different_stores_agree(tmp_path):
    ids = []
    for store in (f"lmdb://{tmp_path}/lmdb", f"fs://{tmp_path}/fs"):
        async with running_node(store=[store]) as node:
            process = await spawn(node, random_seed="the same")
            for number in range(20):
                await process.send(number=number)
            ids.append([unsigned_id(await process.state(slot)) for slot in range(21)])
    assert ids[0] == ids[1]


async def test_now_is_the_newest_slot_and_latest_the_newest_kept(node):
    process = await spawn(node)
    with pytest.raises(Exception, match="No cached state available"):
        await process.ask("latest")
    await process.state(0)
    await process.send()
    assert (await process.ask("latest"))["at-slot"] == 0
    assert (await process.ask("compute"))["at-slot"] == 0
    assert (await process.ask("now"))["at-slot"] == 1
    assert (await process.ask("latest"))["at-slot"] == 1


async def test_now_from_cache():
    async with running_node(process_now_from_cache=True) as node:
        process = await spawn(node)
        assert (await process.ask("now"))["at-slot"] == 0
        await process.send()
        assert (await process.ask("now"))["at-slot"] == 0


async def test_now_always_from_cache():
    async with running_node(process_now_from_cache="always") as node:
        process = await spawn(node)
        with pytest.raises(NodeError, match="No cached state available"):
            await process.ask("now")
        await process.state(0)
        await process.send()
        assert (await process.ask("now"))["at-slot"] == 0


async def test_now_from_cache_only_while_it_is_young(autojump_clock):
    async with running_node(process_now_from_cache=True, process_now_max_age=60) as node:
        process = await spawn(node)
        await process.state(0)
        await process.send()
        # Nobody knows whether the state of slot 0 was the present one.
        assert (await process.ask("now"))["at-slot"] == 1
        await process.send()
        await trio.sleep(59)
        assert (await process.ask("now"))["at-slot"] == 1
        await trio.sleep(2)
        assert (await process.ask("now"))["at-slot"] == 2


async def test_what_an_earlier_run_kept_is_of_no_known_age(tmp_path, mock_clock):
    options = {"process_now_from_cache": True, "process_now_max_age": 60}
    options["store"] = [f"lmdb://{tmp_path}/data"]
    options["priv_key_location"] = str(tmp_path / "key.json")
    async with running_node(**options) as node:
        process = await spawn(node)
        assert (await process.ask("now"))["at-slot"] == 0
        await process.send()
        assert (await process.ask("now"))["at-slot"] == 0
    async with running_node(**options) as node:
        again = Running(node, process.id)
        assert (await again.ask("now", **{"cache-control": "only-if-cached"}))["at-slot"] == 0
        # However short the restart was: asked first, the scheduler says what is the present slot.
        assert (await again.ask("now"))["at-slot"] == 1
        await again.send()
        mock_clock.jump(59)
        assert (await again.ask("now"))["at-slot"] == 1
        mock_clock.jump(2)
        assert (await again.ask("now"))["at-slot"] == 2


async def test_a_request_says_how_old_now_may_be(node, autojump_clock):
    process = await spawn(node)
    with pytest.raises(NodeError, match="No cached state available"):
        await process.ask("now", **{"cache-control": "only-if-cached"})
    assert (await process.ask("now", **{"max-age": 5}))["at-slot"] == 0
    await process.send()
    await trio.sleep(4)
    assert (await process.ask("now", **{"max-age": "5"}))["at-slot"] == 0
    assert (await process.ask("now", **{"cache-control": "only-if-cached"}))["at-slot"] == 0
    assert (await process.ask("now", **{"max-age": 3}))["at-slot"] == 1
    await process.send()
    assert (await process.ask("now"))["at-slot"] == 2


async def test_a_slot_that_is_not_scheduled(node):
    process = await spawn(node)
    with pytest.raises(NotFound, match="not yet available") as caught:
        await process.state(7)
    assert caught.value.details["attempted-slot"] == 1
    assert caught.value.details["phase"] == "get-schedule"
    assert caught.value.details["process-id"] == process.id
    assert (await process.state(0))["at-slot"] == 0


async def test_an_unsigned_definition_is_no_process(node):
    base = Message({"device": "process@1.0", "type": "Process"})
    with pytest.raises(BadRequest, match="process_has_no_signers"):
        await node.resolve(base, Message(path="compute", slot=0))


async def test_a_forged_definition_is_no_process(node):
    definition = await signed(Message(device="process@1.0", type="Process"))
    forged = definition.set(extra="x").with_commitments(definition.commitments.values())
    changed = Message({**forged, "type": "process"}).with_commitments(
        definition.commitments.values()
    )
    with pytest.raises(BadRequest, match="process_not_verified"):
        await node.resolve(changed, Message(path="compute", slot=0))


async def test_many_who_ask_share_one_computation(gated):
    async with running_node(devices={"gated@1.0": gated}) as node:
        process = await spawn(node, execution_device="gated@1.0")
        for _ in range(3):
            await process.send()
        async with trio.open_nursery() as nursery:
            for slot in (3, 0, 2, 3, 3):
                nursery.start_soon(process.state, slot)
        assert gated.executed == [0, 1, 2, 3]


async def test_who_goes_away_takes_no_computation_along(gated):
    gated.gate = trio.Event()
    async with running_node(devices={"gated@1.0": gated}) as node:
        process = await spawn(node, execution_device="gated@1.0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.state, 0)
            await gated.begun.wait()
            nursery.cancel_scope.cancel()
        gated.gate.set()
        assert (await process.state(0))["at-slot"] == 0
        assert gated.executed == [0]


async def test_a_passing_fault_fails_the_slot_until_it_has_passed(gated):
    gated.failing = {1}
    async with running_node(devices={"gated@1.0": gated}) as node:
        process = await spawn(node, execution_device="gated@1.0")
        other = await spawn(node, random_seed="other")
        await process.send()
        with pytest.raises(RemoteError) as caught:
            await process.state(1)
        assert caught.value.details["attempted-slot"] == 1
        assert caught.value.details["phase"] == "compute"
        assert (await other.state(0))["at-slot"] == 0
        assert (await process.state(0))["at-slot"] == 0
        gated.failing = set()
        assert (await process.state(1))["at-slot"] == 1
        assert gated.executed == [0, 1]


async def test_a_message_that_the_device_can_not_take_ends_its_own_slot(node):
    process = await spawn(node, execution_device="test-device@1.0")
    message = await signed(
        Message({"type": "Message", "target": process.id, "path": "no-such-key"})
    )
    slot = (await process.post(message)).int("slot")
    after = await process.send()
    assert await process.result(slot, "phase") == b"compute"
    assert await process.result(after, "assignment-slot") == after


async def test_a_process_that_needs_its_own_outcome_is_told_so():
    class NarcissusDevice(Device):
        """Looks at its own present state."""

        name = "narcissus@1.0"

        @key
        async def compute(self, base, request, context):
            pid = request.text("process")
            seen = await context.resolve(Link(pid), Message(path="compute", slot=0))
            return base.set(results={"seen": seen})

    async with running_node(devices={"narcissus@1.0": NarcissusDevice}) as node:
        process = await spawn(node, execution_device="narcissus@1.0")
        with pytest.raises(InfiniteRecursion):
            await process.state(0)


async def test_only_so_many_workers_stay_warm(gated):
    async with running_node(devices={"gated@1.0": gated}, process_workers_max=2) as node:
        processes = [
            await spawn(node, execution_device="gated@1.0", number=number) for number in range(5)
        ]
        for process in processes:
            await process.state(0)
        await trio.testing.wait_all_tasks_blocked()
        running = node.devices.get("process@1.0")._workers.names()
        assert running == sorted(process.id for process in processes[-2:])
        for process in processes:
            await process.send()
            assert (await process.state(1))["at-slot"] == 1


@pytest.mark.parametrize("idle", [100, 5000])
async def test_a_worker_that_nobody_asks_ends(gated, autojump_clock, idle):
    async with running_node(devices={"gated@1.0": gated}, process_worker_max_idle=idle) as node:
        process = await spawn(node, execution_device="gated@1.0")
        await process.state(0)
        workers = node.devices.get("process@1.0")._workers
        await trio.sleep(idle / 1000 - 0.05)
        assert workers.names() == [process.id]
        await trio.sleep(0.1)
        assert workers.names() == []
        await process.send()
        assert (await process.state(1))["at-slot"] == 1


async def test_as_execution_answers_and_leaves_no_trace(node):
    process = await spawn(node)
    await process.state(0)
    await trio.testing.wait_all_tasks_blocked()
    before = await node.store.list("")
    path = f"/{process.id}~process@1.0/as=execution/compute&slot=41&Action=Info"
    dry = await node.resolve(path)
    assert await node.cache.load_all(dry["already-seen"]) == [41, 0]
    assert dry["device"] == b"test-device@1.0"
    assert await node.store.list("") == before
    assert (await process.state(0))["at-slot"] == 0


class RawDevice(Device):
    """Answers as a compute unit does."""

    name = "raw@1.0"

    @key
    async def compute(self, base, request, context):
        return base.set(results={"raw": {"Output": {"data": "hello"}}})


async def test_a_dry_run_has_raw_at_the_top():
    async with running_node(devices={"raw@1.0": RawDevice}) as node:
        process = await spawn(node, execution_device="raw@1.0")
        await process.state(0)
        dry = await process.ask("as", **{"as": "execution"})
        answer = await node.resolve(dry, Message(path="compute", type="Message"))
        assert answer["raw"] == Message(Output={"data": "hello"})


async def test_results_of_a_slot_as_aoconnect_asks_for_them(node):
    process = await spawn(node)
    await process.send()
    await process.state(1)
    path = f"/{process.id}~process@1.0/compute/results=0"
    asked = await signed(Message(path=path, method="POST"))
    results = await node.resolve(asked)
    assert results["assignment-slot"] == 0


async def test_a_snapshot_is_what_the_device_gives(node):
    process = await spawn(node)
    assert await process.ask("snapshot") == Message()


class TestContract(DeviceContract):
    device = ProcessDevice
