"""lua@5.3a: programs behind states that are values (spec/06 §5)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.devices.lua import LuaDevice
from hyperbeam_trio.devices.lua_vm import LuaError, LuaSyntaxError, UnfitValue
from hyperbeam_trio.errors import (
    BadRequest,
    GuestError,
    GuestLimit,
    Halt,
    KeyNotFound,
    NodeError,
    NotFound,
    StateLost,
)
from hyperbeam_trio.message import Atom, Message, to_value
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node

COUNTER = """
count = 0
function inc(base) count = count + 1; base.count = count; return base end
function peek() return count end
function spoil() count = 99; error("spoilt") end
"""


def _base(code: str, **keys) -> Message:
    module = {"content-type": "application/lua", "name": "test.lua", "body": code}
    return Message({"device": "lua@5.3a", "module": module, **keys})


async def _give(node, code: str, *parameters, **keys):
    """What the body of a function gives."""
    base = _base(f"function f(...) {code} end", **keys)
    request = Message(path="f", **({"parameters": list(parameters)} if parameters else {}))
    return await node.resolve(base, request)


class TestContract(DeviceContract):
    device = LuaDevice
    base = {"module": {"content-type": "text/x-lua", "body": COUNTER}}
    requests = [{"path": "init"}, {"path": "inc"}, {"path": "peek"}]


# Modules.


async def test_a_module_by_id_and_the_base_as_its_own_module(node):
    id = await node.cache.write(Message(body="function f() return 'by id' end"))
    assert await node.resolve(Message(device="lua@5.3a", module=id), "f") == b"by id"
    own = Message({"device": "lua@5.3a", "content-type": "text/x-lua", "body": COUNTER})
    assert await node.resolve(own, "peek") == 0


async def test_modules_run_in_the_order_of_their_list_or_keys(node):
    first, second = {"body": "x = 'one'"}, {"body": "function f() return x .. ' two' end"}
    for modules in ([first, second], {"a": first, "b": second}):
        assert await node.resolve(Message(device="lua@5.3a", module=modules), "f") == b"one two"


async def test_modules_that_are_not_to_be_had(node):
    with pytest.raises(BadRequest, match="No Lua modules found"):
        await node.resolve(Message(device="lua@5.3a"), "f")
    with pytest.raises(NotFound, match=f"Lua module '{'A' * 43}' not found"):
        await node.resolve(Message(device="lua@5.3a", module="A" * 43), "f")
    with pytest.raises(BadRequest, match="not loadable"):
        await node.resolve(Message(device="lua@5.3a", module={"a": {"nobody": "x"}}), "f")
    with pytest.raises(LuaSyntaxError, match=r"test.lua.*1"):
        await node.resolve(_base("function ("), "init")


# Calls and values.


async def test_keys_of_the_base_are_values_and_names_have_cases(node):
    base = _base("function Cap() return 'Cap' end function cap() return 'cap' end", plain="7")
    assert await node.resolve(base, "plain") == b"7"
    assert await node.resolve(base, "Cap") == b"Cap"
    assert await node.resolve(base, "cap") == b"cap"


async def test_the_function_and_parameters_that_a_request_names(node):
    base = _base("function add(a, b) return a + b end")
    for request in (
        Message(path="compute", function="add", parameters=[2, 3]),
        Message(path="compute", body={"function": "add", "parameters": [2, 3]}),
    ):
        assert await node.resolve(base, request) == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", b"text"),
        (b"\xff\x00", b"\xff\x00"),
        (7, 7),
        (0.5, 0.5),
        (True, True),
        (Atom("ok"), b"ok"),
        ([1, [2], "x"], [1, [2], b"x"]),
        ([], Message()),
        ({"1": "a", "2": "b"}, [b"a", b"b"]),
        ({"a": {"b": 1}}, Message(a={"b": 1})),
    ],
)
async def test_values_there_and_back(node, value, expected):
    assert await _give(node, "return (...)", value) == expected


async def test_tables_with_mixed_keys_and_functions(node):
    found = await _give(node, "return {[1]='a', [3]='c', k='v', f=print}")
    assert found == Message({"1": "a", "3": "c", "k": "v"})


async def test_an_integer_that_lua_cannot_hold_is_refused(node):
    with pytest.raises(UnfitValue, match="64 bits"):
        await _give(node, "return (...)", 1 << 70)


async def test_statuses(node):
    assert await _give(node, "return 'ok', 5, 'ignored'") == 5
    with pytest.raises(GuestError, match="Very bad") as refused:
        await _give(node, "return 'error', 'Very bad, but Lua caught it.'")
    assert refused.value.status == 400
    with pytest.raises(GuestError, match="gone") as refused:
        await _give(node, "return 'error', {status=410, body='gone', more='x'}")
    assert (refused.value.status, refused.value.details["more"]) == (410, b"x")
    with pytest.raises(Halt) as halted:
        await _give(node, "return 'skip', {a=1}")
    assert (halted.value.name, halted.value.state) == ("skip", Message(a=1))
    with pytest.raises(GuestError, match="Unknown status"):
        await _give(node, "return 'maybe', 1")
    with pytest.raises(KeyNotFound):
        await _give(node, "return nil")


# States.


async def test_a_state_goes_on_through_returned_messages_only(node):
    first = await node.resolve(await node.resolve(_base(COUNTER), "init"), "inc")
    assert await node.resolve(first, "peek") == 1
    assert (await node.resolve(first, "inc")).int("count") == 2
    assert (await node.resolve(first, "inc")).int("count") == 2
    with pytest.raises(LuaError, match="spoilt") as failed:
        await node.resolve(first, "spoil")
    assert "test.lua" in failed.value.details["trace"]
    assert await node.resolve(first, "peek") == 1


async def test_a_snapshot_restores_the_state_on_the_same_node(node):
    state = await node.resolve(await node.resolve(_base(COUNTER), "inc"), "inc")
    snapshot = await node.resolve(state, "snapshot")
    cold = state.reset().set_values({"snapshot": snapshot})
    warm = await node.resolve(cold, "normalize")
    assert "snapshot" not in warm
    assert (await node.resolve(warm, "inc")).int("count") == 3
    body = snapshot.binary("body")
    forged = cold.set(snapshot={"body": body[:-1] + bytes([body[-1] ^ 1])})
    with pytest.raises(StateLost, match="not this node's own"):
        await node.resolve(forged, "normalize")


async def test_nothing_to_restore_and_nothing_to_snapshot(node):
    with pytest.raises(StateLost, match="no_lua_state_snapshot_found"):
        await node.resolve(_base(COUNTER), "normalize")
    with pytest.raises(NodeError, match="state not initialized"):
        await node.resolve(_base(COUNTER), "snapshot")


async def test_functions_are_listed_after_init(node):
    with pytest.raises(KeyNotFound):
        await node.resolve(_base(COUNTER), "functions")
    names = await node.resolve(await node.resolve(_base(COUNTER), "init"), "functions")
    assert {b"inc", b"peek", b"spoil", b"print"} <= set(names)


async def test_commitments_survive_only_over_what_they_cover(node):
    signed = await commit_signed(Message(a=1, b="x"), node.wallet, limiter=node.crypto_limiter)
    kept = await _give(node, "return (...)", signed)
    assert kept.signers == [node.address]
    changed = await _give(node, "local m = ...; m.a = 2; return m", signed)
    assert (changed.signers, changed.int("a")) == ([], 2)
    moved = await _give(node, "return {deep={(...)}}", signed)
    assert moved["deep"][0].signers == [node.address]


async def test_the_clock_is_the_assignments_and_chance_the_processes(node):
    base = _base("function t() return os.time() end function r() return math.random(1e9) end")
    assert await node.resolve(base, Message(path="t", timestamp=5_000)) == 5
    asked = Message({"path": "t", "timestamp": 5_000, "block-timestamp": 9})
    assert await node.resolve(base, asked) == 9
    a, b = base.set(process={"n": 1}), base.set(process={"n": 2})
    assert await node.resolve(a, "r") == await node.resolve(a, "r")
    assert await node.resolve(a, "r") != await node.resolve(b, "r")


# Walls.


async def test_the_sandbox(node):
    call = "return os.getenv('HOME')"
    with pytest.raises(LuaError):
        await _give(node, call, sandbox=True)
    assert await _give(node, "return load", sandbox=["load"]) == b"sandboxed"
    assert await _give(node, "return load", sandbox={"load": "gone"}) == b"gone"
    with pytest.raises(BadRequest, match="sandbox"):
        await _give(node, call, sandbox="perhaps")


async def test_a_guest_that_never_ends_is_ended():
    async with running_node(**{"lua-instruction-limit": 100_000}) as node:
        base = await node.resolve(_base(COUNTER + "function loop() while true do end end"), "init")
        with pytest.raises(GuestLimit):
            await node.resolve(base, "loop")
        assert await node.resolve(base, "peek") == 0


# The ao library.


async def test_resolving_from_lua(node):
    code = "local s, v = ao.resolve({path='/a/b', a={b='deep'}}); return s .. ' ' .. v"
    assert await _give(node, code) == b"ok deep"
    code = "local s, v = ao.resolve({a=1}, 'zz'); return s .. ' ' .. v"
    assert await _give(node, code) == b"error not_found"
    assert await _give(node, "return select(2, ao.resolve({a={b=3}}, 'a', 'b'))") == 3
    code = "return select(2, ao.resolve({'as', 'test-device@1.0', {}}, 'test-func'))"
    assert await _give(node, code) == b"GOOD FUNCTION"


async def test_getting_and_setting_from_lua(node):
    assert await _give(node, "return ao.get('b/c', {b={c=2}})") == 2
    assert await _give(node, "return ao.get('x', {b=1})") == b"not_found"
    found = await _give(node, "return ao.set({a=1, b={c=2}}, 'b/d', 5)")
    assert found == Message(a=1, b={"c": 2, "d": 5})
    assert await _give(node, "return ao.set({a=1}, {a='unset'})") == Message(a="unset")
    assert await _give(node, "return ao.event('group', {x=1})") == b"ok"


async def test_a_device_sandbox_names_the_devices_that_may_be_used(node):
    code = """local s, v = ao.resolve({'as', 'test-device@1.0', {}}, 'test-func'); return s"""
    sandbox = {"device-sandbox": ["message@1.0"]}
    assert await _give(node, code) == b"ok"
    assert await _give(node, code, **sandbox) == b"error"
    assert await _give(node, "return (ao.resolve({path='/a', a=1}))", **sandbox) == b"ok"


async def test_explicit_parameters_are_live_messages(node):
    table = to_value({"a": {"b": 7}})
    assert await _give(node, "local t = ...; return t['a/b']", table) == 7
    assert await _give(node, "local t = ...; return t.nothing == nil", table) is True
    found = await _give(node, "local t = ...; t['a/c'] = 8; return t", table)
    assert found == Message(a={"b": 7, "c": 8})


async def test_lua_within_lua(node):
    inner = "{device='lua@5.3a', module={{body='function g() return 42 end'}}}"
    assert await _give(node, f"return select(2, ao.resolve({inner}, 'g'))") == 42
