"""A guest can't get out: not to the host, not to the engine, not to other VMs (spec/06 §7.8)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.lua_vm import SANDBOXED, Host, LuaError, LuaVM

GONE = [
    "python",
    "dofile",
    "loadfile",
    "ao.eval",
    "os.execute",
    "os.exit",
    "os.getenv",
    "os.remove",
    "os.rename",
    "os.tmpname",
    "os.setlocale",
    "io.open",
    "io.popen",
    "io.lines",
    "io.read",
    "io.stdout",
    "debug.getregistry",
    "debug.getupvalue",
    "debug.setupvalue",
    "debug.getlocal",
    "debug.sethook",
    "debug.gethook",
    "debug.getinfo",
    "debug.upvalueid",
    "debug.upvaluejoin",
    "debug.debug",
    "debug.traceback",
    "package.loadlib",
    "package.searchers",
    "package.searchpath",
    "package.path",
    "package.cpath",
    "package.config",
    "package.loaded.python",
    "string.dump",
    "getmetatable('').__index.dump",
]


@pytest.mark.parametrize("name", GONE)
def test_what_could_reach_out_is_not_there(evaluate, name):
    assert evaluate(f"return {name} == nil") is True


@pytest.mark.parametrize(
    "body",
    [
        "return load('\\27Lua')",
        "return load('\\27Lua', 'n', 'b')",
        "return load('\\27Lua', 'n', 'bt')",
        "local p = {'\\27Lua'} return load(function() return table.remove(p) end)",
        "return loadstring('\\27LuaS\\0')",
    ],
)
def test_binary_chunks_are_refused(evaluate, body):
    result, message = evaluate(body)
    assert result is None
    assert b"binary chunk" in message


def test_a_module_can_not_be_a_binary_chunk():
    with pytest.raises(Exception, match="binary chunk"):
        LuaVM.new([("m", b"\x1bLua")])


@pytest.mark.parametrize(
    "body",
    [
        "getmetatable('').__index = {upper = function() return 'mine' end}",
        "string.upper = function() return 'mine' end",
        "debug.setmetatable('', {__index = {upper = function() return 'mine' end}})",
    ],
)
def test_a_guest_changes_strings_for_itself_only(vm, body):
    changed, other = vm(), vm("function f() return ('x'):upper() end")
    changed = vm(f"{body} function f() return ('x'):upper() end")
    assert changed.call("f", []) == [b"mine"]
    assert other.call("f", []) == [b"X"]


@pytest.mark.parametrize(
    "body",
    [
        "string.format = nil string.find = nil string.gmatch = nil",
        "table.concat = nil table.sort = error table.unpack = nil",
        "pairs = nil next = nil tostring = nil type = nil error = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__lt = error getmetatable('').__concat = error",
        "for _, x in ipairs {1, true, print, coroutine.running()} do"
        " debug.setmetatable(x, {__index = error, __newindex = error, __call = error}) end"
        " debug.setmetatable(nil, {__index = error, __call = error})",
        "setmetatable(_G, {__index = error, __newindex = error, __pairs = error, __len = error})",
        "package.loaded = nil coroutine.create = nil math.huge = 0",
    ],
)
def test_the_engine_does_not_lean_on_what_a_guest_can_change(vm, body):
    source = """
        do
          local error = error
          kept = {a = {1, 2.5, 'x'}}
          function f() return kept end
          function fail() error('boom') end
        end
    """
    machine = vm(source + body)
    for same in (machine, LuaVM.restore(machine.snapshot())):
        assert same.call("f", []) == [{"a": [1, 2.5, b"x"]}]
        assert "fail" in same.functions()
        with pytest.raises(LuaError, match="boom"):
            same.call("fail", [])


def test_a_host_function_is_an_ordinary_function(vm):
    host = Host(functions={"secret": lambda: b"answer"})
    body = """
        local kind = type(ao.secret)
        local meta = getmetatable(ao.secret)
        local ok = pcall(function() return ao.secret.__globals__ end)
        return kind, meta, ok, tostring(ao.secret), ao.secret()
    """
    machine = vm(f"function run() {body} end", host=host)
    assert machine.call("run", []) == [b"function", None, False, b"function: 1", b"answer"]


def test_a_host_function_gets_values_never_handles(vm):
    given = []
    host = Host(functions={"take": lambda *arguments: given.append(arguments)})
    vm("function run() ao.take({x = {1}}, print, nil, 'b') end", host=host).call("run", [])
    assert given == [({"x": [1]}, None, None, b"b")]


def test_an_error_of_the_host_reaches_the_guest_as_text_only(vm):
    def fail():
        raise KeyError("inner")

    body = "local ok, err = pcall(ao.fail) return ok, type(err), err"
    machine = vm(f"function run() {body} end", host=Host(functions={"fail": fail}))
    assert machine.call("run", []) == [False, b"string", b"'inner'"]


def test_finalizers_never_run(evaluate):
    body = """
        local ran = false
        for i = 1, 1000 do setmetatable({}, {__gc = function() ran = true end}) end
        local late = {}
        local t = setmetatable({}, late)
        late.__gc = function() ran = true end
        t = nil
        for i = 1, 200000 do local garbage = {} end
        return ran
    """
    assert evaluate(body) is False


def test_a_finalizer_stays_readable(evaluate):
    body = "local m = {__gc = print} setmetatable({}, m) return m.__gc == print"
    assert evaluate(body) is True


def test_tables_are_never_weak(evaluate):
    body = """
        local t = setmetatable({}, {__mode = 'kv'})
        for i = 1, 100 do t[i] = {} end
        for i = 1, 300000 do local garbage = {} end
        return #t
    """
    assert evaluate(body) == 100


def test_modules_run_before_replacements_and_without_ao():
    source = (
        b"at_load = {load('return 1')(), type(ao)} function f() return at_load, load, type(ao) end"
    )
    machine = LuaVM.new([("m", source)], replace=SANDBOXED, host=Host(functions={"x": lambda: 1}))
    assert machine.call("f", []) == [[1, b"nil"], b"sandboxed", b"table"]


def test_calling_what_was_replaced_is_an_error():
    machine = LuaVM.new([("m", b"function f() return os.getenv('HOME') end")], replace=SANDBOXED)
    with pytest.raises(LuaError, match="attempt to call"):
        machine.call("f", [])


def test_replacements_go_where_a_table_is_and_nowhere_else():
    values = {
        "a": 5,
        "lib.deep": b"x",
        "none.deep": 1,
        "lib.leaf.deeper": 1,
        "string.rep": {"k": [1]},
    }
    source = b"lib = {leaf = 3} function f() return a, lib, none, string.rep end"
    assert LuaVM.new([("m", source)], replace=values).call("f", []) == [
        5,
        {"deep": b"x", "leaf": 3},
        None,
        {"k": [1]},
    ]


def test_ao_of_a_module_is_kept_and_extended():
    host = Host(functions={"resolve": lambda: b"host"})
    source = b"ao = {id = 'mine', resolve = 'old'} function f() return ao.id, ao.resolve() end"
    assert LuaVM.new([("m", source)], host=host).call("f", []) == [b"mine", b"host"]
