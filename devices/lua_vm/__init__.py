"""A Lua 5.3 engine in a sandbox, with states as values: what lua@5.3a stands on (spec/06 §5, §7.8).

It works on plain Python values and knows nothing of messages. `LuaState` is the front door, `LuaVM`
one machine behind it.
"""

from hyperbeam_trio.devices.lua_vm.failures import (
    Frame,
    LuaError,
    LuaSyntaxError,
    NoSuchFunction,
    SnapshotMismatch,
    SnapshotRefused,
    TooHasty,
    UnfitResult,
    UnfitValue,
)
from hyperbeam_trio.devices.lua_vm.host import Host, HostCall, HostFunction, HostTrouble
from hyperbeam_trio.devices.lua_vm.sandbox import SANDBOXED, Limits
from hyperbeam_trio.devices.lua_vm.state import LuaState
from hyperbeam_trio.devices.lua_vm.values import Lasting, Result, Value, alike
from hyperbeam_trio.devices.lua_vm.vm import LuaVM, Modules

__all__ = [
    "SANDBOXED",
    "Frame",
    "Host",
    "HostCall",
    "HostFunction",
    "HostTrouble",
    "Lasting",
    "Limits",
    "LuaError",
    "LuaState",
    "LuaSyntaxError",
    "LuaVM",
    "Modules",
    "NoSuchFunction",
    "Result",
    "SnapshotMismatch",
    "SnapshotRefused",
    "TooHasty",
    "UnfitResult",
    "UnfitValue",
    "Value",
    "alike",
]
