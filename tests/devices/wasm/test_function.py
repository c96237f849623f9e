"""Calls of exports: arguments, results, traps, limits (spec/06 §1.2, §7.3, §7.5)."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.signature import Signature, convert_arguments
from hyperbeam_trio.devices.wasm.traps import FunctionNotFound, UncaughtException
from hyperbeam_trio.errors import BadRequest, GuestLimit, GuestTrap

from .conftest import assemble

FACTORIAL = """
(module
  (func $fac (export "fac") (param f64) (result f64)
    (if (result f64) (f64.lt (local.get 0) (f64.const 1))
      (then (f64.const 1))
      (else (f64.mul (local.get 0) (call $fac (f64.sub (local.get 0) (f64.const 1))))))))
"""

ECHO = """
(module
  (func (export "i") (param i32) (result i32) local.get 0)
  (func (export "I") (param i64) (result i64) local.get 0)
  (func (export "f") (param f32) (result f32) local.get 0)
  (func (export "F") (param f64) (result f64) local.get 0)
  (func (export "all") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
    local.get 3 local.get 2 local.get 1 local.get 0)
  (func (export "none"))
  (func (export "two") (param i32 i32))
  (func (export "vector") (param v128))
  (func (export "reference") (result funcref) ref.null func))
"""

TRAPS = """
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (type $void (func))
  (tag $tag)
  (func (export "unreachable") unreachable)
  (func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
  (func (export "outside") (result i32) (i32.load (i32.const 65536)))
  (func (export "null") (call_indirect (type $void) (i32.const 0)))
  (func $deep (export "deep") call $deep)
  (func (export "throw") (throw $tag))
  (func (export "forever") (loop br 0))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
"""


@pytest.fixture
def echo(guest) -> Instance:
    return guest(ECHO)


@pytest.fixture
def traps(guest) -> Instance:
    return guest(TRAPS)


def test_result_comes_as_a_list(guest):
    assert guest(FACTORIAL).call("fac", [5.0]) == [120.0]


def test_integer_arguments_serve_float_parameters(guest):
    assert guest(FACTORIAL).call("fac", [6]) == [720.0]


def test_numeric_text_serves_as_well(guest):
    assert guest(FACTORIAL).call("fac", ["4"]) == [24.0]


def test_prepared_function_is_called_like_the_instance(guest):
    factorial = guest(FACTORIAL).function("fac")
    assert factorial.signature == Signature("F", "F")
    assert factorial.call([5.0]) == factorial([5.0]) == [120.0]


def test_prepared_function_keeps_its_guest_alive(guest):
    answers = guest(
        '(module (import "m" "f" (func $f (result i32))) (func (export "g") (result i32) call $f))',
        lambda module, name, signature: lambda instance, arguments: [7],
    ).function("g")
    assert answers([]) == [7]


def test_void_function_gives_an_empty_list(echo):
    assert echo.call("none", []) == []
    assert echo.call("two", [1, 2]) == []


def test_several_results_come_in_order(echo):
    assert echo.call("all", [1, -2, 0.5, 1e300]) == [1e300, 0.5, -2, 1]


@given(value=st.integers() | st.floats(), code=st.sampled_from("iIfF"))
def test_every_call_sees_the_converted_argument(value, code):
    instance = Instance(ENGINE.compile(assemble(ECHO)))
    try:
        (expected,) = convert_arguments(code, Signature(code), [value])
    except BadRequest as error:
        with pytest.raises(BadRequest, match=error.text):
            instance.call(code, [value])
        return
    (result,) = instance.call(code, [value])
    assert result == expected or (math.isnan(result) and math.isnan(expected))


ENGINE = Engine()


@given(
    arguments=st.tuples(
        st.integers(), st.integers(), st.integers() | st.floats(width=32), st.floats()
    )
)
def test_long_signatures_convert_like_short_ones(arguments):
    instance = Instance(ENGINE.compile(assemble(ECHO)))
    expected = convert_arguments("all", Signature("iIfF"), arguments)
    found = instance.call("all", arguments)
    assert repr(found) == repr(list(reversed(expected)))


@pytest.mark.parametrize("name", ["F", "all"])
@pytest.mark.parametrize("arguments", [[], [1, 2], [1, 2, 3, 4, 5]])
def test_wrong_count_is_refused_before_the_guest_runs(echo, name, arguments):
    with pytest.raises(BadRequest, match=f"{name} takes . parameters, {len(arguments)} given"):
        echo.call(name, arguments)
    assert not echo.damaged


@pytest.mark.parametrize("value", [True, None, "x", [1]])
@pytest.mark.parametrize(("name", "others"), [("i", []), ("F", []), ("two", [1])])
def test_what_is_no_number_is_refused(echo, value, name, others):
    with pytest.raises(BadRequest, match=f"Parameter {len(others) + 1} is not a number"):
        echo.call(name, [*others, value])


@pytest.mark.parametrize("name", ["vector", "reference"])
def test_vectors_and_references_are_refused(echo, name):
    with pytest.raises(BadRequest, match="vector and reference types are not supported"):
        echo.call(name, [])


def test_missing_export_is_named(echo):
    with pytest.raises(FunctionNotFound, match=r"^Function not found: nope$"):
        echo.call("nope", [])
    with pytest.raises(FunctionNotFound, match=r"^Function not found: nope$"):
        echo.function("nope")


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("unreachable", [], "unreachable"),
        ("divide", [0], "integer divide by zero"),
        ("outside", [], "out of bounds memory access"),
        ("null", [], "uninitialized element"),
        ("deep", [], "call stack exhausted"),
    ],
)
def test_trap_carries_the_engines_text(traps, name, arguments, text):
    with pytest.raises(GuestTrap, match=text) as caught:
        traps.call(name, arguments)
    assert "<unknown>!" in caught.value.details["backtrace"]
    assert "\n" not in caught.value.text


def test_trap_marks_the_instance_as_damaged(traps):
    assert not traps.damaged
    with pytest.raises(GuestTrap):
        traps.call("unreachable", [])
    assert traps.damaged


def test_instance_can_be_called_after_a_trap(traps):
    with pytest.raises(GuestTrap):
        traps.call("divide", [0])
    assert traps.call("divide", [1]) == [1]


def test_uncaught_exception_is_a_trap_and_leaves_nothing_behind(traps):
    for _ in range(3):
        with pytest.raises(UncaughtException, match="thrown Wasm exception"):
            traps.call("throw", [])
    assert traps.call("divide", [1]) == [1]


async def test_runaway_guest_is_ended_while_the_epochs_run(guest, engine):
    traps = guest(TRAPS, limits=Limits(seconds=0.05))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run_epochs)
            with pytest.raises(GuestLimit, match="time limit") as caught:
                await trio.to_thread.run_sync(traps.call, "forever", [])
            nursery.cancel_scope.cancel()
    assert caught.value.status == 503
    assert caught.value.details["limit"] == "time"
    assert traps.damaged


async def test_runaway_guest_in_the_trio_thread_is_ended_too(guest, engine):
    traps = guest(TRAPS, limits=Limits(seconds=0.05))
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run_epochs)
        with pytest.raises(GuestLimit, match="time limit"):
            traps.call("forever", [])
        nursery.cancel_scope.cancel()


LOOP_WITH_IMPORT = """
(module
  (import "host" "tick" (func $tick))
  (func (export "echo") (param i32) (result i32) local.get 0)
  (func (export "spin") (param i32) (result i32)
    (loop $again
      (call $tick)
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0)))
    i32.const 1))
