"""Processes whose programs are Lua, or modules with the legacy convention (spec/06 §4, §5)."""

from __future__ import annotations

import pytest
import wasmtime

from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.errors import GuestTimeout, UnknownMessage
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import signed, spawn
from tests.support.legacy_guest import PROGRAM, spawn_guest

COUNTER = """
count = 0
function compute(base, req)
  if req.body.data == 'loop' then while true do end end
  if req.body.data == 'fail' then count = 99; error('on demand') end
  count = count + 1
  base.results = {data = tostring(count), at = os.time()}
  return base
end
"""


async def _counter(node):
    module = {"content-type": "application/lua", "body": COUNTER}
    return await spawn(
        node, execution_device="lua@5.3a", module=await node.cache.write(Message(module))
    )


async def test_a_lua_process_keeps_its_globals_from_slot_to_slot(node):
    process = await _counter(node)
    for number in range(1, 4):
        slot = await process.send(data="go")
        assert await process.result(slot, "data") == str(number + 1).encode()
    state = await process.state(slot)
    definition = await node.cache.load(state["process"])
    assert definition.signers


async def test_an_error_in_lua_is_its_slots_outcome_and_leaves_no_trace(node):
    process = await _counter(node)
    failed = await process.send(data="fail")
    assert b"on demand" in await process.result(failed, "error")
    assert await process.result(await process.send(data="go"), "data") == b"2"


async def test_a_legacy_program_and_a_dry_run_that_leaves_no_trace(node):
    process = await spawn_guest(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    assert await process.result(await process.send(data="x"), "data") == b"2"
    seen = await process.ask("as", **{"as": "execution"})
    asked = Message({"path": "compute", "body": await signed(Message(data="dry"))})
    answer = await node.resolve(seen, asked)
    assert await node.resolve(answer, "raw/Output/data") == b"3"
    assert await process.result(await process.send(data="y"), "data") == b"3"
    sent = await process.result(2, "outbox")
    assert sent["1"]["from-process"] == process.id.encode()


async def test_a_loop_in_lua_ends_its_own_slot_by_its_instructions():
    async with running_node(lua_instruction_limit=1_000_000) as node:
        process = await _counter(node)
        looped = await process.send(data="loop")
        assert await process.result(looped, "limit") == b"instructions"
        assert await process.result(await process.send(data="go"), "data") == b"2"


async def test_a_loop_in_lua_that_the_clock_ended_has_no_outcome():
    async with running_node(lua_time_limit=0.02) as node:
        process = await _counter(node)
        looped = await process.send(data="loop")
        with pytest.raises(GuestTimeout):
            await process.state(looped)
        assert (await process.ask("latest"))["at-slot"] == looped - 1


READER = """
function compute(base, req)
  local status, value = ao.resolve(req.body.wanted, 'text')
  base.results = {status = status, value = value}
  return base
end
"""


async def _reader(node):
    module = {"content-type": "application/lua", "body": READER}
    return await spawn(node, execution_device="lua@5.3a", module=module)


async def test_what_is_not_stored_here_is_no_outcome(node):
    process = await _reader(node)
    wanted = Message(text="hello")
    slot = await process.send(wanted=unsigned_id(wanted))
    with pytest.raises(UnknownMessage) as caught:
        await process.state(slot)
    assert caught.value.details["attempted-slot"] == slot
    await node.cache.write(wanted)
    assert await process.result(slot, "value") == b"hello"


async def test_a_key_that_is_not_there_is_what_a_program_is_told(node):
    process = await _reader(node)
    slot = await process.send(wanted=await node.cache.write(Message(other="hello")))
    assert await process.result(slot, "status") == b"error"
    assert await process.result(slot, "value") == b"not_found"
