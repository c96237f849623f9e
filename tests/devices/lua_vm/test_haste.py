"""Calls for a caller who can't be kept waiting (spec/06 §7.5, §7.8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import Host, Limits, LuaError, LuaState, TooHasty
from hyperbeam_trio.errors import GuestLimit

PROGRAM = b"""
count = 0
function add(n) count = count + n; return count end
function work(n) count = count + 1; for i = 1, n do end; return count end
function caught() count = count + 1; return pcall(function() while true do end end) end
function grow(n) count = count + 1; return #string.rep("x", n) end
function doubled() local s = "x"; while true do s = s .. s end end
function ask() count = count + 1; return ao.ask(count) end
function fail() count = count + 1; error("refused") end
function say(text) print(text) end
function listed() return list end
function fill(n) list = {}; for i = 1, n do list[i] = i end end
local function spin(n) for i = 1, n do end; return "done" end
local function down(levels, n)
  if levels == 0 then return select(2, pcall(spin, n)) end
  return select(2, pcall(down, levels - 1, n))
end
function deep(levels, n) return down(levels, n) end
"""
FOREVER = 10**9


def _state(**limits: int) -> LuaState:
    host = Host({"ask": lambda n: n * 2})
    return LuaState.new([("p", PROGRAM)], host=host, limits=Limits(**limits))


def _hasty(state: LuaState, function: str, *arguments, write=lambda text: None):
    return state.call_in_haste(function, list(arguments), clock=lambda: 0.0, write=write)


def _settled(state: LuaState) -> LuaState:
    """The state after one call that showed the program to be a short one."""
    return state.call("add", [0])[1]


@given(st.lists(st.integers(-5, 5), max_size=8))
def test_what_short_calls_do_is_the_same_in_haste(numbers):
    slow, hasty = _settled(_state()), _settled(_state())
    for number in numbers:
        expected, slow = slow.call("add", [number])
        result, hasty = _hasty(hasty, "add", number)
        assert result == expected
    assert hasty.snapshot() == slow.snapshot()


@pytest.mark.parametrize(
    ("function", "argument"),
    [("work", FOREVER), ("caught", None), ("grow", 12 << 20), ("doubled", None), ("ask", None)],
)
def test_what_takes_long_or_much_or_asks_has_not_happened(function, argument):
    state = _settled(_state())
    with pytest.raises(TooHasty):
        _hasty(state, function, argument)
    assert state.call("add", [1])[0] == [1]


def test_a_call_that_haste_has_ended_is_made_again_in_full():
    state = _settled(_state(instructions=5_000_000))
    with pytest.raises(TooHasty):
        _hasty(state, "work", FOREVER)
    with pytest.raises(GuestLimit, match="instructions"):
        state.call("work", [FOREVER])
    result, after = state.call("ask", [])
    assert (result, after.call("add", [0])[0]) == ([2], [1])


def test_instructions_are_counted_alike_after_calls_in_haste():
    budget = 100_000
    state = _settled(_state(instructions=budget))
    for _ in range(50):
        state = _hasty(state, "work", 200)[1]
    assert state.call("work", [budget // 10])[0] == [51]
    with pytest.raises(GuestLimit, match="instructions"):
        state.call("work", [budget])


@pytest.mark.parametrize("budget", [2_000, 20_000])
def test_no_call_in_haste_has_more_instructions_than_any_other(budget):
    state = _settled(_state(instructions=budget))
    with pytest.raises(TooHasty):
        _hasty(state, "work", 2 * budget)
    with pytest.raises(GuestLimit, match="instructions"):
        state.call("work", [2 * budget])


@pytest.mark.parametrize("levels", range(192, 200))
def test_at_the_end_of_the_stack_a_guest_meets_the_same(levels):
    for turns in (10, 150, 250, 350, 600, 900):
        hasty = _hasty(_settled(_state()), "deep", levels, turns)[0]
        assert hasty == _settled(_state()).call("deep", [levels, turns])[0]


def test_after_a_call_whose_results_took_long_to_read_the_next_is_not_made_in_haste():
    state = _settled(_state())
    state = state.call("fill", [100_000])[1]
    while not state.brisk:
        state = state.call("add", [0])[1]
    (result,), state = _hasty(state, "listed")
    assert len(result) == 100_000
    for _ in range(2):
        assert not state.brisk
        state = state.call("add", [0])[1]


def test_errors_are_those_of_any_call():
    state = _settled(_state())
    with pytest.raises(LuaError, match="refused"):
        _hasty(state, "fail")
    assert state.call("add", [1])[0] == [1]


def test_only_a_program_that_was_short_is_called_in_haste():
    state = _state()
    assert not state.brisk
    state = _settled(state)
    assert state.brisk
    asking = state.call("ask", [])[1]
    assert not asking.brisk


def test_after_an_end_in_haste_the_next_needs_ever_more_short_calls():
    state, needed = _settled(_state()), []
    for _ in range(3):
        with pytest.raises(TooHasty):
            _hasty(state, "work", FOREVER)
        calls = 0
        while not state.brisk:
            state, calls = state.call("add", [0])[1], calls + 1
        needed.append(calls)
    assert needed == [needed[0], 2 * needed[0], 4 * needed[0]]


def test_an_older_state_is_not_called_in_haste():
    state = _settled(_state())
    newer = _hasty(state, "add", 1)[1]
    assert newer.brisk
    assert not state.brisk
    with pytest.raises(TooHasty):
        _hasty(state, "add", 1)


def test_what_is_printed_comes_once():
    printed: list[bytes] = []
    state = _settled(_state())
    _hasty(state, "say", b"hello", write=printed.append)
    assert printed == [b"hello\n"]
