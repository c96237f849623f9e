"""Guests that are called before they are asked: nothing of it shows in a state (spec/05 §10)."""

from __future__ import annotations

import pytest
import wasmtime

from hyperbeam_trio.devices.wasm import series
from hyperbeam_trio.message import Atom, Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, signed
from tests.support.legacy_guest import ANSWER, spawn_guest

PROGRAM = f"""
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i64 i64 i64) (result i32)))
  (memory (export "memory") i64 4)
  (data (i64.const 1024) "{ANSWER}")
  (data (i64.const 3000) "\\00\\20\\00\\00\\00\\00\\00\\00")
  (data (i64.const 3008) "\\00\\04\\00\\00\\00\\00\\00\\00\\03\\00\\00\\00\\00\\00\\00\\00")
  (func (export "malloc") (param i64) (result i64)
    (i64.load (i64.const 3000))
    (i64.store (i64.const 3000) (i64.add (i64.load (i64.const 3000)) (local.get 0))))
  (func (export "handle") (param $at i64) (param i64) (result i64)
    ;; Counts; a message with `!` traps, one with `#` writes to the standard output, `%` takes
    ;; 300,000 instructions and `$` takes all there are.
    (local $turns i32)
    (local.set $turns (i32.const 100000))
    (loop $next
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)) (then unreachable))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 35)) (then (drop
        (call $write (i32.const 1) (i64.const 3008) (i64.const 1) (i64.const 3040)))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 36)) (then (loop (br 0))))
      (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 37)) (then (loop
        (br_if 0 (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br_if $next (i32.load8_u (local.get $at))))
    (i32.store8 (i64.const 1065) (i32.add (i32.const 48) (i32.rem_u
      (i32.add (i32.load8_u (i64.const 1065)) (i32.const 3)) (i32.const 10))))
    (i64.const 1024)))
"""
SLOTS = 40


@pytest.fixture(autouse=True)
def made_in_series(monkeypatch):
    """How many calls the guests made in each series."""
    made, run = [], series.Runner.run

    def counted(self, calls):
        outcomes = run(self, calls)
        made.append(len(outcomes))
        return outcomes

    monkeypatch.setattr(series.Runner, "run", counted)
    return made


async def _scheduled(node, words: dict[int, str]) -> Running:
    process = await spawn_guest(node, bytes(wasmtime.wat2wasm(PROGRAM)))
    for slot in range(1, SLOTS + 1):
        await process.send(data=words.get(slot, "x"))
    return process


@pytest.mark.parametrize(
    "words",
    [{}, {20: "!"}, {1: "!", 2: "!", 39: "!"}, {20: "#"}, {12: "#", 13: "!", 30: "#"}],
    ids=["plain", "a trap", "traps", "a file", "files and a trap"],
)
@pytest.mark.parametrize("fuel", [None, 10_000_000_000], ids=["not metered", "metered"])
async def test_states_are_those_of_a_process_computed_slot_by_slot(words, fuel, made_in_series):
    async with running_node(process_fuel_limit=fuel) as node:
        expected = await (await _scheduled(node, words)).ids(SLOTS + 1)
    assert not made_in_series
    async with running_node() as node:
        process = await _scheduled(node, words)
        await process.state(SLOTS)
        assert await process.ids(SLOTS + 1) == expected
    assert sum(made_in_series) > 2 * len(words)


async def test_snapshots_on_the_way_are_those_of_their_slots():
    async with running_node(process_snapshot_slots=7) as node:
        process = await _scheduled(node, {})
        expected = await process.ids(SLOTS + 1)
    async with running_node(process_snapshot_slots=7) as node:
        process = await _scheduled(node, {})
        await process.state(SLOTS)
        # Slot 14 is read from its snapshot, what follows is computed anew.
        prefix = f"computed/{process.id}/"
        later = [n for n in await node.cache.names(f"{prefix}slot/") if int(n.rsplit("/")[-1]) > 14]
        snapshots = await node.cache.names(f"{prefix}snapshot/")
        assert f"{prefix}snapshot/14" in snapshots
        assert len(later) == SLOTS - 14
        assert await process.ids(SLOTS + 1) == expected


async def test_a_dry_run_finds_the_newest_state(made_in_series):
    async with running_node() as node:
        process = await _scheduled(node, {})
        before = await process.result(SLOTS, "data")
        assert made_in_series
        seen = await process.ask("as", **{"as": "execution"})
        asked = Message({"path": "compute", "body": await signed(Message(data="dry"))})
        answer = await node.resolve(seen, asked)
        assert await node.resolve(answer, "raw/Output/data") != before
        slot = await process.send(data="y")
        assert await process.result(slot, "data") == await node.resolve(answer, "raw/Output/data")


async def test_a_slot_that_traps_is_an_error_and_the_next_goes_on():
    async with running_node() as node:
        process = await _scheduled(node, {20: "!"})
        await process.state(SLOTS)
        assert await process.result(20, "type") == Atom("error")
        data = [await process.result(slot, "data") for slot in (19, 21)]
        assert int(data[1]) == (int(data[0]) + 1) % 10


@pytest.mark.parametrize("broken", [2, 3])
async def test_a_series_that_fails_behind_leaves_its_calls_to_who_asks(broken, monkeypatch):
    async with running_node() as node:
        expected = await (await _scheduled(node, {})).ids(SLOTS + 1)
    begun, run = [], series.Runner.run

    def failing(self, calls):
        begun.append(calls)
        if len(begun) == broken:
            raise MemoryError("no room for a series")
        return run(self, calls)

    monkeypatch.setattr(series.Runner, "run", failing)
    async with running_node() as node:
        process = await _scheduled(node, {})
        await process.state(SLOTS)
        assert await process.ids(SLOTS + 1) == expected
    assert len(begun) == broken


FUEL = 1_000_000
"""Enough for a message with `%`, not for eight."""


@pytest.mark.parametrize(
    ("words", "ended"),
    [
        ({20: "$"}, [20]),
        ({1: "$", 2: "$", 39: "$"}, [1, 2, 39]),
        (dict.fromkeys(range(4, 30), "%"), []),
        ({20: "%", 21: "$", 22: "%", 23: "#"}, [21]),
    ],
    ids=["a loop", "loops", "long ones", "both"],
)
async def test_fuel_ends_the_same_slots_in_series(words, ended, made_in_series):
    async with running_node(process_fuel_limit=FUEL) as node:
        expected = await (await _scheduled(node, words)).ids(SLOTS + 1)
    assert not made_in_series
    async with running_node(process_fuel_limit=FUEL) as node:
        process = await _scheduled(node, words)
        await process.state(SLOTS)
        assert await process.ids(SLOTS + 1) == expected
        outcomes = [await process.result(slot) for slot in range(1, SLOTS + 1)]
    assert [slot for slot, out in enumerate(outcomes, 1) if out.get("limit") == b"fuel"] == ended
    assert sum(made_in_series) > 0
