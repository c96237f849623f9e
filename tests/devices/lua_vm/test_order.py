"""Iteration, sorting and numbering don't depend on addresses (spec/06 §5.9)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import LuaVM

WALK = LuaVM.new(
    [
        (
            "walk",
            b"""
            function by_pairs(t)
              local keys = {}
              for key in pairs(t) do keys[#keys + 1] = key end
              return keys
            end
            function by_next(t)
              local keys, key = {}, next(t)
              while key ~= nil do
                keys[#keys + 1] = key
                key = next(t, key)
              end
              return keys
            end
            function build(keys)
              local t = {}
              for i = 1, #keys do t[keys[i]] = true end
              return t
            end
            function walk(keys) return by_pairs(build(keys)), by_next(build(keys)) end
            function sorted(list) table.sort(list) return list end
            function sorted_by_first(list)
              table.sort(list, function(a, b) return a[1] < b[1] end)
              return list
            end
            """,
        )
    ]
)

keys = st.one_of(
    st.integers(-5, 30),
    st.floats(-3, 3).filter(lambda x: x != int(x)),
    st.booleans(),
    st.binary(max_size=3),
)


def rank(key):
    """Positive integers, other numbers, false, true, strings (spec/06 §5.9)."""
    if isinstance(key, bool):
        return 2, key
    if isinstance(key, int | float):
        return (0, key) if isinstance(key, int) and key > 0 else (1, key)
    return 3, key


@given(st.lists(keys, min_size=1, unique_by=repr))
@settings(deadline=None)
def test_keys_come_in_the_order_of_the_reference(key_list):
    expected = sorted(key_list, key=rank)
    assert WALK.call("walk", [key_list]) == [expected, expected]


def test_an_empty_table_has_no_keys(evaluate):
    assert evaluate("return next({}), pairs({})({}) == nil") == [None, True]


@pytest.mark.parametrize(
    ("mutation", "seen"),
    [
        ("t[k] = nil", "1 2 3 a b c"),
        ("if k == 1 then t[3] = nil t.b = nil end", "1 2 a c"),
        ("if k == 'a' then t.d = 1 t[9] = 1 end", "1 2 3 a b c"),
        ("if k == 1 then t[4] = 1 t.d = 1 end", "1 2 3 4 a b c d"),
    ],
)
def test_a_table_may_change_while_it_is_walked(evaluate, mutation, seen):
    body = f"""
        local t, order = {{1, 2, 3, a=1, b=1, c=1}}, {{}}
        for k in pairs(t) do
          order[#order + 1] = k
          {mutation}
        end
        return table.concat(order, ' ')
    """
    assert evaluate(body) == seen.encode()


def test_next_goes_on_after_a_key_that_was_removed(evaluate):
    body = """
        local t = {a=1, b=2, c=3, d=4}
        t.b = nil
        return next(t, 'b'), next(t, 'bb')
    """
    assert evaluate(body) == [b"c", b"c", 3]


def test_objects_as_keys_come_in_the_order_in_which_they_were_first_seen(evaluate):
    body = """
        local first, second, third = {}, {}, {}
        tostring(second) tostring(first) tostring(third)
        local names = {[first]='first', [second]='second', [third]='third'}
        local order = {}
        for _, name in pairs(names) do order[#order + 1] = name end
        return table.concat(order, ' ')
    """
    assert evaluate(body) == b"second first third"


def test_unseen_objects_are_told_apart_by_what_they_hold(evaluate):
    body = """
        local set = {}
        for _, name in ipairs {'delta', 'alpha', 'charlie', 'bravo'} do set[{name=name}] = true end
        local order = {}
        for object in pairs(set) do order[#order + 1] = object.name end
        return table.concat(order, ' ')
    """
    assert evaluate(body) == b"alpha bravo charlie delta"


def test_pairs_follows_its_metamethod(evaluate):
    body = """
        local t = setmetatable({1, 2}, {__pairs = function(t)
          return function(_, k) if not k then return 'only', t end end, t, nil
        end})
        for key, value in pairs(t) do return key, value == t end
    """
    assert evaluate(body) == [b"only", True]


@pytest.mark.parametrize("call", ["pairs(nil)", "pairs(1)", "next(nil)", "next('x')"])
def test_only_tables_are_walked(evaluate, call):
    ok, message = evaluate(f"return pcall(function() return {call} end)")
    assert ok is False
    assert b"table expected" in message


def test_tables_are_numbered_when_they_are_first_written(evaluate):
    body = "local a, b = {}, {} return tostring(b), tostring(a), tostring(b)"
    assert evaluate(body) == [b"table: 1", b"table: 2", b"table: 1"]


@given(
    st.one_of(st.lists(st.binary(max_size=4)), st.lists(st.integers()), st.lists(st.floats(-9, 9)))
)
@settings(deadline=None)
def test_sort_orders_values(items):
    integers = [i for i in items if not isinstance(i, int) or -(2**63) <= i < 2**63]
    assert WALK.call("sorted", [integers]) == [sorted(integers) or {}]


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=2)), min_size=1, max_size=300))
@settings(deadline=None)
def test_sort_leaves_equal_items_in_their_order(items):
    given_items = [list(item) for item in items]
    expected = sorted(given_items, key=lambda item: item[0])
    assert WALK.call("sorted_by_first", [given_items]) == [expected]


@pytest.mark.parametrize("bad", ["table.sort({1, 'x'})", "table.sort({1, 2}, 'no function')"])
def test_sort_refuses_what_it_can_not_compare(evaluate, bad):
    assert evaluate(f"return (pcall(function() {bad} end))") is False
