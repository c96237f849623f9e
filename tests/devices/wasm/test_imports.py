"""Host functions for imports (spec/06 §1.4)."""

from __future__ import annotations

from collections import Counter

import pytest

from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.imports import IMPORT_FUEL, MAX_DEPTH
from hyperbeam_trio.devices.wasm.signature import Signature
from hyperbeam_trio.errors import BadRequest, GuestError, GuestLimit, GuestTrap

CALLER = """
(module
  (import "env" "mixed" (func $mixed (param i32 i64 f32 f64) (result f64 i32 i64 f32)))
  (import "env" "void" (func $void (param i32)))
  (import "env" "answer" (func $answer (result i32)))
  (memory (export "memory") 1)
  (func (export "mixed") (param i32 i64 f32 f64) (result f64 i32 i64 f32)
    (call $mixed (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "void") (call $void (i32.const -1)))
  (func (export "answer") (result i32) (call $answer)))
"""

PING_PONG = """
(module
  (import "env" "pong" (func $pong (param i32) (result i32)))
  (func (export "ping") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $pong (i32.sub (local.get 0) (i32.const 1))))))))
"""


WAITING = """
(module
  (import "env" "clock" (func $clock (result i32)))
  (func (export "once") (result i32) (call $clock))
  (func (export "wait") (loop (br_if 0 (i32.eqz (call $clock))))))
"""


def answering(results):
    return lambda module, name, signature: lambda instance, arguments: results


def test_binder_is_asked_for_every_import_with_its_signature(guest):
    asked = []
    guest(CALLER, lambda *question: asked.append(question))
    assert asked == [
        ("env", "mixed", Signature("iIfF", "FiIf")),
        ("env", "void", Signature("i")),
        ("env", "answer", Signature("", "i")),
    ]


def test_arguments_are_signed_and_results_come_back(guest):
    def swap(instance, arguments):
        assert arguments == (-1, -2, 0.5, 1e300)
        return [1.5, 2, -3, 0.25]

    called = guest(CALLER, lambda module, name, signature: swap)
    assert called.call("mixed", [2**32 - 1, 2**64 - 2, 0.5, 1e300]) == [1.5, 2, -3, 0.25]


@pytest.mark.parametrize(
    ("results", "expected"), [([2**32 - 1], -1), ([7.0], 7), (["8"], 8), ((9,), 9)]
)
def test_results_are_converted_like_arguments(guest, results, expected):
    assert guest(CALLER, answering(results)).call("answer", []) == [expected]


@pytest.mark.parametrize("results", [[], [1, 2], None, 5])
def test_wrong_count_of_results_names_the_import(guest, results):
    with pytest.raises(GuestError, match=r"Import env\.answer must answer 1 numbers"):
        guest(CALLER, answering(results)).call("answer", [])


def test_result_that_is_no_number_names_the_import(guest):
    with pytest.raises(BadRequest, match=r"Import env\.answer: Result 1 is not a number"):
        guest(CALLER, answering(["x"])).call("answer", [])


@pytest.mark.parametrize("results", [None, [], [0], "anything"])
def test_void_import_may_answer_anything(guest, results):
    assert guest(CALLER, answering(results)).call("void", []) == []


def test_unknown_imports_answer_zeros_and_are_counted(guest):
    called = guest(CALLER)
    assert called.call("mixed", [1, 2, 3, 4]) == [0.0, 0, 0, 0.0]
    called.call("void", [])
    called.call("void", [])
    assert called.undefined_calls == Counter({"env.void": 2, "env.mixed": 1})
    assert called.memory.read(0, 1 << 16) == bytes(1 << 16)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_exception_of_a_host_function_reaches_the_caller(guest, error):
    def fail(instance, arguments):
        raise error

    called = guest(CALLER, lambda module, name, signature: fail)
    with pytest.raises(type(error)) as caught:
        called.call("answer", [])
    assert caught.value is error
    assert called.damaged


def test_guest_can_be_called_after_a_host_function_failed(guest):
    answers = iter([ValueError("no"), 5])

    def sometimes(instance, arguments):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    called = guest(CALLER, lambda module, name, signature: sometimes)
    with pytest.raises(ValueError, match="no"):
        called.call("answer", [])
    assert called.call("answer", []) == [5]


def test_host_function_may_call_the_guest_again(guest):
    def pong(instance, arguments):
        return instance.call("ping", arguments)

    assert guest(PING_PONG, lambda *_: pong).call("ping", [20]) == [20]


def test_host_function_may_use_the_same_prepared_function(guest):
    def pong(instance, arguments):
        (result,) = prepared([arguments[0]])
        assert prepared([1]) == [1]
        return [result]

    instance = guest(PING_PONG, lambda *_: lambda i, a: pong(i, a) if a[0] else [0])
    prepared = instance.function("ping")
    assert prepared([4]) == [4]


def test_endless_ping_pong_is_an_error_of_the_guest(guest):
    def pong(instance, arguments):
        return instance.call("ping", arguments)

    deep = guest(PING_PONG, lambda *_: pong)
    with pytest.raises(GuestTrap, match=f"more than {MAX_DEPTH} deep"):
        deep.call("ping", [1_000_000])
    assert deep.call("ping", [MAX_DEPTH]) == [MAX_DEPTH]


def test_trap_of_a_nested_call_reaches_the_caller(guest):
    nested = guest(
        """(module (import "env" "f" (func $f))
          (func (export "outer") call $f) (func (export "inner") unreachable))""",
        lambda *_: lambda instance, arguments: instance.call("inner", []),
    )
    with pytest.raises(GuestTrap, match="unreachable"):
        nested.call("outer", [])


def test_host_function_may_handle_the_trap_of_a_nested_call(guest):
    def careful(instance, arguments):
        with pytest.raises(GuestTrap):
            instance.call("inner", [])
        return [1]

    nested = guest(
        """(module (import "env" "f" (func $f (result i32)))
          (func (export "outer") (result i32) call $f) (func (export "inner") unreachable))""",
        lambda *_: careful,
    )
    assert nested.call("outer", []) == [1]
    assert nested.damaged


def test_a_call_of_an_import_counts_as_many_instructions(guest):
    calls = []

    def clock(module, name, signature):
        return lambda instance, arguments: calls.append(name) or [0]

    metered = guest(WAITING, clock, Limits(fuel=20 * IMPORT_FUEL))
    assert metered.call("once", []) == [0]
    assert IMPORT_FUEL < metered.fuel_used < IMPORT_FUEL + 10
    calls.clear()
    with pytest.raises(GuestLimit, match="fuel limit") as caught:
        metered.call("wait", [])
    assert caught.value.details["limit"] == "fuel"
    assert len(calls) == 19
    assert metered.call("once", []) == [0]


def test_a_guest_that_an_import_calls_uses_the_fuel_of_the_outer_call(guest):
    def pong(instance, arguments):
        return instance.call("ping", arguments)

    metered = guest(PING_PONG, answering_with(pong), Limits(fuel=5 * IMPORT_FUEL))
    assert metered.call("ping", [4]) == [4]
    assert metered.fuel_used > 4 * IMPORT_FUEL
    with pytest.raises(GuestLimit, match="fuel limit"):
        metered.call("ping", [5])


def answering_with(host):
    return lambda module, name, signature: host
