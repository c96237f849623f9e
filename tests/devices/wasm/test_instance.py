"""Start, strings, and what an instance owns (spec/06 §1.1)."""

from __future__ import annotations

import gc
import weakref

import pytest

from hyperbeam_trio.errors import BadRequest, GuestError, GuestTrap

STARTS = """
(module
  (import "host" "note" (func $note (param i32)))
  (memory (export "memory") 1)
  (func (export "__wasm_call_ctors") (call $note (i32.const 3)))
  (func (export "emscripten_stack_init") (call $note (i32.const 2)))
  (func (export "_start") (call $note (i32.const 99)))
  (func (export "_initialize") (call $note (i32.const 99)))
  (func (export "main") (call $note (i32.const 99)))
  (func $begin (call $note (i32.const 1)))
  (start $begin))
"""

MALLOC = """
(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "malloc") (param i32) (result i32)
    (if (i32.gt_u (local.get 0) (i32.const 1000)) (then (return (i32.const 0))))
    global.get $next
    (global.set $next (i32.add (global.get $next) (local.get 0)))))
"""


def noting(numbers):
    def note(instance, arguments):
        instance.memory.write(0, b"seen")
        numbers.append(arguments[0])
        return []

    return lambda module, name, signature: note


def test_start_functions_run_in_order_with_imports_and_memory_at_hand(guest):
    numbers = []
    started = guest(STARTS, noting(numbers))
    assert numbers == [1, 2, 3]
    assert started.memory.read(0, 4) == b"seen"


def test_start_function_with_parameters_is_left_alone(guest):
    guest('(module (func (export "__wasm_call_ctors") (param i32) unreachable))')


def test_trap_at_start_is_raised(guest):
    with pytest.raises(GuestTrap, match="unreachable"):
        guest("(module (func $f unreachable) (start $f))")


def test_data_outside_of_the_memory_is_a_trap(guest):
    with pytest.raises(GuestTrap, match="out of bounds"):
        guest('(module (memory 1) (data (i32.const 65535) "ab"))')


def test_private_exports_can_not_be_called(guest):
    started = guest(STARTS)
    with pytest.raises(GuestError, match="Function not found"):
        started.call("hyperbeam-trio:function:6", [])


def test_module_may_use_the_names_of_private_exports(guest):
    named = guest(
        '(module (global (mut i32) (i32.const 0)) (func (export "hyperbeam-trio:global:0")'
        " (result i32) i32.const 5))"
    )
    assert named.call("hyperbeam-trio:global:0", []) == [5]


def test_written_string_is_followed_by_nul(guest):
    strings = guest(MALLOC)
    first, second = strings.write_string(b"Hello"), strings.write_string(b"")
    assert (first, second) == (1024, 1030)
    assert strings.memory.read(first, 8) == b"Hello\x00\x00\x00"
    assert strings.read_string(first) == b"Hello"
    assert strings.read_string(second) == b""


def test_string_that_malloc_refuses_is_an_error(guest):
    with pytest.raises(GuestError, match="malloc has no 1001 bytes"):
        guest(MALLOC).write_string(bytes(1000))


def test_string_without_malloc_names_it(guest):
    with pytest.raises(GuestError, match=r"^Function not found: malloc$"):
        guest('(module (memory (export "memory") 1))').write_string(b"x")


def test_module_without_memory_has_none(guest):
    bare = guest("(module)")
    assert bare.memory is None
    with pytest.raises(GuestError, match="no memory"):
        bare.read_string(0)


def test_memory_under_any_name_or_none_is_found(guest):
    assert guest('(module (memory (export "heap") 2))').memory.size == 2 << 16
    assert guest("(module (memory 3))").memory.size == 3 << 16


def test_instance_is_freed_when_nobody_holds_it(guest):
    started = guest(STARTS)
    started.call("main", [])
    gone = weakref.ref(started)
    gc.disable()
    try:
        del started
        assert gone() is None
    finally:
        gc.enable()


def test_instances_of_an_image_share_nothing(guest):
    one, other = guest(MALLOC), guest(MALLOC)
    one.write_string(b"one")
    assert other.memory.read(1024, 3) == bytes(3)
    assert other.write_string(b"other") == 1024


def test_a_wrong_argument_does_not_touch_the_guest(guest):
    strings = guest(MALLOC)
    with pytest.raises(BadRequest):
        strings.call("malloc", ["much"])
    assert strings.call("malloc", [1]) == [1024]
