"""Every guest ends in bounded time and memory, whatever it tries (spec/06 §7.5, §7.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from hyperbeam_trio.devices.lua_vm import Host, Limits, LuaError, LuaVM
from hyperbeam_trio.errors import GuestError, GuestLimit

SMALL = Limits(instructions=3_000_000, memory=24 << 20, string=1 << 20)
PATIENT = replace(SMALL, instructions=1 << 40)

RUNAWAYS = {
    "loop": "while true do end",
    "recursion in tail position": "local function f() return f() end f()",
    "pcall": "while true do pcall(function() while true do end end) end",
    "recursion in pcall": "local function f() pcall(f) end while true do pcall(f) end",
    "pcall at the end of the stack": "local function spin() while true do end end"
    " local function deep(n) if n > 0 then return 1 + deep(n - 1) end"
    " while true do pcall(spin) end end"
    " while true do for n = 100, 200000, 7 do pcall(deep, n) end end",
    "xpcall at the end of the stack": "local function f() xpcall(f, function() while true do end"
    " end) f() end while true do pcall(f) end",
    "metamethods at the end of the stack": "local t = setmetatable({}, {__index = function(t, k)"
    " pcall(function() return t[k + 1] end) return t[k + 1] end})"
    " while true do pcall(function() return t[1] end) end",
    "coroutines at the end of the stack": "local function f() pcall(coroutine.wrap(f)) f() end"
    " while true do pcall(f) end",
    "gsub at the end of the stack": "local function f() pcall(string.gsub, 'x', 'x', f) f() end"
    " while true do pcall(f) end",
    "nested pcall": "local function f() pcall(f) f() end while true do pcall(f) end",
    "xpcall whose handler loops": "while true do xpcall(function() while true do end end,"
    " function() while true do end end) end",
    "error in the handler": "while true do xpcall(error, function() error('again') end) end",
    "one coroutine": "coroutine.wrap(function() while true do end end)()",
    "many coroutines": "while true do coroutine.wrap(function() for i = 1, 40 do end end)() end",
    "coroutine in pcall": "local function f() while true do end end"
    " while true do pcall(coroutine.wrap(f)) end",
    "resumed coroutine": "local co = coroutine.create(function() while true do"
    " pcall(coroutine.yield) end end) while true do coroutine.resume(co) end",
    "coroutine that catches": "while true do local co = coroutine.create(function() while true do"
    " pcall(function() while true do end end) end end) coroutine.resume(co) end",
    "metamethod": "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end})"
    " while true do pcall(function() return t[1] end) end",
    "tostring": "local t = setmetatable({}, {__tostring = function() while true do end end})"
    " while true do pcall(tostring, t) end",
    "sort": "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
    "gsub": "while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
    "load with a reader": "while true do load(function() while true do end end) end",
    "reader without end": "load(function() return ' ' end)",
    "error text": "while true do pcall(error, setmetatable({},"
    " {__tostring = function() while true do end end})) end",
    "length without end": "local t = setmetatable({}, {__len = function() return 1 << 60 end})"
    " while true do pcall(table.remove, t, 1) end",
    "length that changes": "local n = 1 local t = setmetatable({}, {__len = function() n = n * 1000"
    " return n end}) while true do pcall(table.insert, t, 1, 1) end",
    "move": "while true do table.move({}, 1, 1 << 40, 2) end",
    "unpack": "while true do pcall(table.unpack, {}, 1, 1 << 40) end",
    "concat": "local t = setmetatable({}, {__index = function() return '' end})"
    " while true do pcall(table.concat, t, '', 1, 1 << 40) end",
    "require": "package.preload.x = function() while true do end end while true do"
    " pcall(require, 'x') end",
    "pairs": "local t = setmetatable({}, {__pairs = function() return function() return 1 end end})"
    " for _ in pairs(t) do end",
    "compiling": "local s = ('x = 1 '):rep(10000) while true do load(s) end",
    "big strings": "local s = ('x'):rep(1000000) while true do local t = s:upper() .. 'x' end",
    "many bytes": "local s = ('x'):rep(200000) while true do pcall(string.byte, s, 1, -1) end",
}

BOMBS = {
    "concatenation": "local s = 'x' while true do s = s .. s end",
    "table": "local t = {} for i = 1, 1 << 60 do t[i] = {} end",
    "pcall": "local t = {} while true do pcall(function() local s = 'x' while true do"
    " s = s .. s t[#t + 1] = s end end) end",
    "closures": "local f for i = 1, 1 << 60 do local g = f f = function() return g end end",
    "coroutine": "local t = {} while true do local co = coroutine.create(function() local s = 'x'"
    " while true do s = s .. s end end) coroutine.resume(co) t[#t + 1] = co end",
    "load": "local t, s = {}, 'return {' .. ('1,'):rep(9000) .. '}'"
    " for i = 1, 1 << 60 do t[i] = load(s) end",
    "printing": "local s = ('x'):rep(1000) local t = {} while true do t[#t + 1] = s .. #t end",
    "library": "local t = {} while true do t[#t + 1] = ('x'):rep(1000000) end",
    "library in pcall": "local t = {} while true do"
    " pcall(function() t[#t + 1] = ('x'):rep(1000000) end) end",
    "library in a coroutine": "local t = {} while true do"
    " pcall(coroutine.wrap(function() t[#t + 1] = ('x'):rep(1000000) end)) end",
}


@pytest.mark.parametrize("name", RUNAWAYS)
def test_a_runaway_ends(vm, name):
    machine = vm(f"function run() {RUNAWAYS[name]} end", limits=SMALL)
    with pytest.raises(GuestLimit) as caught:
        machine.call("run", [])
    assert caught.value.details["limit"] in {"instructions", "memory"}
    assert caught.value.status == 503


@pytest.mark.parametrize("name", BOMBS)
def test_a_memory_bomb_ends(vm, name):
    machine = vm(f"function run() {BOMBS[name]} end", limits=PATIENT)
    with pytest.raises(GuestLimit) as caught:
        machine.call("run", [])
    assert caught.value.details["limit"] == "memory"
    assert machine.memory < 2 * SMALL.memory


def test_a_module_that_runs_away_ends():
    with pytest.raises(GuestLimit):
        LuaVM.new([("m", b"while true do end")], limits=SMALL)


def test_a_spoiled_vm_says_so(vm):
    machine = vm("function run() while true do end end function f() return 1 end", limits=SMALL)
    with pytest.raises(GuestLimit):
        machine.call("run", [])
    assert machine.spoiled == "its last call was stopped (instructions)"
    with pytest.raises(GuestError, match="can't be used any more"):
        machine.call("f", [])
    with pytest.raises(GuestError, match="can't be used any more"):
        machine.snapshot()


def test_an_error_does_not_spoil(vm):
    machine = vm("function run() error('x') end function f() return 1 end")
    with pytest.raises(LuaError):
        machine.call("run", [])
    assert machine.spoiled is None
    assert machine.call("f", []) == [1]


def test_each_call_has_its_own_budget(vm):
    machine = vm("function run() for i = 1, 500000 do end end", limits=SMALL)
    for _ in range(10):
        machine.call("run", [])
    assert machine.spoiled is None


def test_the_budget_of_a_call_does_not_depend_on_calls_before(vm):
    source = "function run(n) for i = 1, n do end end function small() end"
    budget = Limits(instructions=100_000)

    def longest_loop(calls_before):
        low, high = 0, 200_000
        while high - low > 1:
            middle = (low + high) // 2
            machine = vm(source, limits=budget)
            for _ in range(calls_before):
                machine.call("small", [])
            try:
                machine.call("run", [middle])
                low = middle
            except GuestLimit:
                high = middle
        return low

    assert longest_loop(0) == longest_loop(7)


def test_memory_at_rest_counts_against_the_next_call(vm):
    source = "kept = {} function keep(s) kept[#kept + 1] = s .. #kept return #kept end"
    machine = vm(source, limits=SMALL)
    for _ in range(20):
        machine.call("keep", [b"x" * 1_000_000])
    with pytest.raises(GuestLimit):
        machine.call("keep", [b"x" * 10_000_000])


def test_arguments_beyond_the_limit_end_the_call_not_the_process(vm):
    machine = vm("function f(s) return #(s .. 'x') end", limits=SMALL)
    with pytest.raises(GuestLimit):
        machine.call("f", [b"x" * (40 << 20)])


@pytest.mark.parametrize(
    "body",
    [
        "return ('x'):rep(1 << 40)",
        "return ('x'):rep('1099511627776')",
        "return string.rep(5, 1 << 40)",
        "return ('x'):rep(1 << 20, 'separator')",
    ],
)
def test_rep_makes_no_string_above_the_limit(evaluate, body):
    with pytest.raises(LuaError, match="resulting string too large"):
        evaluate(body, limits=SMALL)


def test_a_search_in_a_string_above_the_limit_is_refused(evaluate):
    with pytest.raises(LuaError, match="subject string too long"):
        evaluate("local s = ('x'):rep(600000) return (s .. s):match('a*b')", limits=SMALL)


def test_output_above_the_limit_is_cut(vm):
    written = []
    host = Host(write=written.append)
    source = "function f() local s = ('x'):rep(100000) for i = 1, 100 do print(s) end end"
    vm(source, limits=SMALL, host=host).call("f", [])
    assert SMALL.string - 200_000 < len(written[0]) <= SMALL.string


def test_stack_overflow_is_an_ordinary_error(vm):
    machine = vm("function f() return 1 + f() end function g() return (pcall(f)) end")
    with pytest.raises(LuaError, match="stack overflow"):
        machine.call("f", [])
    assert machine.call("g", []) == [False]


def test_native_recursion_is_an_ordinary_error(evaluate):
    body = "local function f(s) return (s:gsub('x', f)) end return pcall(f, 'x')"
    ok, message = evaluate(body)
    assert ok is False
    assert b"stack overflow" in message


def test_questions_to_the_host_are_limited(vm):
    machine = vm(
        "function f() while true do pcall(ao.ask) end end",
        limits=Limits(host_calls=50),
        host=Host(functions={"ask": lambda: 1}),
    )
    with pytest.raises(GuestLimit) as caught:
        machine.call("f", [])
    assert caught.value.details["limit"] == "host-calls"


def test_time_is_limited_too(vm):
    limits = Limits(instructions=1 << 60, seconds=0.0)
    machine = vm("function f() while true do pcall(function() while true do end end) end end")
    machine = LuaVM.restore(machine.snapshot(), limits=limits)
    with pytest.raises(GuestLimit) as caught:
        machine.call("f", [])
    assert caught.value.details["limit"] == "seconds"


class Stop(BaseException):
    pass


def test_the_host_ends_a_guest_that_it_no_longer_needs(vm):
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 3:
            raise Stop

    source = "function f() while true do pcall(function() while true do end end) end end"
    machine = vm(source, limits=Limits(instructions=1 << 60), host=Host(check=check))
    with pytest.raises(Stop):
        machine.call("f", [])
    assert machine.spoiled is not None


async def test_a_cancelled_task_ends_its_guest(vm):
    started = trio.Event()
    machine = vm(
        "function f() ao.started() while true do pcall(function() while true do end end) end end",
        limits=Limits(instructions=1 << 60),
        host=Host(
            functions={"started": lambda: trio.from_thread.run_sync(started.set)},
            check=trio.from_thread.check_cancelled,
        ),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, machine.call, "f", [])
        await started.wait()
        nursery.cancel_scope.cancel()
    assert machine.spoiled is not None


def test_short_calls_never_ask_whether_to_go_on(vm):
    asked = []
    machine = vm("function f() return 1 end", host=Host(check=lambda: asked.append(1)))
    machine.call("f", [])
    assert asked == []
