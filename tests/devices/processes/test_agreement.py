"""Nodes with different stores that replay one schedule report the same states (spec/05 §10)."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cli.other_node import OtherNode
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.processes.conftest import Running, spawn
from tests.devices.processes.test_programs import COUNTER
from tests.devices.processes.test_rubbish import (
    LUA_RUBBISH,
    OPTIONS,
    WASM_RUBBISH,
    lua_guest,
    wasm_guest,
)
from tests.support.legacy_guest import PROGRAM, spawn_guest
from tests.support.shared_modules import shared_module

EVALS = (
    "return 1+1",
    "Count = (Count or 0) + 1; return Count",
    'Send({Target="Foo",Data="Bar",Action="Hi"}); return #ao.outbox.Messages',
    'error("boom")',
    "return math.random(100000)",
    "local t={} for i=1,500 do t[i]=tostring(i) end BIG=t return #t",
    "local ok,e=pcall(function() error({a=1}) end); return tostring(ok)",
)


async def _lua(node: Node) -> Running:
    module = {"content-type": "application/lua", "body": COUNTER}
    return await spawn(node, execution_device="lua@5.3a", module=module)


async def _copy_schedule(source: Cache, target: Cache, process: str, slots: int) -> None:
    """What the other node needs to replay: the definition, the image, and the assignments."""
    definition = await source.load_all(await source.read(process))
    await target.write(definition)
    if "image" in definition:
        image = await source.read(definition.text("image"))
        await target.write(await source.load_all(image))
    for slot in range(slots):
        name = f"~scheduler@1.0/assignments/{process}/{slot}"
        assignment = await source.read(await source.lookup(name))
        await target.write(await source.load_all(assignment), names=[name])


async def _ids(node: Node, process: str, slots: int) -> list[str]:
    running = Running(node, process)
    await running.state(slots - 1)
    return await running.ids(slots)


async def _agree(first: Node, process: Running, slots: int, tmp_path: Path, **options: int) -> None:
    """A node with another store and wallet, which begins in the middle, has the same states."""
    expected = await _ids(first, process.id, slots)
    assert len(set(expected)) == slots
    store = [f"fs:{tmp_path}/other"]
    options = {"process_snapshot_slots": 7, **options}
    wallet = generate_wallet("ed25519")
    async with running_node(store=store, wallet=wallet, **options) as other:
        await _copy_schedule(first.cache, other.cache, process.id, slots)
        await Running(other, process.id).state(slots // 2)
    # Started again, it goes on from a snapshot.
    async with running_node(store=store, wallet=wallet, **options) as other, served(other) as url:
        await Running(other, process.id).state(slots - 1)
        async with OtherNode(url, process.id) as asked:
            told = await asked.state_ids(range(slots))
    assert [told[slot] for slot in range(slots)] == expected


@pytest.fixture
async def node(tmp_path):
    async with running_node(store=[f"lmdb:{tmp_path}/data"]) as running:
        yield running


async def test_a_lua_process_on_two_nodes(node, tmp_path):
    process = await _lua(node)
    for number in range(40):
        await process.send(data="fail" if number % 7 == 3 else "go", number=number)
    await _agree(node, process, 41, tmp_path)


async def test_a_program_with_the_legacy_convention_on_two_nodes(node, tmp_path):
    process = await spawn_guest(node, bytes(wasmtime.wat2wasm(PROGRAM)), name="Thomas")
    for number in range(30):
        await process.send(data="x", number=number)
    await _agree(node, process, 31, tmp_path)


@pytest.fixture
def aos() -> bytes:
    return shared_module("aos-2-pure-xs.wasm")


async def test_two_hundred_slots_of_aos_on_two_nodes(node, aos, tmp_path):
    process = await spawn_guest(node, aos, name="Thomas")
    for number in range(199):
        await process.send(action="Eval", data=EVALS[number % len(EVALS)])
    await _agree(node, process, 200, tmp_path)
    assert await process.result(198, "data") != b""


@pytest.mark.parametrize(
    ("kind", "rubbish"), [(lua_guest, LUA_RUBBISH), (wasm_guest, WASM_RUBBISH)]
)
async def test_slots_that_failed_are_the_same_on_two_nodes(tmp_path, kind, rubbish):
    async with running_node(store=[f"lmdb:{tmp_path}/data"], **OPTIONS) as node:
        process = await kind(node)
        good = "good" if rubbish is LUA_RUBBISH else "#-"
        for data in rubbish.values():
            await process.send(data=data)
            last = await process.send(data=good)
        await _agree(node, process, last + 1, tmp_path, **OPTIONS)
