"""Legacy exception handling rewritten (spec/06 §7.2); tests/interop compares it with V8."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.wasm.traps import UncaughtException
from hyperbeam_trio.errors import BadRequest

from .conftest import assemble


@pytest.fixture
def run(guest):
    """Runs a function body `(param i32) (result i32)` in a module with tags $a (i32) and $b."""

    def run_body(body: str, argument: int = 0, declarations: str = "") -> int:
        wat = f"""
        (module
          (import "env" "note" (func $note (param i32)))
          (tag $a (param i32)) (tag $b) (tag $c (param i64 f32))
          {declarations}
          (func $thrower (param i32)
            (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $a (i32.const 100))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $b)))
            (if (i32.eq (local.get 0) (i32.const 3))
              (then (throw $c (i64.const 7) (f32.const 0.5)))))
          (func (export "run") (param i32) (result i32) (local $x i32)
            {body}))"""
        instance = guest(assemble(wat))
        (result,) = instance.call("run", [argument])
        return int(result)

    return run_body


CATCHING = """
try (result i32)
  local.get 0
  call $thrower
  i32.const 1
catch $a
  i32.const 1
  i32.add
catch $b
  i32.const 200
catch_all
  i32.const 300
end
"""


@pytest.mark.parametrize(("argument", "expected"), [(0, 1), (1, 101), (2, 200), (3, 300)])
def test_first_handler_that_fits_gets_the_exception(run, argument, expected):
    assert run(CATCHING, argument) == expected


@pytest.mark.parametrize(("argument", "expected"), [(0, 5), (2, 42)])
def test_try_without_handlers_is_a_block(run, argument, expected):
    body = """
    try (result i32)
      try local.get 0 call $thrower end
      try (result i32) i32.const 5 end
    catch_all i32.const 42 end
    """
    assert run(body, argument) == expected


def test_exception_that_no_handler_fits_goes_on(run):
    with pytest.raises(UncaughtException):
        run("try (result i32) local.get 0 call $thrower i32.const 1 catch $b i32.const 2 end", 1)


def test_rethrow_throws_the_same_exception_again(run):
    body = """
    try (result i32)
      try (result i32)
        local.get 0 call $thrower i32.const 1
      catch_all
        (local.set $x (i32.const 5))
        rethrow 0
      end
    catch $a
      local.get $x
      i32.add
    end
    """
    assert run(body, 1) == 105


def test_rethrow_reaches_an_outer_try_from_an_inner_handler(run):
    body = """
    try (result i32)
      try (result i32)
        i32.const 1 call $thrower i32.const 0
      catch $a
        drop
        try (result i32)
          i32.const 2 call $thrower i32.const 0
        catch $b
          rethrow 1
        end
      end
    catch $a
    catch_all
      i32.const 9
    end
    """
    assert run(body) == 100


def test_rethrow_in_a_loop_throws_the_exception_of_its_own_round(run):
    body = """
    (local.set $x (i32.const 3))
    try (result i32)
      loop
        try
          local.get $x call $thrower
        catch_all
          (local.set $x (i32.sub (local.get $x) (i32.const 1)))
          (br_if 1 (local.get $x))
          rethrow 0
        end
      end
      i32.const 0
    catch $a
    end
    """
    assert run(body) == 100


@pytest.mark.parametrize(("argument", "expected"), [(0, 1), (1, 11), (2, 300)])
def test_delegate_skips_the_handlers_between(run, argument, expected):
    body = """
    try $outer (result i32)
      try (result i32)
        try (result i32)
          local.get 0 call $thrower i32.const 1
        delegate 1
      catch_all
        i32.const 22
      end
    catch $a
      drop i32.const 11
    catch_all
      i32.const 300
    end
    """
    assert run(body, argument) == expected


def test_delegate_to_a_block_goes_to_the_next_try_outside(run):
    body = """
    try (result i32)
      block (result i32)
        try (result i32)
          try (result i32)
            local.get 0 call $thrower i32.const 1
          delegate 1
        catch_all
          i32.const 22
        end
      end
    catch_all
      i32.const 33
    end
    """
    assert run(body, 2) == 33


def test_delegate_from_a_handler_skips_that_handlers_try(run):
    body = """
    try (result i32)
      try (result i32)
        i32.const 2 call $thrower i32.const 0
      catch_all
        try (result i32)
          local.get 0 call $thrower i32.const 1
        delegate 0
      end
    catch $a
    end
    """
    assert run(body, 1) == 100


def test_delegate_to_the_function_leaves_it(run):
    body = """
    try (result i32)
      try (result i32)
        local.get 0 call $thrower i32.const 1
      delegate 1
    catch_all
      i32.const 22
    end
    """
    assert run(body, 0) == 1
    with pytest.raises(UncaughtException):
        run(body, 1)


def test_delegates_follow_each_other(run):
    body = """
    try (result i32)
      try (result i32)
        try (result i32)
          try (result i32)
            try (result i32)
              local.get 0 call $thrower i32.const 1
            delegate 1
          catch_all i32.const 22 end
        delegate 1
      catch_all i32.const 23 end
    catch $a
    end
    """
    assert run(body, 1) == 100


@pytest.mark.parametrize(("argument", "expected"), [(0, 10), (1, 20), (2, 30), (7, 30)])
def test_branches_find_their_blocks_from_body_and_handler(run, argument, expected):
    body = """
    block $thirty
      block $twenty
        block $ten
          try
            local.get 0
            br_table $ten $twenty $thirty
          catch_all
          end
          br $thirty
        end
        i32.const 10 return
      end
      i32.const 20 return
    end
    i32.const 30
    """
    try_in_handler = body.replace("try\n", "try throw $b catch_all\n", 1).replace(
        "catch_all\n          end", "end", 1
    )
    assert run(body, argument) == expected
    assert run(try_in_handler, argument) == expected


def test_branch_to_a_try_leaves_it(run):
    body = """
    try $leave (result i32)
      i32.const 5
      br $leave
    catch_all
      i32.const 6
      br 0
    end
    """
    assert run(body) == 5


def test_block_parameters_are_threaded_through(run):
    body = """
    i32.const 4
    f64.const 2.5
    try (param i32 f64) (result i32)
      drop
      local.set $x
      local.get 0
      call $thrower
      local.get $x
    catch $a
      local.get $x
      i32.add
    catch_all
      i32.const 0
    end
    """
    assert run(body, 0) == 4
    assert run(body, 1) == 104


def test_exception_with_several_values_arrives_whole(run):
    body = """
    try (result i32)
      i32.const 3 call $thrower i32.const 0
    catch $c
      f32.const 2 f32.mul i32.trunc_f32_s
      local.set $x
      i32.wrap_i64
      local.get $x i32.add
    end
    """
    assert run(body) == 8


def test_trap_is_not_caught(run):
    with pytest.raises(Exception, match="divide by zero"):
        run("try (result i32) (i32.div_s (i32.const 1) (i32.const 0)) catch_all i32.const 1 end")


def test_untouched_functions_and_all_indices_stay(run):
    extra = (
        '(func (export "other") (result i64) i64.const 5) (table 1 funcref) (elem (i32.const 0) $q)'
    )
    body = CATCHING.replace(
        "i32.const 1\ncatch", "i32.const 0 call_indirect (result i32)\ncatch", 1
    )
    assert run(body, 0, f"{extra} (func $q (result i32) i32.const 77)") == 77


def test_thousands_of_nested_trys_are_rewritten(run):
    depth = 2000
    body = "try " * depth + "local.get 0 call $thrower " + "end " * (depth - 1) + "catch_all end"
    assert run(body + " i32.const 3", 1) == 3


def test_try_beside_try_table_is_refused(engine):
    wat = """(module (tag $a) (func
      try throw $a catch_all end
      (block $h (try_table (catch $a $h) (throw $a)))))"""
    with pytest.raises(BadRequest, match="try and try_table in one function"):
        engine.compile(assemble(wat))


def test_try_beside_try_table_in_another_function_is_not(guest):
    wat = """(module (tag $a)
      (func $old try throw $a catch_all end)
      (func (export "f") (result i32) call $old
        (block $h (try_table (catch $a $h) (throw $a))) i32.const 4))"""
    assert guest(wat).call("f", []) == [4]


@pytest.mark.parametrize(
    "body",
    [
        "rethrow 0",
        "try rethrow 0 catch_all end",
        "try catch_all rethrow 9 end",
        "try br 9 catch_all end",
        "try delegate 9",
        "try catch 9 end",
        "try catch_all throw 9 end",
        "try (type 99) catch_all end",
    ],
)
def test_broken_legacy_code_is_a_bad_request(engine, body):
    wat = f"(module (tag $a) (func try catch_all end) (func {body}))"
    with pytest.raises(BadRequest, match="Invalid WebAssembly image"):
        engine.compile(assemble(wat))
