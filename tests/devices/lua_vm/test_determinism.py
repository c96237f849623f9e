"""The same messages give the same results and the same bytes in every process (spec/06 §7.8)."""

from __future__ import annotations

import os
import subprocess
import sys

from hyperbeam_trio.devices.lua_vm import Limits, LuaVM
from hyperbeam_trio.errors import GuestLimit

PROGRAM = r"""
import hashlib, json
from hyperbeam_trio.devices.lua_vm import Host, LuaState

SOURCE = b'''
    members, log, seen = {}, {}, {}
    local Member = {} Member.__index = Member
    function Member:greet() return self.name .. ':' .. math.random(1000) end
    function join(names)
      for i = 1, #names do
        local m = setmetatable({name = names[i]}, Member)
        members[names[i]] = m
        seen[m] = function() return names[i] end
        log[#log + 1] = tostring(m)
      end
      local order = {}
      for name, m in pairs(members) do order[#order + 1] = name .. '=' .. m:greet() end
      for m, f in pairs(seen) do order[#order + 1] = m.name .. f() end
      table.sort(order, function(a, b) return #a < #b end)
      return order, log, os.time(), next(seen).name, 0.1 + 0.2, tostring(seen)
    end
'''
state = LuaState.new([("m", SOURCE)], seed=b"process", host=Host(clock=lambda: 5))
digest = hashlib.sha256()
for turn in range(6):
    names = [f"n{(turn * 7 + i) % 23}".encode() for i in range(9)]
    results, state = state.call("join", [names])
    digest.update(repr(results).encode())
    digest.update(state.snapshot())
    state = LuaState.restore(state.snapshot(), host=Host(clock=lambda: 5))
print(digest.hexdigest())
"""


def run_with(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_processes_with_different_hash_seeds_agree():
    outputs = {run_with(seed) for seed in ("0", "1", "12345", "random")}
    assert len(outputs) == 1
    assert len(outputs.pop()) == 65


def test_a_restored_vm_runs_out_of_instructions_where_the_live_one_does():
    source = b"""
        t = {} for i = 1, 500 do t['k' .. i] = i end
        function sum(rounds)
          local n = 0
          for _ = 1, rounds do for k, v in pairs(t) do n = n + #k:gsub('k', '') * v end end
          return n
        end
    """
    limits = Limits(instructions=2_000_000)
    live = LuaVM.new([("m", source)], limits=limits)
    data = live.snapshot()

    def most_rounds(make) -> int:
        rounds = 1
        while True:
            try:
                make().call("sum", [rounds])
            except GuestLimit:
                return rounds
            rounds += 1

    restored = most_rounds(lambda: LuaVM.restore(data, limits=limits))
    fresh = most_rounds(lambda: LuaVM.new([("m", source)], limits=limits))
    assert restored == fresh > 10
