"""The walls around a guest: its limits, its globals, and the Lua code that keeps them.

The prelude is Lua text in `prelude/`. It is compiled once a process, stripped of line numbers so
that it shows in no error text and no trace, and run in each new VM (spec/06 §5.3, §5.9, §7.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lupa
from lupa import lua53

_PARTS = ("limits", "order", "text", "pattern", "library", "entry", "snapshot", "restore")

SANDBOXED: Mapping[str, bytes] = MappingProxyType(
    dict.fromkeys(
        (
            "io",
            "file",
            "os.execute",
            "os.exit",
            "os.getenv",
            "os.remove",
            "os.rename",
            "os.tmpname",
            "package.searchers",
            "package.searchpath",
            "package.path",
            "package.cpath",
            "package.loadlib",
            "loadfile",
            "dofile",
            "load",
            "loadstring",
        ),
        b"sandboxed",
    )
)
"""What `sandbox: true` puts at which global. `require` stays: it never reaches the disk."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use.

    `instructions` of the Lua machine (some 100 to 300 million a second), counted alike everywhere;
    `seconds` of wall-clock time, the net for what instructions don't bound (a guest that copies
    strings of tens of megabytes is stopped some seconds late); `memory` in bytes for all that the
    VM holds; `string`, the longest string in bytes that library functions make,
    search or print; `items`, how many table entries a call may hand to the host; `host_calls`, how
    often a call may ask the host.
    """

    instructions: int = 1_000_000_000
    seconds: float = 30.0
    memory: int = 256 << 20
    string: int = 16 << 20
    items: int = 1_000_000
    host_calls: int = 10_000


def new_runtime() -> lua53.LuaRuntime:
    """A Lua state that knows nothing of Python, with bytes for strings and a memory gauge."""
    return lua53.LuaRuntime(
        encoding=None,
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=True,
        attribute_filter=_refuse_attribute,
        max_memory=0,
    )


def load_prelude(runtime: lua53.LuaRuntime, kit: Mapping[bytes, Any]) -> Any:
    """Runs the prelude in a new runtime; gives its table `kit`, which holds the entry points."""
    table = runtime.table_from(kit)
    for code in _bytecode():
        runtime.execute(code, table, mode="b")
    unguarded = runtime.globals()
    # Without a global `debug` the binding builds no traceback for each error.
    for name in (b"python", b"debug"):
        del unguarded[name]
    return table


@cache
def stamp() -> str:
    """Names all that a snapshot's bytecode depends on: the binding, and the format of Lua's."""
    header = new_runtime().execute(b"return string.dump(load('', '=?'), true):sub(1, 33)")
    return f"lupa {lupa.__version__} {header.hex()}"


@cache
def _bytecode() -> tuple[bytes, ...]:
    compiler = new_runtime().execute(
        b"return function(text) return string.dump(assert(load(text, '=?', 't')), true) end"
    )
    folder = Path(__file__).with_name("prelude")
    return tuple(compiler((folder / f"{part}.lua").read_bytes()) for part in _PARTS)


def _refuse_attribute(_object: object, name: object, _is_setting: bool) -> object:
    raise AttributeError(f"Lua may not touch attributes of Python: {name!r}")
