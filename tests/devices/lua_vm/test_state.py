"""States are values: every one can be called again, whatever came after it (spec/06 §5.8)."""

from __future__ import annotations

import threading
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from hyperbeam_trio.devices.lua_vm import (
    Host,
    Limits,
    LuaError,
    LuaState,
    NoSuchFunction,
    SnapshotRefused,
    UnfitValue,
)
from hyperbeam_trio.devices.lua_vm import state as state_module
from hyperbeam_trio.errors import GuestLimit

COUNTER = [
    (
        "counter",
        b"""
        n = 0
        function add(x) n = n + x return {n = n} end
        function read() return n end
        function fail() n = n + 100 error('late') end
        function spin() n = n + 100 while true do end end
        function draw() return math.random(1 << 50) end
        function time() return os.time() end
        function ask() local answer = ao.ask(n) n = n + answer return n end
        function park() co = coroutine.wrap(function() coroutine.yield() end) co() end
        function say() print('said ' .. n) n = n + 1 end
        """,
    )
]


@pytest.fixture
def start():
    return LuaState.new(COUNTER)


def test_a_call_gives_results_and_a_new_state(start):
    results, after = start.call("add", [2])
    assert results == [{"n": 2}]
    assert after.call("read", [])[0] == [2]


def test_an_old_state_starts_from_where_it_was(start):
    _, one = start.call("add", [1])
    _, two = one.call("add", [1])
    assert one.call("add", [10])[0] == [{"n": 11}]
    assert start.call("read", [])[0] == [0]
    assert two.call("read", [])[0] == [2]
    assert one.call("read", [])[0] == [1]


def test_a_call_without_keeping_leaves_no_trace(start):
    _, one = start.call("add", [1])
    results, same = one.call("add", [5], keep=False)
    assert results == [{"n": 6}]
    assert same is one
    assert one.call("read", [])[0] == [1]


def test_a_call_without_keeping_leaves_the_live_vm_in_place(start):
    start.call("add", [5], keep=False)
    assert start.memory > 0


def test_a_dropped_result_drops_its_state_too(start):
    for _ in range(5):
        assert start.call("add", [1])[0] == [{"n": 1}]


def test_an_error_leaves_no_trace(start):
    _, one = start.call("add", [1])
    with pytest.raises(LuaError, match="late"):
        one.call("fail", [])
    assert one.call("add", [1])[0] == [{"n": 2}]


@pytest.mark.parametrize(("function", "argument"), [("gone", 1), ("add", 2**64)])
def test_a_call_that_never_started_costs_nothing(start, function, argument):
    _, one = start.call("add", [1])
    with pytest.raises((NoSuchFunction, UnfitValue)):
        one.call(function, [argument])
    assert one.memory > 0
    assert one.call("read", [])[0] == [1]


def test_a_limit_leaves_no_trace():
    start = LuaState.new(COUNTER, limits=Limits(instructions=100_000))
    _, one = start.call("add", [1])
    with pytest.raises(GuestLimit):
        one.call("spin", [])
    assert one.call("read", [])[0] == [1]


def test_only_the_newest_state_holds_a_vm(start):
    _, one = start.call("add", [1])
    _, two = one.call("add", [1])
    assert [state.memory > 0 for state in (start, one, two)] == [False, False, True]


def test_a_fork_draws_the_same_chances(start):
    first, one = start.call("draw", [])
    again, _ = start.call("draw", [])
    second, _ = one.call("draw", [])
    assert first == again != second


def test_a_replay_uses_the_time_of_the_first_run():
    now = iter(range(100, 200))
    state = LuaState.new(
        [("m", b"at = {} function tick() at[#at + 1] = os.time() return at end")],
        host=Host(clock=lambda: next(now)),
    )
    for _ in range(3):
        times, state = state.call("tick", [])
    with pytest.raises(LuaError):
        state.call("error", ["lose the vm"])
    assert times == [[101, 102, 103]]
    assert state.call("tick", [])[0] == [[101, 102, 103, 105]]


def test_a_replay_asks_the_host_nothing():
    asked = []

    def ask(n):
        asked.append(n)
        return len(asked)

    state = LuaState.new(COUNTER, host=Host(functions={"ask": ask}))
    _, one = state.call("ask", [])
    _, two = one.call("ask", [])
    with pytest.raises(LuaError):
        two.call("fail", [])
    assert two.call("read", [])[0] == [3]
    assert asked == [0, 1]


