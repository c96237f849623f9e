"""Instructions that take long count accordingly, so that fuel ends a guest, not the clock
(spec/06 §7.5)."""

from __future__ import annotations

import pytest
import wasmtime

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm.engine import configuration
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.layout import read_layout
from hyperbeam_trio.devices.wasm.surcharges import CALL_FUEL, THROW_FUEL, surcharge, surcharged
from hyperbeam_trio.errors import GuestLimit

from .conftest import assemble

COSTLY = {
    "memory.grow": "(drop (memory.grow (i32.const 0)))",
    "memory.grow in vain": "(drop (memory.grow (i32.const -1)))",
    "table.grow": "(drop (table.grow $functions (ref.null func) (i32.const 0)))",
    "table.init": "(table.init $functions $some (i32.const 0) (i32.const 0) (i32.const 1))",
    "elem.drop": "(elem.drop $some)",
    "memory.fill": "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
    "ref.func": "(table.set $functions (i32.const 0) (ref.func $nothing))",
}
CHEAP = {
    "memory.size": "(drop (memory.size))",
    "memory.copy": "(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))",
    "i32.store": "(i32.store (i32.const 0) (i32.const 8))",
    "call": "(call $nothing)",
}
THROWN = {
    "throw": "(block $caught (try_table (catch $wrong $caught) (throw $wrong)))",
    "throw_ref": """
        (block $caught (result exnref)
          (try_table (catch_all_ref $caught) (throw $wrong)) (unreachable))
        (block $again (param exnref) (try_table (param exnref) (catch_all $again) (throw_ref)))
    """,
}


def repeating(instruction: str) -> str:
    """A module that does this so often as its argument says."""
    return f"""
    (module
      (import "env" "unused" (func))
      (memory 1 2)
      (table $functions 4 8 funcref)
      (tag $wrong)
      (func $nothing)
      (elem $some func $nothing)
      (elem declare func $nothing)
      (start $nothing)
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "repeat") (param $times i32) (result i32)
        (loop $again
          {instruction}
          (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
        (i32.const 7)))
    """


def fuel_for_one(guest, instruction: str) -> int:
    """What one more of these counts, everything around it left out."""
    metered = guest(repeating(instruction), limits=Limits(fuel=100 * THROW_FUEL))
    empty = guest(repeating(""), limits=Limits(fuel=1000))
    used = []
    for one in (metered, empty):
        for times in (3, 4):
            assert one.call("repeat", [times]) == [7]
            used.append(one.fuel_used)
    return used[1] - used[0] - (used[3] - used[2])


@pytest.mark.parametrize("instruction", COSTLY.values(), ids=COSTLY)
def test_what_calls_into_the_engine_counts_as_a_hundred(guest, instruction):
    assert CALL_FUEL < fuel_for_one(guest, instruction) < CALL_FUEL + 10


@pytest.mark.parametrize("instruction", CHEAP.values(), ids=CHEAP)
def test_what_does_not_counts_as_ever(guest, instruction):
    assert 0 < fuel_for_one(guest, instruction) < 10


@pytest.mark.parametrize(("kind", "count"), [("throw", 1), ("throw_ref", 2)])
def test_an_exception_counts_as_all_the_calls_that_it_may_end(guest, kind, count):
    instruction = THROWN[kind]
    assert 1 <= fuel_for_one(guest, instruction) / (count * THROW_FUEL) < 1.01


@pytest.mark.parametrize("instruction", [*COSTLY.values(), *THROWN.values()])
def test_a_loop_of_them_is_ended_by_its_fuel_at_the_same_place(guest, instruction):
    left = []
    for _ in range(2):
        metered = guest(repeating(instruction), limits=Limits(fuel=THROW_FUEL * 10, seconds=1e6))
        with pytest.raises(GuestLimit) as caught:
            metered.call("repeat", [0])
        assert caught.value.details["limit"] == "fuel"
        left.append(metered.fuel_used)
    assert left[0] == left[1]


def test_growing_does_what_it_did(guest):
    for limits in (Limits(), Limits(fuel=10_000)):
        growing = guest(repeating(""), limits=limits)
        assert [growing.call("grow", [pages])[0] for pages in (1, 0, 1)] == [1, 2, -1]


def test_a_module_without_them_stays_as_it_is():
    sections = binary.read_sections(assemble(repeating("").replace("memory.grow", "i32.clz")))
    plain = [part for part in sections if part[0] != binary.CUSTOM]
    assert surcharge(plain, read_layout(plain)) is plain


@pytest.mark.parametrize("instruction", [*COSTLY.values(), *CHEAP.values(), *THROWN.values()])
def test_what_comes_out_is_a_module_with_the_same_outside(instruction):
    engine = wasmtime.Engine(configuration(metered=True))
    image = assemble(repeating(instruction))
    before = wasmtime.Module(engine, image)
    after = wasmtime.Module(engine, surcharged(image))
    assert [e.name for e in after.exports] == [e.name for e in before.exports]
    assert [(i.module, i.name) for i in after.imports] == [
        (i.module, i.name) for i in before.imports
    ]
