"""Guests that loop, grow, trap or answer rubbish: each ends its own slot, and nothing stays of it.

Lua and WebAssembly, in processes (spec/05 §2.8, spec/06 §7.5).
"""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import wasmtime

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.message import Atom
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, spawn
from tests.support.legacy_guest import spawn_guest

LUA = r"""
count = 0
function compute(base, req)
  count = count + 1
  base.results = {data = tostring(count)}
  if req.body.data == 'good' then return base end
  local scope = setmetatable({base = base, req = req}, {__index = _G})
  return assert(load(req.body.data, 'x', 't', scope))()
end
"""

LUA_RUBBISH = {
    "loops": "while true do end",
    "loops behind pcall": "while true do pcall(function() while true do end end) end",
    "allocates": "local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end",
    "recurses": "local function f() return 1 + f() end return f()",
    "raises": "error({code = 5})",
    "answers nothing": "return",
    "answers a number": "return 5",
    "answers an unknown status": "return 'maybe', base",
    "answers a cycle": "base.x = {} base.x.x = base.x return base",
    "answers what is no number": "base.x = 0 / 0 return base",
    "answers a false link": "base.results['x+link'] = 'no id' return base",
    "answers types": "base['ao-types'] = 'x=\"integer\"' return base",
    "answers a key that is no text": "base['\\255'] = 1 return base",
    "skips with a false link": "base['x+link'] = 'no id' return 'skip', base",
}

WASM = """
(module
  (memory (export "memory") i64 2 2000)
  (data (i64.const 1024)
    "{\\22ok\\22:true,\\22response\\22:{\\22Output\\22:{\\22data\\22:\\220\\22}}}\\00")
  (data (i64.const 2048) "{\\22ok\\22:true,\\22response\\22:{\\22a+link\\22:\\22no id\\22}}\\00")
  (data (i64.const 2500) "no JSON\\00")
  (data (i64.const 3000) "\\00\\20\\00\\00\\00\\00\\00\\00")
  (func (export "malloc") (param i64) (result i64)
    (i64.load (i64.const 3000))
    (i64.store (i64.const 3000) (i64.add (i64.load (i64.const 3000)) (local.get 0))))
  (func $recurse (result i64) (i64.add (i64.const 1) (call $recurse)))
  (func $grow
    (loop
      (if (i64.eq (memory.grow (i64.const 16)) (i64.const -1)) (then unreachable))
      (memory.fill
        (i64.mul (i64.sub (memory.size) (i64.const 16)) (i64.const 65536))
        (i32.const 1) (i64.const 1048576))
      (br 0)))
  (func $kind (param i64) (result i32)
    (loop
      (local.set 0 (i64.add (local.get 0) (i64.const 1)))
      (br_if 0 (i32.ne (i32.load8_u (local.get 0)) (i32.const 0x23))))
    (i32.load8_u offset=1 (local.get 0)))
  (func (export "handle") (param i64 i64) (result i64)
    (local $kind i32)
    (local.set $kind (call $kind (local.get 0)))
    (i32.store8 (i64.const 1065) (i32.add (i32.load8_u (i64.const 1065)) (i32.const 1)))
    (if (i32.eq (local.get $kind) (i32.const 0x4c)) (then (loop (br 0))))
    (if (i32.eq (local.get $kind) (i32.const 0x54)) (then unreachable))
    (if (i32.eq (local.get $kind) (i32.const 0x47)) (then (call $grow)))
    (if (i32.eq (local.get $kind) (i32.const 0x57))
      (then (loop (drop (memory.grow (i64.const 100000))) (br 0))))
    (if (i32.eq (local.get $kind) (i32.const 0x52)) (then (drop (call $recurse))))
    (if (i32.eq (local.get $kind) (i32.const 0x50)) (then (return (i64.const -5))))
    (if (i32.eq (local.get $kind) (i32.const 0x4a)) (then (return (i64.const 2500))))
    (if (i32.eq (local.get $kind) (i32.const 0x4b)) (then (return (i64.const 2048))))
    (i64.const 1024)))
"""
"""Does what the letter behind `#` in its message says, and counts what went well."""

