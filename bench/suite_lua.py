"""The Lua engine below the device: calls, values, states, snapshots.

The guest, `modules/inbox.lua`, is a small process of our own with handlers, an inbox and Eval.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.timing import ROUNDS, Result, rate, summary
from hyperbeam_trio.devices.lua_vm import Limits, LuaState, LuaVM

SOURCE = [("inbox", (Path(__file__).parent / "modules" / "inbox.lua").read_bytes())]
MESSAGE: dict[str, Any] = {
    "action": b"Transfer",
    "from": b"f" * 43,
    "recipient": b"r" * 43,
    "quantity": b"25",
    "id": b"i" * 43,
    "timestamp": 1_700_000_000,
    "tags": {"app": b"bench", "variant": b"ao.N.1", "nested": {"deep": b"yes", "n": 5}},
}
EVAL = {"action": b"Eval", "data": b"1 + 1", "from": b"f" * 43, "id": b"i" * 43}
BASE = {"device": b"process@1.0", "process": {"authority": b"a" * 43, "data-protocol": b"ao"}}


def run(quick: bool) -> list[Result]:
    """All of them."""
    seconds = 0.05 if quick else 0.4
    return [*calls(seconds), *processes(seconds), *machine(quick), *snapshots()]


def calls(seconds: float) -> list[Result]:
    """One call, and values in and out."""
    vm = LuaVM.new(SOURCE)
    return [
        rate("lua.call", lambda: vm.call("add", [1]), seconds),
        rate("lua.echo_message", lambda: vm.call("echo", [MESSAGE]), seconds, "3 levels, 12 keys"),
        rate("lua.take_message", lambda: vm.call("type", [MESSAGE]), seconds, "3 levels, 12 keys"),
    ]


def processes(seconds: float) -> list[Result]:
    """Messages to a process, each from the state that the one before left; and dry runs."""
    transfer, evaluation = ([BASE, {"body": body}, {}] for body in (MESSAGE, EVAL))
    states = [LuaState.new(SOURCE)]

    def step(arguments: list[Any], keep: bool = True) -> None:
        _, states[0] = states[0].call("compute", arguments, keep=keep)

    return [
        rate("lua.handler", lambda: step(transfer), seconds, "two messages sent"),
        rate("lua.eval", lambda: step(evaluation), seconds),
        rate("lua.dry_run", lambda: step(evaluation, False), seconds),
    ]


def machine(quick: bool) -> list[Result]:
    """Loops inside of Lua."""
    vm = LuaVM.new(SOURCE, limits=replace(Limits(), instructions=1 << 40))
    loops = 1_000_000 if quick else 10_000_000
    return [
        _inside("lua.loop", lambda: vm.call("loop", [loops]), loops, "iterations of s + i % 7"),
        _inside("lua.pairs", lambda: vm.call("walk", [loops // 10]), loops // 10, "items"),
    ]


def snapshots() -> list[Result]:
    """Making, writing and restoring a VM; the second guest holds 20,000 tables."""
    small, large = LuaVM.new(SOURCE), LuaVM.new(SOURCE)
    large.call("grow", [10_000])
    data, much = small.snapshot(), large.snapshot()
    size = f"{len(data):,} bytes"
    sizes = f"{len(much):,} bytes"
    return [
        _milliseconds("lua.new", lambda: LuaVM.new(SOURCE)),
        _milliseconds("lua.snapshot", small.snapshot, size),
        _milliseconds("lua.restore", lambda: LuaVM.restore(data), size),
        _milliseconds("lua.snapshot_20k", large.snapshot, sizes, 1),
        _milliseconds("lua.restore_20k", lambda: LuaVM.restore(much), sizes, 1),
    ]


def _inside(name: str, call: Callable[[], object], count: int, note: str) -> Result:
    values = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        call()
        values.append(count / (time.thread_time() - begun))
    return summary(name, values, "/s", note=note)


def _milliseconds(
    name: str, call: Callable[[], object], note: str = "", repeats: int = 20
) -> Result:
    values = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(repeats):
            call()
        values.append((time.thread_time() - begun) * 1000 / repeats)
    return summary(name, values, "ms", "lower", note)
