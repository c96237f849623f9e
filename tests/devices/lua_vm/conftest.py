"""Guests for the tests of the Lua engine, written as Lua beside each test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyperbeam_trio.devices.lua_vm import LuaVM

MakeVM = Callable[..., LuaVM]
Evaluate = Callable[..., Any]


@pytest.fixture
def vm() -> MakeVM:
    """Makes a VM that has run one module, given as text, under the name "main"."""

    def make(source: str = "", **options: Any) -> LuaVM:
        return LuaVM.new([("main", source.encode())], **options)

    return make


@pytest.fixture
def evaluate(vm: MakeVM) -> Evaluate:
    """The results of a function body: one as it is, several as a list, none as an empty list."""

    def run(body: str, *arguments: Any, **options: Any) -> Any:
        results = vm(f"function run(...) {body} end", **options).call("run", arguments)
        return results[0] if len(results) == 1 else results

    return run
