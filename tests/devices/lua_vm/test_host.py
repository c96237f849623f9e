"""Functions of the host, and tables that stand for messages (spec/06 §5.5, §5.6)."""

from __future__ import annotations

import gc
import weakref

import pytest

from hyperbeam_trio.devices.lua_vm import Host, LuaError, LuaVM
from hyperbeam_trio.errors import GuestError


def hosting(**functions):
    return Host(functions=functions)


@pytest.mark.parametrize(
    ("answer", "results"),
    [
        (None, [None]),
        (5, [5]),
        ("text", [b"text"]),
        ([1, 2], [[1, 2]]),
        ({"a": {"b": b"deep"}}, [{"a": {"b": b"deep"}}]),
        ((), []),
        ((b"ok", {"x": 1}), [b"ok", {"x": 1}]),
        ((None, b"reason"), [None, b"reason"]),
    ],
)
def test_a_tuple_gives_several_results(vm, answer, results):
    machine = vm("function f() return ao.answer() end", host=hosting(answer=lambda: answer))
    assert machine.call("f", []) == results


def test_arguments_arrive_as_values(vm):
    seen = []
    machine = vm(
        "function f(x) return ao.see(x, 1.5, {1, {a = true}}, nil, 'end') end",
        host=hosting(see=lambda *arguments: seen.extend(arguments)),
    )
    machine.call("f", [{"k": b"v"}])
    assert seen == [{"k": b"v"}, 1.5, [1, {"a": True}], None, b"end"]


def test_a_host_function_may_be_called_in_a_coroutine(evaluate):
    body = "return coroutine.wrap(function() coroutine.yield(ao.double(4)) end)()"
    assert evaluate(body, host=hosting(double=lambda x: 2 * x)) == 8


def test_an_answer_that_lua_can_not_hold_is_a_lua_error(evaluate):
    host = hosting(big=lambda: 2**64)
    ok, message = evaluate("return pcall(ao.big)", host=host)
    assert ok is False
    assert b"64 bits" in message


class Cancelled(BaseException):
    pass


def test_what_is_no_exception_ends_the_guest(vm):
    def cancel():
        raise Cancelled

    machine = vm("function f() while true do pcall(ao.cancel) end end", host=hosting(cancel=cancel))
    with pytest.raises(Cancelled):
        machine.call("f", [])
    assert machine.spoiled is not None


def test_one_call_may_have_a_host_of_its_own(vm):
    machine = vm("function f() return ao.who(), os.time() end", host=hosting(who=lambda: 1))
    other = Host(functions={"who": lambda: 2}, clock=lambda: 60)
    assert machine.call("f", [], host=other) == [2, 60]
    assert machine.call("f", []) == [1, 0]


def test_a_host_without_the_function_is_a_lua_error(vm):
    machine = vm("function f() return pcall(ao.who) end", host=hosting(who=lambda: 1))
    ok, message = machine.call("f", [], host=Host())
    assert ok is False
    assert b"ao.who" in message


def test_a_running_vm_can_not_be_called(vm):
    errors = []

    def again():
        try:
            machine.call("g", [])
        except GuestError as error:
            errors.append(error.text)

    machine = vm("function f() ao.again() end function g() end", host=hosting(again=again))
    machine.call("f", [])
    assert errors == ["This Lua VM is running; one call at a time."]


def test_a_kept_host_function_still_works(vm):
    machine = vm(
        "function f() keep = ao.double return 1 end function g(x) return keep(x) end",
        host=hosting(double=lambda x: 2 * x),
    )
    machine.call("f", [])
    assert machine.call("g", [4]) == [8]


def test_vms_are_freed_when_nobody_holds_them():
    def make():
        return weakref.ref(LuaVM.new([("m", b"x = 1")], host=hosting(f=lambda: 1)))

    gc.disable()
    try:
        assert [make()() for _ in range(5)] == [None] * 5
    finally:
        gc.enable()


LIVE = """
    function read(base) return base.here, base.absent, base['a/b'], base.deep.absent end
    function write(base) base.new = 1 return base, base.new end
    function change(base) base.here = 2 return base end
    function plain(_, second) return second.absent end
"""


def answer_get(table, key):
    return None if key == b"absent" else b"resolved " + key


def answer_set(table, key, value):
    return {**table, key.decode(): value, "extra": {"k": b"v"}}


live_host = Host(functions={"@get": answer_get, "@set": answer_set})


def test_an_absent_key_of_a_live_table_is_resolved(vm):
    base = {"here": 1, "deep": {"x": 1}}
    assert vm(LIVE, host=live_host).call("read", [base], live=True) == [
        1,
        None,
        b"resolved a/b",
        None,
    ]


def test_a_new_key_of_a_live_table_replaces_its_contents(vm):
    machine = vm(LIVE, host=live_host)
    expected = {"here": 1, "new": 1, "extra": {"k": b"v"}}
    assert machine.call("write", [{"here": 1}], live=True) == [expected, 1]


def test_a_key_that_is_there_changes_without_the_host(vm):
    assert vm(LIVE, host=live_host).call("change", [{"here": 1}], live=True) == [{"here": 2}]


def test_only_the_first_argument_is_live(vm):
    assert vm(LIVE, host=live_host).call("plain", [{}, {}], live=True) == [None]


def test_a_list_is_a_key_too(vm):
    host = Host(functions={"@get": lambda table, key: key, "@set": answer_set})
    machine = vm("function f(base) return base[{'path', {q = 1}}] end", host=host)
    assert machine.call("f", [{}], live=True) == [[b"path", {"q": 1}]]


def test_a_live_table_without_a_host_is_an_error(vm):
    with pytest.raises(LuaError, match="resolves no keys"):
        vm(LIVE).call("read", [{"here": 1}], live=True)


def test_functions_for_live_tables_are_not_in_ao(evaluate):
    assert evaluate("return next(ao) == nil", host=live_host) is True