"""


def test_time_starts_anew_with_every_call_from_outside(guest, engine):
    def tick(instance, arguments):
        engine.epochs.tick()
        return []

    spinning = guest(LOOP_WITH_IMPORT, lambda *_: tick, Limits(seconds=0.1))
    for _ in range(5):
        assert spinning.call("spin", [8]) == [1]
    with pytest.raises(GuestLimit):
        spinning.call("spin", [50])


@pytest.mark.parametrize("seconds", [2**32 / 100, 1e300, float("inf")])
def test_very_long_limits_are_long(guest, engine, seconds):
    def tick(instance, arguments):
        engine.epochs.tick()
        return []

    spinning = guest(LOOP_WITH_IMPORT, lambda *_: tick, Limits(seconds=seconds))
    assert spinning.call("spin", [50]) == [1]


def test_a_call_from_an_import_does_not_buy_time(guest, engine):
    def tick(instance, arguments):
        engine.epochs.tick()
        instance.call("echo", [1])
        return []

    spinning = guest(LOOP_WITH_IMPORT, lambda *_: tick, Limits(seconds=0.1))
    with pytest.raises(GuestLimit):
        spinning.call("spin", [1000])


def test_memory_limit_makes_growth_fail_politely(guest):
    traps = guest(TRAPS, limits=Limits(memory=3 << 16))
    assert traps.call("grow", [2]) == [1]
    assert traps.call("grow", [1]) == [-1]
    assert not traps.damaged


def test_a_memory_that_begins_beyond_the_limit_is_a_limit_error(guest):
    with pytest.raises(GuestLimit, match="memory limit") as caught:
        guest(TRAPS, limits=Limits(memory=1000))
    assert caught.value.details["limit"] == "memory"


def test_fuel_is_counted_and_the_same_every_time(guest):
    metered = guest(FACTORIAL, limits=Limits(fuel=1_000_000))
    metered.call("fac", [5.0])
    used = metered.fuel_used
    assert 0 < used < 1000
    metered.call("fac", [5.0])
    assert metered.fuel_used == used
    metered.call("fac", [6.0])
    assert metered.fuel_used > used


def test_guest_without_fuel_left_is_ended(guest):
    metered = guest(TRAPS, limits=Limits(fuel=10_000))
    with pytest.raises(GuestLimit, match="fuel limit") as caught:
        metered.call("forever", [])
    assert caught.value.details["limit"] == "fuel"
    assert metered.call("divide", [1]) == [1]


def test_fuel_limit_needs_a_metered_image(engine):
    image = assemble(FACTORIAL)
    with pytest.raises(BadRequest, match="metered"):
        Instance(engine.compile(image), limits=Limits(fuel=1))
    with pytest.raises(BadRequest, match="metered"):
        Instance(engine.compile(image, metered=True))


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"memory": -1}, {"fuel": -1}])
def test_limits_below_zero_are_refused(limits):
    with pytest.raises(BadRequest, match="must be positive"):
        Limits(**limits)


def test_without_fuel_limit_no_fuel_is_counted(echo):
    echo.call("none", [])
    assert echo.fuel_used == 0
