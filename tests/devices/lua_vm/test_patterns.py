"""Patterns that could run away are matched in Lua, with the results of the native functions.

Options that never match, `\\1?`, before a pattern make its worst case dear without changing what it
matches: so the same pattern runs both ways.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.lua_vm import Limits, LuaVM
from hyperbeam_trio.errors import GuestLimit

BOTH = LuaVM.new(
    [
        (
            "both",
            b"""
            local options = ('\\1?'):rep(60)
            local function padded(p)
              if p:sub(1, 1) == '^' then return '^' .. options .. p:sub(2) end
              return options .. p
            end
            local function all(...) return table.pack(pcall(...)) end
            local function collect(s, p)
              local found = {}
              for a, b in s:gmatch(p) do found[#found + 1] = {a, b} end
              return found
            end
            local function results(s, p, init, each)
              return {
                find = all(string.find, s, p, init), match = all(string.match, s, p, init),
                gmatch = all(collect, s, each),
                text = all(string.gsub, s, p, '<%0>'), some = all(string.gsub, s, p, '%1.', 2),
                table = all(string.gsub, s, p, {a = 'A', b = false, [''] = 'E'}),
                call = all(string.gsub, s, p, function(a, b) return a and #tostring(a) end),
              }
            end
            function both(s, p, init)
              return results(s, p, init, p), results(s, padded(p), init, options .. p)
            end
            """,
        )
    ]
)

singles = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "%a",
        "%d",
        "%s",
        "%.",
        "[ab]",
        "[^a]",
        "[a-c]",
        "[%d_]",
        "[]]",
        "[^]]",
        "-",
        "%A",
    ]
)
items = st.one_of(
    singles,
    st.builds(lambda single, mark: single + mark, singles, st.sampled_from("*+-?")),
    st.sampled_from(["()", "%b()", "%f[%a]", "%f[^%a]", "%1", "(a*)", "(.-)", "(b)", "((a)b)"]),
)
patterns = st.builds(
    lambda start, body, end: start + "".join(body) + end,
    st.sampled_from(["", "", "^"]),
    st.lists(items, max_size=4),
    st.sampled_from(["", "", "$"]),
)
subjects = st.text("aabbc1_ ().-]", max_size=12)


@given(subjects, patterns, st.integers(-14, 14))
@example("", "", 1)
@example("abc", "", 1)
@example("hello world", "(o)(.)", 1)
@example("a.b-c", "%-", 1)
@settings(deadline=None, max_examples=300)
def test_both_ways_match_the_same(subject, pattern, init):
    native, in_lua = BOTH.call("both", [subject, pattern, init])
    for name, results in native.items():
        if results["1"] is True:
            assert in_lua[name] == results


@pytest.mark.parametrize(
    "pattern",
    ["[a", "%", "(a", "a)", "%1", "%f", "%b", "%bx", "(a%1)", "[%", "[^", "%9"],
)
def test_both_ways_refuse_a_malformed_pattern(pattern):
    native, in_lua = BOTH.call("both", ["xaaa", pattern, 1])
    assert native["match"]["1"] is False
    assert in_lua["match"]["1"] is False


CATASTROPHES = {
    "find": "return (s:find('.-.-.-.-b'))",
    "match": "return s:match('(a*)(a*)(a*)(a*)b')",
    "gsub": "return (s:gsub('a-a-a-a-b', ''))",
    "gmatch": "for _ in s:gmatch('a*a*a*a*b') do end",
    "options": "return s:match(('a?'):rep(40) .. ('a'):rep(40) .. 'b')",
    "backreference": "return s:find('(a*)(a*)%1%2b')",
    "protected": "while true do pcall(string.find, s, 'a*a*a*a*b') end",
}


@pytest.mark.parametrize("name", CATASTROPHES)
def test_a_bad_pattern_ends(vm, name):
    source = f"local s = ('a'):rep(3000) function run() {CATASTROPHES[name]} end"
    machine = vm(source, limits=Limits(instructions=5_000_000))
    with pytest.raises(GuestLimit):
        machine.call("run", [])


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("return s:find('b', 1, true)", 100_001),
        ("return (s:match('^a+()b'))", 100_001),
        ("return (select(2, s:gsub('%a', '')))", 100_001),
        ("return #s:gsub('a+', 'x')", 2),
        ("local n = 0 for _ in s:gmatch('[^b]+') do n = n + 1 end return n", 1),
    ],
)
def test_ordinary_patterns_work_on_long_strings(evaluate, body, result):
    found = evaluate(f"local s = ('a'):rep(100000) .. 'b' {body}")
    assert (found[0] if isinstance(found, list) else found) == result


def test_a_long_needle_is_found(evaluate):
    body = """
        local piece = ('ab'):rep(50)
        local needle = 'Z' .. piece:rep(400) .. 'END'
        local s = piece:rep(600) .. needle .. 'tail'
        return s:find(needle, 1, true), s:find(needle .. '!', 1, true), s:find(needle, 60002, true)
    """
    assert evaluate(body) == [60_001, None, None]


def test_trimming_a_long_string_works(evaluate):
    body = "local s = (' '):rep(50) .. ('word '):rep(400) return #s:match('^%s*(.-)%s*$')"
    assert evaluate(body) == 400 * 5 - 1