def test_a_replay_repeats_the_errors_of_the_host():
    answers = iter([ValueError("away"), 5])

    def ask(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = b"log = {} function f() log[#log + 1] = {pcall(ao.ask, 1)} return log end"
    state = LuaState.new([("m", source)], host=Host(functions={"ask": ask}))
    _, state = state.call("f", [])
    log, state = state.call("f", [])
    with pytest.raises(LuaError):
        state.call("error", ["lose the vm"])
    assert state.call("rawlen", [[1, 2]])[0] == [2]
    assert log == [[[False, b"away"], [True, 5]]]


class Stop(BaseException):
    pass


def test_a_host_may_end_a_replay():
    def stop():
        raise Stop

    loop = [("m", b"function f() for i = 1, 20000 do end end")]
    state = LuaState.new(loop)
    _, one = state.call("f", [])
    _, _two = one.call("f", [])
    with pytest.raises(Stop):
        one.call("f", [], host=Host(check=stop))
    assert one.call("f", [])[0] == []


def test_a_replay_prints_nothing():
    written = []
    state = LuaState.new(COUNTER, host=Host(write=written.append))
    _, state = state.call("say", [])
    with pytest.raises(LuaError):
        state.call("fail", [])
    state.call("say", [])
    assert written == [b"said 0\n", b"said 1\n"]


def test_a_host_function_may_call_the_state_it_was_called_from():
    inner = []

    def ask(_):
        inner.append(holder[-1].call("read", [])[0])
        return 7

    state = LuaState.new(COUNTER, host=Host(functions={"ask": ask}))
    _, one = state.call("add", [3])
    holder = [one]
    assert one.call("ask", [])[0] == [10]
    assert inner == [[3]]


def test_snapshots_bring_a_state_back(start):
    _, one = start.call("add", [4])
    again = LuaState.restore(one.snapshot())
    assert again.call("read", [])[0] == [4]
    assert again.snapshot() == one.snapshot()


def test_a_parked_state_holds_no_vm(start):
    _, one = start.call("add", [4])
    assert one.memory > 0
    one.park()
    assert one.memory == 0
    assert one.call("add", [1])[0] == [{"n": 5}]


def test_a_state_that_refuses_snapshots_is_replayed(start):
    _, one = start.call("park", [])
    _, two = one.call("add", [1])
    with pytest.raises(SnapshotRefused, match="can't be written: co"):
        two.snapshot()
    with pytest.raises(LuaError):
        two.call("fail", [])
    assert two.call("read", [])[0] == [1]
    assert two.call("read", [], keep=False)[0] == [1]


def test_a_journal_that_can_not_be_cut_has_an_end(start, monkeypatch):
    monkeypatch.setattr(state_module, "LONGEST_JOURNAL", 20)
    monkeypatch.setattr(state_module, "LONGEST_REPLAY", 10)
    _, state = start.call("park", [])
    for _ in range(19):
        _, state = state.call("add", [1])
    with pytest.raises(GuestLimit) as caught:
        state.call("add", [1])
    assert caught.value.details["limit"] == "journal"


class Arguments(list):
    __slots__ = ("__weakref__",)


def test_a_long_journal_is_cut(start, monkeypatch):
    monkeypatch.setattr(state_module, "LONGEST_REPLAY", 10)
    arguments = Arguments([1])
    first = weakref.ref(arguments)
    _, state = start.call("add", arguments)
    del arguments
    assert first() is not None
    for _ in range(25):
        _, state = state.call("add", [1])
    assert first() is None
    assert state.call("read", [])[0] == [26]


def test_functions_are_those_of_the_state(start):
    _, one = start.call("load", [b""])
    assert "add" in start.functions()
    assert "add" in one.functions()


def test_states_may_be_called_from_many_threads(start):
    _, one = start.call("add", [1])
    results, errors = [], []

    def work(i):
        try:
            results.append(one.call("add", [i], keep=i % 2 == 0)[0])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(r["n"] for [r] in results) == [1 + i for i in range(12)]


class Histories(RuleBasedStateMachine):
    """Any tree of calls: each state gives what a plain counter says."""

    states = Bundle("states")

    @rule(target=states)
    def root(self):
        return LuaState.new(COUNTER), 0

    @rule(target=states, pair=states, x=st.integers(-9, 9))
    def add(self, pair, x):
        state, n = pair
        results, after = state.call("add", [x])
        assert results == [{"n": n + x}]
        return after, n + x

    @rule(pair=states, x=st.integers(-9, 9))
    def peek(self, pair, x):
        state, n = pair
        assert state.call("add", [x], keep=False)[0] == [{"n": n + x}]

    @rule(pair=states)
    def read(self, pair):
        state, n = pair
        assert state.call("read", [])[0] == [n]

    @rule(pair=states)
    def fail(self, pair):
        with pytest.raises(LuaError):
            pair[0].call("fail", [])

    @rule(target=states, pair=states)
    def restore(self, pair):
        state, n = pair
        return LuaState.restore(state.snapshot()), n

    @rule(pair=states)
    def park(self, pair):
        pair[0].park()


TestHistories = Histories.TestCase
TestHistories.settings = settings(deadline=None, max_examples=30, stateful_step_count=25)
