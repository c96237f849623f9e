"""The whole state of a VM goes into bytes and comes back (spec/06 §7.8)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import (
    SANDBOXED,
    Host,
    LuaVM,
    SnapshotMismatch,
    SnapshotRefused,
)
from hyperbeam_trio.errors import CorruptData


def copy_of(machine, **options):
    return LuaVM.restore(machine.snapshot(), **options)


KEEP = [("keep", b"function keep(value) kept = value end function give() return kept end")]

keys = st.one_of(st.text("abé", max_size=3), st.integers(1, 6).map(str))
scalars = st.one_of(
    st.binary(max_size=40),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=30,
)


@given(values)
@settings(deadline=None, max_examples=60)
def test_any_value_survives(value):
    machine = LuaVM.new(KEEP)
    machine.call("keep", [value])
    again = copy_of(machine)
    assert again.call("give", []) == machine.call("give", [])
    assert again.snapshot() == machine.snapshot()


def test_a_snapshot_does_not_change_the_vm(vm):
    machine = vm("t = {[{}] = 1} function f() return tostring({}) end")
    first = machine.snapshot()
    assert machine.snapshot() == first
    assert machine.call("f", []) == [b"table: 1"]


def test_equal_histories_give_equal_bytes(vm):
    source = """
        handlers = {}
        function add(name) handlers[name] = {name = name, run = function() return name end} end
    """
    machines = [vm(source, seed=b"p") for _ in range(2)]
    for machine in machines:
        for name in ("zeta", "alpha", "mid"):
            machine.call("add", [name])
    assert machines[0].snapshot() == machines[1].snapshot()


def test_the_order_of_insertion_does_not_show():
    one, other = LuaVM.new(KEEP), LuaVM.new(KEEP)
    one.call("keep", [{"a": 1, "b": [1], "c": 3}])
    other.call("keep", [{"c": 3, "b": [1], "a": 1}])
    assert one.snapshot() == other.snapshot()


def test_closures_share_their_upvalues_afterwards(vm):
    machine = vm(
        """
        do
          local n = 0
          function up() n = n + 1 return n end
          function down() n = n - 1 return n end
        end
        """
    )
    machine.call("up", [])
    machine.call("up", [])
    again = copy_of(machine)
    assert again.call("down", []) == [1]
    assert again.call("up", []) == [2]
    assert machine.call("up", []) == [3]


def test_two_closures_of_one_function_stay_apart(vm):
    machine = vm(
        """
        local function counter() local n = 0 return function() n = n + 1 return n end end
        a, b = counter(), counter()
        """
    )
    machine.call("a", [])
    again = copy_of(machine)
    assert again.call("a", []) + again.call("b", []) == [2, 1]


def test_a_recursive_local_function_survives(vm):
    source = """
        local function fact(n) return n < 2 and 1 or n * fact(n - 1) end
        function f(n) return fact(n) end
    """
    assert copy_of(vm(source)).call("f", [10]) == [3_628_800]


def test_identity_and_cycles_survive(vm):
    source = """
        a = {} b = {a = a} a.b = b a.self = a
        function f() return a.b == b, b.a == a, a.self == a, a ~= b end
    """
    assert copy_of(vm(source)).call("f", []) == [True] * 4


def test_metatables_survive(vm):
    source = """
        local Account = {} Account.__index = Account
        Account.__add = function(x, y) return Account.new(x.n + y.n) end
        Account.__gc = error
        function Account.new(n) return setmetatable({n = n}, Account) end
        function Account:read() return self.n end
        one, two = Account.new(1), Account.new(2)
        function f() return (one + two):read(), getmetatable(one) == getmetatable(two) end
    """
    assert copy_of(vm(source)).call("f", []) == [3, True]


def test_changes_to_libraries_survive(vm):
    source = """
        string.trim = function(s) return s:match('^%s*(.-)%s*$') end
        os.time = function() return 7 end
        table.unpack, math.huge, utf8 = nil, 'changed', nil
        function f()
          return (' x '):trim(), os.time(), table.unpack, math.huge, utf8, #table.pack(1)
        end
    """
    assert copy_of(vm(source)).call("f", []) == [b"x", 7, None, b"changed", None, 1]


def test_natives_survive_by_name(vm):
    source = """
        saved = {print, string.upper, table, next, up = string.upper}
        function f()
          local a, b, c, d = table.unpack(saved)
          return a == print, b('a'), c == table, d == next, saved.up('b')
        end
    """
    assert copy_of(vm(source)).call("f", []) == [True, b"A", True, True, b"B"]


def test_modules_in_loaded_survive(vm):
    source = """
        package.loaded['.lib'] = {n = 5}
        package.preload['.late'] = function() return {n = 6} end
        function f() return require('.lib').n, require('.late').n end
    """
    assert copy_of(vm(source)).call("f", []) == [5, 6]


@pytest.mark.parametrize(
    "source",
    [
        "getmetatable('').__index = function(s, k) return k end"
        " function f() return ('x').anything end",
        "debug.setmetatable(nil, {__index = function() return 'anything' end})"
        " function f() return (nil).x end",
        "debug.setmetatable(1, {__index = {a = 'anything'}}) function f() return (5).a end",
        "debug.setmetatable(print, {__index = {a = 'anything'}}) function f() return f.a end",
        "setmetatable(_G, {__index = function(_, k) return 'anything' end})"
        " function f() return q end",
    ],
)
def test_metatables_of_types_and_globals_survive(vm, source):
    machine = vm(source)
    assert copy_of(machine).call("f", []) == [b"anything"]
    assert copy_of(machine).snapshot() == machine.snapshot()


def test_chance_goes_on_where_it_was(vm):
    machine = vm("function f() return math.random(1 << 40) end", seed=b"s")
    machine.call("f", [])
    again = copy_of(machine)
    assert again.call("f", []) == machine.call("f", [])


def test_numbers_of_tables_go_on_where_they_were(vm):
    source = "t = {} function f() return tostring(t) end function g() return tostring({}) end"
    machine = vm(source)
    machine.call("g", [])
    assert machine.call("f", []) == [b"table: 2"]
    machine.call("g", [])
    again = copy_of(machine)
    assert again.call("f", []) == [b"table: 2"]
    assert again.call("g", []) == [b"table: 4"]


@pytest.mark.parametrize(
    "table",
    [
        "{1, 2, nil, 4}",
        "{nil, nil, 3}",
        "{1, nil, 3, nil, 5}",
        "{[3] = 'c', [7] = 'g', x = 1}",
        "{1, 2, [100] = 3}",
        "{n = 0, nil, 2}",
    ],
)
def test_a_table_with_holes_keeps_its_length(vm, table):
    machine = vm(f"t = {table} function f() return #t, t end")
    assert copy_of(machine).call("f", []) == machine.call("f", [])


def test_a_list_that_lost_items_keeps_its_length(vm):
    machine = vm(
        """
        lists = {}
        for size = 1, 20 do
          for hole = 1, size do
            local t = {}
            for i = 1, size do t[i] = i end
            t[hole] = nil
            lists[#lists + 1] = t
          end
        end
        function lengths() local n = {} for i, t in ipairs(lists) do n[i] = #t end return n end
        """
    )
    assert copy_of(machine).call("lengths", []) == machine.call("lengths", [])


def test_a_finished_coroutine_survives(vm):
    source = """
        co = coroutine.create(function() end) coroutine.resume(co)
        function f() return coroutine.status(co) end
    """
    assert copy_of(vm(source)).call("f", []) == [b"dead"]


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("a = {b = {coroutine.create(print)}}", "a.b[1]"),
        ("local co = coroutine.wrap(print) function f() return co end", "f.co"),
        ("it = string.gmatch('x', 'x')", "it"),
        ("it = pairs({})", "it"),
        ("t = {[coroutine.create(print)] = 1}", "t.key"),
        ("t = setmetatable({}, {__index = coroutine.wrap(print)})", "t.metatable.__index"),
    ],
)
def test_what_can_not_be_written_is_named(vm, source, path):
    with pytest.raises(SnapshotRefused, match=r"can't be written: ") as caught:
        vm(source).snapshot()
    assert caught.value.text.endswith(": " + path)


def test_a_refused_vm_goes_on(vm):
    machine = vm(
        "co = coroutine.wrap(function() coroutine.yield(1) end) function f() return co() end"
    )
    with pytest.raises(SnapshotRefused):
        machine.snapshot()
    assert machine.call("f", []) == [1]


def test_functions_of_the_host_survive_by_name(vm):
    host = Host(functions={"id": lambda: b"node"})
    machine = vm("function g() return ao.id(), kept() end", host=host)
    machine.call("load", [b"kept = ao.id"])
    again = copy_of(machine, host=host)
    with pytest.raises(SnapshotMismatch, match="ao:id"):
        copy_of(machine)
    assert again.snapshot() == machine.snapshot()


def test_a_sandboxed_vm_stays_sandboxed(vm):
    machine = vm("function f() return load, io end", replace=SANDBOXED)
    assert copy_of(machine).call("f", []) == [b"sandboxed", b"sandboxed"]


def test_error_lines_survive(vm):
    machine = vm("\n\nfunction f() local x = nil; return x.y end")
    with pytest.raises(Exception, match="main:3: attempt to index a nil value"):
        copy_of(machine).call("f", [])


def test_deep_structures_survive(vm):
    machine = vm(
        """
        for i = 1, 50000 do list = {next = list, i = i} end
        function f() local n, t = 0, list while t do n, t = n + t.i, t.next end return n end
        """
    )
    assert copy_of(machine).call("f", []) == [50_000 * 50_001 // 2]


def test_live_tables_survive(vm):
    host = Host(functions={"@get": lambda _, key: key, "@set": lambda t, k, v: t})
    machine = vm(
        "function keep(base) kept = base end function f() return kept.absent end", host=host
    )
    machine.call("keep", [{"x": 1}], live=True)
    assert copy_of(machine, host=host).call("f", []) == [b"absent"]


def test_a_snapshot_of_another_version_is_a_mismatch(vm):
    data = vm().snapshot()
    head, stamp, rest = data.split(b"\n", 2)
    for other in (
        b"lua-vm-0\n" + stamp + b"\n" + rest,
        head + b"\nlupa 1.0 00\n" + rest,
        b"",
        b"not a snapshot",
    ):
        with pytest.raises(SnapshotMismatch, match="Replay the messages"):
            LuaVM.restore(other)


@given(st.integers(min_value=0), st.integers(1, 255))
@settings(deadline=None, max_examples=50)
def test_a_damaged_snapshot_is_never_run(place, flip):
    data = bytearray(LuaVM.new(KEEP).snapshot())
    start = data.index(b"\n", data.index(b"\n") + 1) + 1
    place = start + place % (len(data) - start)
    data[place] ^= flip
    with pytest.raises(CorruptData):
        LuaVM.restore(bytes(data))
