"""What can go wrong in a Lua guest (spec/06 §5.2, §5.7, §7.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperbeam_trio.errors import (
    BadRequest,
    GuestError,
    GuestLimit,
    GuestTimeout,
    HyperbeamError,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One call that led to an error: the function's name, and `chunk:line`."""

    function: str
    line: str


class LuaError(GuestError):
    """A Lua error that nothing caught (spec/06 §5.7).

    `value` is what was thrown: bytes, or another value if the guest threw one. `trace` lists the
    calls in Lua code, innermost first. An exception of a host function is the `__cause__`.
    """

    def __init__(self, value: Any, trace: tuple[Frame, ...] = ()) -> None:
        super().__init__(_text_of(value))
        self.value = value
        self.trace = trace


class NoSuchFunction(LuaError):
    """The module has no global of the name that was called."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"undefined function {name}".encode())


class LuaSyntaxError(GuestError):
    """A module that doesn't compile: `<chunk>:<line>: <message>` (spec/06 §5.2)."""

    status = 400


class UnfitValue(BadRequest):
    """A value that Lua can't hold, such as an integer beyond 64 bits (spec/06 §5.5, §7.8)."""


class UnfitResult(GuestError):
    """A value of Lua's that no message can hold: nan, a key that is a table, a cycle."""


class SnapshotRefused(GuestError):
    """The state holds something that can't be written, such as a suspended coroutine."""


class SnapshotMismatch(HyperbeamError):
    """A snapshot of another version of Lua, of the binding or of this engine: replay instead."""


class TooHasty(Exception):
    """A call can't be made in haste; the state that it was to be made on is as it was."""


OF_THE_MACHINE = frozenset({"seconds", "journal"})
"""Limits that the same call reaches on one node and not on another."""


def limit_reached(limit: str) -> GuestLimit:
    """The error of a guest that used up `limit`: instructions, memory, seconds, items, journal."""
    kind = GuestTimeout if limit in OF_THE_MACHINE else GuestLimit
    return kind(f"The Lua guest used up its limit: {limit}.", details={"limit": limit})


LONGEST_TEXT = 2000
"""Characters of a thrown value that an error's text shows; `value` has all of it."""


def _text_of(value: Any) -> str:
    if isinstance(value, bytes):
        return value[: 4 * LONGEST_TEXT].decode("utf-8", "replace")[:LONGEST_TEXT]
    return "nil" if value is None else str(value)[:LONGEST_TEXT]
