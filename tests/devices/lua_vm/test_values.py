"""Values cross between Python and Lua as spec/06 §5.5 says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import Limits, LuaVM, UnfitResult, UnfitValue
from hyperbeam_trio.errors import BadRequest, GuestLimit


class Atom(str):
    __slots__ = ()


ECHO = LuaVM.new([("echo", b"function echo(...) return ... end")])

numbered = st.dictionaries(st.integers(1, 4).map(str), st.binary(max_size=2), min_size=1)
scalars = st.one_of(
    st.binary(max_size=8),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4),
        st.dictionaries(st.text("abcé/ 1-", max_size=5), inner, max_size=4).filter(
            lambda d: not d or set(d) != {str(i) for i in range(1, len(d) + 1)}
        ),
    ),
    max_leaves=12,
)


@given(values)
@settings(deadline=None)
def test_a_value_comes_back_as_it_went_in(value):
    assert ECHO.call("echo", [value]) == [value]


@given(values)
@settings(deadline=None)
def test_a_value_keeps_its_types(value):
    assert repr(ECHO.call("echo", [{"k": value}])) == repr([{"k": _sorted(value)}])


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value


@pytest.mark.parametrize(
    ("given_value", "lua_type"),
    [
        (b"x", "string"),
        ("x", "string"),
        (Atom("ok"), "string"),
        (1, "integer"),
        (1.0, "float"),
        (True, "boolean"),
        (None, "nil"),
        ([1], "table"),
        ({"a": 1}, "table"),
    ],
)
def test_a_value_has_the_type_that_lua_gives_it(evaluate, given_value, lua_type):
    body = "local x = ... return math.type(x) or type(x)"
    assert evaluate(body, given_value) == lua_type.encode()


def test_an_atom_becomes_text():
    assert ECHO.call("echo", [Atom("not_found")]) == [b"not_found"]


def test_text_of_python_is_encoded_as_utf8():
    assert ECHO.call("echo", ["é"]) == ["é".encode()]


def test_bytes_need_not_be_text():
    every_byte = bytes(range(256))
    assert ECHO.call("echo", [every_byte]) == [every_byte]


@given(numbered.filter(lambda d: set(d) == {str(i) for i in range(1, len(d) + 1)}))
def test_a_message_with_keys_from_one_on_is_a_list(message):
    assert ECHO.call("echo", [message]) == [[message[str(i)] for i in range(1, len(message) + 1)]]


@pytest.mark.parametrize("keys", [("1", "3"), ("0", "1"), ("1", "a"), ("01",), ("1", "02")])
def test_a_message_with_other_keys_stays_a_message(keys):
    message = dict.fromkeys(keys, b"v")
    assert ECHO.call("echo", [message]) == [message]


@pytest.mark.parametrize("empty", [{}, []])
def test_what_is_empty_becomes_an_empty_message(empty):
    assert ECHO.call("echo", [{"k": empty}]) == [{"k": {}}]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("{[1]='a', [3]='c'}", {"1": b"a", "3": b"c"}),
        ("{10, 20, x=30}", {"1": 10, "2": 20, "x": 30}),
        ("{[2]='b', [1]='a'}", [b"a", b"b"]),
        ("{[1.5]=1, [true]=2, [-1]=3}", {"1.5": 1, "true": 2, "-1": 3}),
        ("{[1]='number', ['1']='text', x=1}", {"1": b"text", "x": 1}),
        ("{[true]=5}", {"true": 5}),
        ("{1, print, 3}", {"1": 1, "3": 3}),
        ("{a=print, b=coroutine.create(print)}", {}),
    ],
)
def test_a_table_becomes_a_list_or_a_message(evaluate, table, expected):
    assert evaluate(f"return {table}") == expected


def test_keys_of_a_message_come_in_order(evaluate):
    body = "return {zebra=1, apple=2, Mango=3, [7]=4, banana=5}"
    assert list(evaluate(body)) == ["7", "Mango", "apple", "banana", "zebra"]


def test_nil_in_a_message_leaves_no_key(evaluate):
    assert evaluate("return {a=1, b=nil}") == {"a": 1}


def test_none_is_an_absent_key(evaluate):
    assert evaluate("return next(...) == nil", {"a": None}) is True


def test_metamethods_have_no_part_in_a_result(evaluate):
    body = """
        local hidden = {__index = function() error('asked') end, __len = function() return 9 end}
        return setmetatable({'only'}, hidden)
    """
    assert evaluate(body) == [b"only"]


def test_the_same_table_twice_is_two_values(evaluate):
    assert evaluate("local t = {1} return {a=t, b=t}") == {"a": [1], "b": [1]}


def test_one_object_given_twice_arrives_twice():
    shared = {"deep": [b"x"]}
    assert ECHO.call("echo", [[shared, shared]]) == [[{"deep": [b"x"]}, {"deep": [b"x"]}]]


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_beyond_64_bits_is_refused_not_wrapped(number):
    with pytest.raises(UnfitValue, match="64 bits") as caught:
        ECHO.call("echo", [{"balance": [number]}])
    assert isinstance(caught.value, BadRequest)


def test_a_foreign_object_is_refused():
    with pytest.raises(UnfitValue, match="Lua can't hold a object"):
        ECHO.call("echo", [{"link": object()}])


def test_a_refused_argument_leaves_the_vm_as_it_was(vm):
    machine = vm("n = 0 function count() n = n + 1 return n end")
    with pytest.raises(UnfitValue):
        machine.call("count", [2**64])
    assert machine.call("count", []) == [1]


@pytest.mark.parametrize("number", ["1/0", "-1/0", "0/0"])
def test_a_number_that_no_message_holds_is_refused(evaluate, number):
    with pytest.raises(UnfitResult, match="finite"):
        evaluate(f"return {{x = {number}}}")


def test_a_cycle_is_refused(evaluate):
    with pytest.raises(UnfitResult, match="cycle"):
        evaluate("local t = {} t.t = t return t")


def test_nesting_has_a_limit_on_the_way_in():
    value = b"x"
    for _ in range(300):
        value = [value]
    with pytest.raises(UnfitValue, match="nested"):
        ECHO.call("echo", [value])


@pytest.mark.parametrize("key", ["{}", "print"])
def test_a_key_that_is_an_object_is_refused(evaluate, key):
    with pytest.raises(UnfitResult, match="table or a function"):
        evaluate(f"return {{[{key}] = 1}}")


def test_a_key_that_is_not_text_is_refused(evaluate):
    with pytest.raises(UnfitResult, match="UTF-8"):
        evaluate(r"return {['\255'] = 1}")


def test_a_small_state_can_not_give_a_result_without_end(evaluate):
    doubling = """
        local t = {'x'}
        for i = 1, 60 do t = {t, t} end
        return t
    """
    with pytest.raises(GuestLimit) as caught:
        evaluate(doubling, limits=Limits(items=10_000))
    assert caught.value.details["limit"] == "items"


@pytest.mark.parametrize(
    ("body", "results"),
    [("return", []), ("return nil", [None]), ("return 1, nil, 'x'", [1, None, b"x"])],
)
def test_a_function_gives_as_many_results_as_it_returns(vm, body, results):
    assert vm(f"function f() {body} end").call("f", []) == results
