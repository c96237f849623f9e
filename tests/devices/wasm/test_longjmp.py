"""Emscripten's invoke_*, longjmp and memcpy (spec/06 §7.4)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.wasm.traps import UncaughtException
from hyperbeam_trio.errors import GuestTrap


def program(word: str, width: str, invoke: str) -> str:
    """A guest as emscripten makes it: a setjmp around functions that jump, trap or return.

    `word` is its pointer type, `width` the index type of its table.
    """
    return f"""
(module
  (import "env" "{invoke}" (func $invoke (param {word} {word} f64) (result f64)))
  (import "env" "invoke_v" (func $invoke_v (param {word})))
  (import "env" "_emscripten_throw_longjmp" (func $throw))
  (import "env" "_emscripten_memcpy_js" (func $copy (param {word} {word} {word})))
  (memory (export "memory") {word} 1)
  (global $sp (mut {word}) ({word}.const 4096))
  (global $threw (mut {word}) ({word}.const 0))
  (type $double (func (param {word} f64) (result f64)))
  (type $void (func))
  (table (export "__indirect_function_table") {width} 8 8 funcref)
  (elem (table 0) ({width or "i32"}.const 1) func $double $jump $nested $jump_void $divide)
  (func $double (type $double) (f64.mul (local.get 1) (f64.const 2)))
  (func $jump (type $double)
    (global.set $sp ({word}.sub (global.get $sp) ({word}.const 64)))
    (call $throw)
    unreachable)
  (func $jump_void (type $void) (call $throw))
  (func $nested (type $double)
    (call $invoke_v ({word}.const 4))
    (drop (call $invoke ({word}.const 2) ({word}.const 0) (f64.const 0)))
    (f64.const 77))
  (func $divide (type $double) (drop (i32.div_s (i32.const 1) (i32.const 0))) (f64.const 0))
  (func (export "emscripten_stack_get_current") (result {word}) global.get $sp)
  (func (export "_emscripten_stack_restore") (param {word}) (global.set $sp (local.get 0)))
  (func (export "setThrew") (param {word} i32) (global.set $threw (local.get 0)))
  (func (export "run") (param {word} f64) (result f64 {word} {word})
    (global.set $threw ({word}.const 0))
    (call $invoke (local.get 0) ({word}.const 0) (local.get 1))
    global.get $threw global.get $sp)
  (func (export "jump") (call $throw))
  (func (export "copy") (param {word} {word} {word})
    (call $copy (local.get 0) (local.get 1) (local.get 2))))
"""


@pytest.fixture(
    params=[("i32", "", "invoke_did"), ("i64", "", "invoke_djd"), ("i64", "i64", "invoke_x")]
)
def jumping(request, guest):
    return guest(program(*request.param))


DOUBLE, JUMP, NESTED, DIVIDE = 1, 2, 3, 5


def test_function_that_returns_gives_its_result(jumping):
    assert jumping.call("run", [DOUBLE, 21.0]) == [42.0, 0, 4096]


def test_longjmp_comes_back_with_zero_threw_set_and_the_stack_as_before(jumping):
    assert jumping.call("run", [JUMP, 21.0]) == [0.0, 1, 4096]


def test_longjmp_ends_at_the_innermost_invoke(jumping):
    assert jumping.call("run", [NESTED, 0.0]) == [77.0, 1, 4096]


def test_trap_is_not_caught(jumping):
    with pytest.raises(GuestTrap, match="divide by zero"):
        jumping.call("run", [DIVIDE, 0.0])


def test_longjmp_that_nobody_waits_for_is_an_uncaught_exception(jumping):
    with pytest.raises(UncaughtException):
        jumping.call("jump", [])
    assert jumping.call("run", [JUMP, 1.0])[0] == 0.0


def test_empty_and_missing_slots_are_traps(jumping):
    for slot in (0, 7, 8, -1):
        with pytest.raises(GuestTrap):
            jumping.call("run", [slot, 0.0])


def test_memcpy_copies_within_the_guest(jumping):
    jumping.memory.write(10, b"Hello")
    jumping.call("copy", [13, 10, 5])
    assert jumping.memory.read(10, 8) == b"HelHello"
    with pytest.raises(GuestTrap, match="out of bounds"):
        jumping.call("copy", [65530, 0, 10])


def test_no_import_of_these_reaches_the_binder(guest):
    asked = []
    guest(program("i64", "", "invoke_djd"), lambda *question: asked.append(question))
    assert asked == []


def test_guest_that_can_not_catch_is_called_plainly(guest):
    plain = guest(
        """(module
          (import "any" "invoke_ii" (func $invoke (param i32 i32) (result i32)))
          (table 2 2 funcref) (elem (i32.const 1) func $next)
          (func $next (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
          (func (export "run") (param i32) (result i32)
            (call $invoke (i32.const 1) (local.get 0))))"""
    )
    assert plain.call("run", [4]) == [5]


def test_invoke_without_a_table_is_an_import_like_any_other(guest):
    called = guest(
        """(module
          (import "env" "invoke_i" (func $invoke (param i32) (result i32)))
          (func (export "run") (result i32) (call $invoke (i32.const 1))))""",
        lambda *_: lambda instance, arguments: [arguments[0] + 1],
    )
    assert called.call("run", []) == [2]
