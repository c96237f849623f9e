"""Errors say what, where, and through which calls (spec/06 §5.2, §5.7)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.lua_vm import (
    Frame,
    Host,
    LuaError,
    LuaSyntaxError,
    LuaVM,
    NoSuchFunction,
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = = 1", "main:1: unexpected symbol near '='"),
        ("\n\nfunction f(1)", "main:3: <name> or '...' expected near '1'"),
        ("goto nowhere", "main:1: no visible label 'nowhere' for <goto> at line 1"),
    ],
)
def test_a_syntax_error_names_chunk_and_line(vm, source, text):
    with pytest.raises(LuaSyntaxError) as caught:
        vm(source)
    assert caught.value.text == text
    assert caught.value.status == 400


def test_a_syntax_error_names_the_module_it_is_in():
    with pytest.raises(LuaSyntaxError, match=r"^second:1:"):
        LuaVM.new([("first", b"x = 1"), ("second", b"end")])


def test_an_error_at_the_top_of_a_module_is_a_lua_error(vm):
    with pytest.raises(LuaError) as caught:
        vm("\nerror('broken')")
    assert caught.value.text == "broken"
    assert caught.value.trace == (Frame("main chunk", "main:2"),)


def test_a_runtime_error_names_chunk_and_line(vm):
    machine = vm("function f(t)\n  return t.a.b\nend")
    with pytest.raises(LuaError) as caught:
        machine.call("f", [{}])
    assert caught.value.text == "main:2: attempt to index a nil value (field 'a')"
    assert caught.value.status == 500


def test_the_trace_lists_the_calls_innermost_first(vm):
    machine = vm(
        """
        local function inner(n)
          error('deep ' .. n)
        end
        function middle(n)
          inner(n)
          return 1
        end
        function outer(n)
          middle(n)
          return 1
        end
        """
    )
    with pytest.raises(LuaError) as caught:
        machine.call("outer", [7])
    assert caught.value.value == b"deep 7"
    assert caught.value.trace == (
        Frame("inner", "main:3"),
        Frame("middle", "main:6"),
        Frame("outer", "main:10"),
    )


def test_the_engine_does_not_show_in_a_trace(vm):
    machine = vm(
        """function f()
          table.sort({2, 1}, function() error('in sort') end)
          return 1
        end"""
    )
    with pytest.raises(LuaError) as caught:
        machine.call("f", [])
    assert caught.value.trace == (Frame("function <main:2>", "main:2"), Frame("f", "main:2"))


def test_a_trace_is_short_even_if_the_stack_is_deep(vm):
    machine = vm("function f(n) if n == 0 then error('x') end return 1 + f(n - 1) end")
    with pytest.raises(LuaError) as caught:
        machine.call("f", [10_000])
    assert len(caught.value.trace) == 40


@pytest.mark.parametrize(
    ("thrown", "value", "text"),
    [
        ("'text'", b"text", "text"),
        ("{code = 5, list = {1}}", {"code": 5, "list": [1]}, "{'code': 5, 'list': [1]}"),
        ("42", 42, "42"),
        ("nil", None, "nil"),
        ("'\\255'", b"\xff", "\ufffd"),
    ],
)
def test_what_was_thrown_is_kept(vm, thrown, value, text):
    with pytest.raises(LuaError) as caught:
        vm(f"function f() error({thrown}) end").call("f", [])
    assert caught.value.value == value
    assert caught.value.text == text


@pytest.mark.parametrize("thrown", ["('x'):rep(100000)", "{('x'):rep(100000)}"])
def test_the_text_of_an_error_is_short(vm, thrown):
    with pytest.raises(LuaError) as caught:
        vm(f"function f() error({thrown}) end").call("f", [])
    assert len(caught.value.text) == 2000


def test_the_exception_of_a_host_function_is_the_cause(vm):
    failure = ValueError("no such message")

    def fail():
        raise failure

    machine = vm("function f() ao.fail() end", host=Host(functions={"fail": fail}))
    with pytest.raises(LuaError, match="no such message") as caught:
        machine.call("f", [])
    assert caught.value.__cause__ is failure


def test_an_error_after_a_caught_one_has_no_cause(vm):
    def fail():
        raise ValueError("first")

    source = "function f() pcall(ao.fail) error('second') end"
    with pytest.raises(LuaError, match="second") as caught:
        vm(source, host=Host(functions={"fail": fail})).call("f", [])
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["gone", "", "string.upper", "é"])
def test_a_function_that_is_not_there_is_named(vm, name):
    with pytest.raises(NoSuchFunction, match="undefined function") as caught:
        vm().call(name, [])
    assert caught.value.status == 404


def test_a_global_that_is_no_function_can_not_be_called(vm):
    with pytest.raises(LuaError, match="attempt to call a table value"):
        vm("t = {}").call("t", [])


def test_names_of_functions_keep_their_case(vm):
    machine = vm("function Cap() return 1 end function cap() return 2 end")
    assert machine.call("Cap", []) + machine.call("cap", []) == [1, 2]


def test_functions_lists_the_global_functions_in_order(vm):
    names = vm("function zeta() end function Alpha() end number = 5").functions()
    assert names == sorted(names)
    assert {"Alpha", "zeta", "print"} <= set(names)
    assert "number" not in names
