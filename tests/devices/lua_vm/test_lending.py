"""What goes into many calls is converted once; a program can't tell, whatever it does to it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import Lasting, Limits, LuaState, LuaVM, UnfitValue, alike
from hyperbeam_trio.errors import GuestLimit

KEYS = {"name": b"n", "count": 1, "share": 1.0, "tags": [b"a", {"deep": True}]}
CHANGES = """
function same(base) return base end
function moved(base) return {elsewhere = base.process, process = "gone"} end
function inner(base) return base.process end
function grown(base) base.process.more = 1; return base end
function shrunk(base) base.process.name = nil; return base end
function retyped(base) base.process.count = 1.0; return base end
function deeper(base) base.process.tags[2].deep = false; return base end
function swapped(base) base.process = {name = "other"}; return base end
function hidden(base) base.process.run = print; return base end
function twice(base) return {a = base.process, b = base.process} end
function listed(base) return {base.process, base.process} end
function wrapped(base) setmetatable(base.process, {__index = {count = 7}}); return base end
function several(base) return "ok", base, base end
"""
NAMES = [line.split()[1].partition("(")[0] for line in CHANGES.strip().splitlines()]


@pytest.mark.parametrize("function", NAMES)
def test_every_call_gives_what_it_gives_for_a_plain_mapping(vm, function):
    machine, plain = vm(CHANGES), vm(CHANGES)
    expected = plain.call(function, [{"process": dict(KEYS)}])
    base = {"process": Lasting(KEYS)}
    for _ in range(3):
        assert alike(machine.call(function, [base]), expected)


def test_what_comes_back_as_it_went_in_is_the_same_object(vm):
    process = Lasting(KEYS)
    (result,) = vm(CHANGES).call("same", [{"process": process, "slot": 3}])
    assert result["process"] is process
    assert result["slot"] == 3


def test_what_one_call_did_to_its_copy_the_next_does_not_see(vm):
    machine, process = vm(CHANGES), Lasting(KEYS)
    assert machine.call("grown", [{"process": process}])[0]["process"]["more"] == 1
    assert machine.call("same", [{"process": process}])[0]["process"] == KEYS


def test_a_copy_that_a_program_kept_is_its_own(vm):
    machine = vm(
        "function f(base) kept = kept or base.process; kept.n = (kept.n or 0) + 1\n"
        "return {base.process.n or 0, kept.n} end"
    )
    process = Lasting(KEYS)
    assert machine.call("f", [{"process": process}]) == [[1, 1]]
    assert machine.call("f", [{"process": process}]) == [[0, 2]]


def test_two_take_turns(vm):
    machine = vm(CHANGES)
    first, second = Lasting(KEYS), Lasting({"name": b"second"})
    for process in (first, second, first):
        assert machine.call("same", [{"process": process}])[0]["process"] is process
    (both,) = machine.call("same", [{"a": first, "b": second}])
    assert both == {"a": KEYS, "b": {"name": b"second"}}


def test_what_lua_can_not_hold_as_it_is_comes_back_as_lua_gives_it(vm):
    odd = Lasting({"none": None, "empty": [], "text": "atom", "list": {"1": b"x"}})
    expected = vm(CHANGES).call("same", [{"process": dict(odd)}])
    assert vm(CHANGES).call("same", [{"process": odd}]) == expected


def test_its_items_count(vm):
    base = {"process": Lasting(KEYS)}
    assert vm(CHANGES, limits=Limits(items=8)).call("same", [base])
    with pytest.raises(GuestLimit):
        vm(CHANGES, limits=Limits(items=7)).call("same", [base])


def test_it_can_be_nested_as_deep_as_anything(vm):
    deep = b"end"
    for _ in range(198):
        deep = {"k": deep}
    fits, too_deep = Lasting({"k": deep}), Lasting({"k": {"k": deep}})
    assert vm(CHANGES).call("same", [{"process": fits}]) == [{"process": fits}]
    for process in (too_deep, dict(too_deep)):
        with pytest.raises(UnfitValue, match="nested deeper"):
            vm(CHANGES).call("same", [{"process": process}])


def test_live_tables_stay_live_and_do_not_touch_what_is_kept(vm):
    machine, base = vm(CHANGES), {"process": Lasting(KEYS)}
    assert machine.call("same", [base], live=True) == [base]
    assert machine.call("same", [base]) == [base]


def test_a_state_is_the_same_whether_it_was_lent_or_converted():
    modules = [("m", b"function f(base) n = (n or 0) + 1; seen = base; return n end")]
    lent, plain = LuaState.new(modules), LuaState.new(modules)
    for _ in range(3):
        _, lent = lent.call("f", [{"process": Lasting(KEYS)}])
        _, plain = plain.call("f", [{"process": dict(KEYS)}])
    assert lent.snapshot() == plain.snapshot()


scalars = st.one_of(st.binary(max_size=4), st.booleans(), st.integers(-9, 9), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("12a", max_size=2), inner),
    max_leaves=8,
)
ECHO = LuaVM.new([("echo", b"function echo(base) return base end")])


@given(st.dictionaries(st.text("12a", max_size=2), values))
@settings(deadline=None)
def test_any_mapping_comes_back_as_a_plain_one_does(items):
    expected = ECHO.call("echo", [{"process": items}])
    assert alike(ECHO.call("echo", [{"process": Lasting(items)}]), expected)