WASM_RUBBISH = {
    "loops": "#L",
    "traps": "#T",
    "allocates": "#G",
    "wants more than there is, again and again": "#W",
    "recurses": "#R",
    "answers a false address": "#P",
    "answers no JSON": "#J",
    "answers a false link": "#K",
}

OPTIONS = {
    "lua_instruction_limit": 2_000_000,
    "lua_memory_limit": 32 << 20,
    "process_fuel_limit": 50_000_000,
    "wasm_memory_limit": 32 << 20,
}


@pytest.fixture
async def node():
    async with running_node(**OPTIONS) as running:
        yield running


async def lua_guest(node) -> Running:
    """A process whose messages say what it does wrong."""
    module = {"content-type": "application/lua", "body": LUA}
    return await spawn(node, execution_device="lua@5.3a", module=module)


async def wasm_guest(node) -> Running:
    """The same as a module."""
    return await spawn_guest(node, bytes(wasmtime.wat2wasm(WASM)), data="#-")


async def _ends_its_own_slot(process: Running, good: str, rubbish: str) -> None:
    before = await process.result(await process.send(data=good), "data")
    failed = await process.send(data=rubbish)
    after = await process.send(data=good)
    assert int(await process.result(after, "data")) == int(before) + 1
    assert await process.result(failed, "type") == Atom("error")
    assert len(await process.result(failed, "error")) > 0
    assert (await process.state(failed))["at-slot"] == failed


@pytest.mark.parametrize("rubbish", LUA_RUBBISH.values(), ids=LUA_RUBBISH)
async def test_a_lua_guest_ends_its_own_slot(node, rubbish):
    await _ends_its_own_slot(await lua_guest(node), "good", rubbish)


@pytest.mark.parametrize("rubbish", WASM_RUBBISH.values(), ids=WASM_RUBBISH)
async def test_a_wasm_guest_ends_its_own_slot(node, rubbish):
    await _ends_its_own_slot(await wasm_guest(node), "#-", rubbish)


class UnsigningDevice(Device):
    """Gives back its process without those who signed it."""

    name = "unsigning@1.0"

    @key
    async def init(self, base, request, context):
        definition = base["process"].uncommitted()
        return base.without("process").set_values({"process": definition})

    @key
    async def compute(self, base, request, context):
        signers = len(base["process"].signers)
        state = await self.init(base, request, context)
        return state.set(results={"signers": signers})


async def test_a_definition_keeps_its_signatures():
    async with running_node(devices={"unsigning@1.0": UnsigningDevice}) as node:
        process = await spawn(node, execution_device="unsigning@1.0")
        definition = await node.cache.load((await process.state(0))["process"])
        assert signed_id(definition) == process.id
        assert await process.result(0, "signers") == 1


async def test_a_program_can_not_change_its_definition(node):
    process = await lua_guest(node)
    await process.send(data="base.process = nil return base")
    await process.send(data="base.process = {x = 1} return base")
    definition = await node.cache.load((await process.state(2))["process"])
    assert definition.signers
    assert await process.result(await process.send(data="good"), "data") == b"3"


def _resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["lua", "wasm"])
async def test_a_hundred_such_slots_leave_no_memory_behind(node, kind):
    process = await (lua_guest(node) if kind == "lua" else wasm_guest(node))
    cases = list((LUA_RUBBISH if kind == "lua" else WASM_RUBBISH).values())

    async def fail(times: int) -> None:
        for number in range(times):
            await process.state(await process.send(data=cases[number % len(cases)]))

    await fail(2 * len(cases))
    before = _resident()
    await fail(100)
    # One guest that was forgotten has up to 32 MB.
    assert _resident() - before < 24 << 20
    good = "good" if kind == "lua" else "#-"
    assert await process.result(await process.send(data=good), "data") is not None
