"""`lua@5.3a`: Lua programs behind states (spec/06 §5)."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import trio

from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.devices.lua_library import (
    ALWAYS,
    PROGRAM_HOST,
    Library,
    inside,
    log_print,
)
from hyperbeam_trio.devices.lua_modules import is_lua, modules_of
from hyperbeam_trio.devices.lua_values import Crossing, Shown
from hyperbeam_trio.devices.lua_vm import (
    SANDBOXED,
    Limits,
    LuaError,
    LuaState,
    SnapshotMismatch,
    TooHasty,
)
from hyperbeam_trio.errors import (
    BadRequest,
    CorruptData,
    GuestError,
    Halt,
    KeyNotFound,
    NodeError,
    StateLost,
)
from hyperbeam_trio.message import Message, Value, as_text, is_private, numbered

T = TypeVar("T")

PROCESSES: Final = 64
"""Definitions that are remembered as Lua is shown them."""

HANDLE: Final = "lua"
"""The private entry of a message that holds its Lua state."""

TURN_SECONDS: Final = 0.002
"""How long calls are made in the loop's thread without giving way to other tasks."""

THREADS: Final = 256
"""How many Lua calls run at the same time; calls that other Lua calls wait for come on top."""

_PLAIN: Final = frozenset(
    {
        *("id", "commitments", "committers", "keys", "path", "set", "remove"),
        *("verify", "encode", "decode"),
    }
)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is called: a function, its arguments, and whether the request or base named them."""

    function: str
    arguments: list[Value]
    given: bool


class LuaDevice(Device):
    """Runs Lua: every key that the base does not have calls the global function of that name.

    The program is `module`: ids, messages or a list of them; or the base itself if its
    `content-type` is Lua's. A function gets the base, the request and an empty table, or what
    `parameters` lists, and gives a value, or a status and a value.
    """

    name = "lua@5.3a"
    volatile = True  # a stored result would have lost the Lua state that it goes on with
    excludes = _PLAIN

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(THREADS)
        self._gave_way = 0.0
        self._processes: Memo[int, Shown] = Memo(PROCESSES)

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """What the program's function `info` says; without a program what the device is."""
        if "info" in base or "module" in base or is_lua(base):
            return await self.call("info", base, request, context)
        return await super().info(base, request, context)

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base with its program loaded."""
        return _with_state(base, await self._state(base, context))

    @key
    async def normalize(self, base: Message, request: Message, context: Context) -> Value:
        """The base with its Lua state, restored from `snapshot` if there is none."""
        if HANDLE in base.private:
            return base.without("snapshot")
        state = await self._restored(base, context)
        if state is None:
            raise StateLost("no_lua_state_snapshot_found")
        return _with_state(base.without("snapshot"), state)

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """`body`: the Lua state, sealed for this node alone."""
        state: LuaState | None = base.private.get(HANDLE)
        if state is None:
            raise NodeError("Cannot snapshot Lua state: state not initialized.")
        return Message.of({"body": _seal(await self._in_thread(state.snapshot), context)})

    @key
    async def functions(self, base: Message, request: Message, context: Context) -> Value:
        """The names of the program's global functions; `KeyNotFound` before `init`."""
        state: LuaState | None = base.private.get(HANDLE)
        if state is None:
            raise KeyNotFound("There are no functions before 'init'.")
        return [name.encode() for name in await self._in_thread(state.functions)]

    @default
    async def call(self, name: str, base: Message, request: Message, context: Context) -> Value:
        """The key's value in the base, else what the function of that name gives.

        Raises what the program raises: `LuaError` with `trace`, `GuestError` for the status
        `error`, `Halt` for `skip` and `pass`; `KeyNotFound` for nil.
        """
        if is_private(name):
            raise KeyNotFound(f"Key {name!r} is private.")
        if name in base:
            return await context.view(base, name)
        state = await self._state(base, context)
        base = base.without("snapshot")
        wanted = await _invocation(name, base, request, context)
        crossing = Crossing(await self._shown(base, context))
        arguments = [crossing.into(await context.load_all(item)) for item in wanted.arguments]
        sandbox = await _sandbox_of(base, context)
        library = Library(context, crossing, sandbox, lasting="process" in base)
        try:
            results, after = await self._called(state, wanted, arguments, library, request)
        except LuaError as error:
            error.details = {**error.details, "trace": _trace(error)}
            raise
        return _outcome(results, base, after, crossing)

    async def _called(
        self,
        state: LuaState,
        wanted: Invocation,
        arguments: list[Any],
        library: Library,
        request: Message,
    ) -> tuple[list[Any], LuaState]:
        """A call in a thread; or here, if it is so short that a thread would be the dearer part."""
        clock = partial(_clock, request)
        function, live = wanted.function, wanted.given
        if state.brisk:
            await self._give_way()
            try:
                return state.call_in_haste(
                    function, arguments, live=live, clock=clock, write=log_print
                )
            except TooHasty:
                pass
        host = library.host(clock)
        return await self._in_thread(partial(state.call, function, arguments, live=live, host=host))

    async def _give_way(self) -> None:
        """Let other tasks have their turn once in a while, between calls that need no thread."""
        now = time.perf_counter()
        if now - self._gave_way > TURN_SECONDS:
            await trio.lowlevel.checkpoint()
            self._gave_way = time.perf_counter()

    # States.

    async def _shown(self, base: Message, context: Context) -> Shown | None:
        """The process of a state as Lua is shown it, the same for all of its slots."""
        process = base.get("process")
        if not isinstance(process, Message):
            return None
        known = self._processes.get(id(process))
        if known is not None and known.message is process:
            return known
        if await context.load_all(process) is not process:
            return None
        # What is remembered is kept alive with it, so nothing else can have its identity.
        shown = Shown.of(process)
        self._processes.set(id(process), shown)
        return shown

    async def _state(self, base: Message, context: Context) -> LuaState:
        held: LuaState | None = base.private.get(HANDLE)
        return held or await self._restored(base, context) or await self._begun(base, context)

    async def _begun(self, base: Message, context: Context) -> LuaState:
        modules = await modules_of(base, context)
        process = await context.view(base, "process")
        seed = signed_id(process).encode() if isinstance(process, Message) else b""
        make = partial(
            LuaState.new,
            modules,
            limits=_limits(context),
            seed=seed,
            host=PROGRAM_HOST,
            replace=await _replacements(base, context),
        )
        return await self._in_thread(make)

    async def _restored(self, base: Message, context: Context) -> LuaState | None:
        snapshot = await context.view(base, "snapshot")
        device_key = base.text("device-key", None)
        if isinstance(snapshot, Message) and device_key is not None:
            snapshot = await context.view(snapshot, device_key)
        body = await context.view(snapshot, "body") if isinstance(snapshot, Message) else None
        if not isinstance(body, bytes):
            return None
        data, limits = _unseal(body, context), _limits(context)
        try:
            return await self._in_thread(
                partial(LuaState.restore, data, limits=limits, host=PROGRAM_HOST)
            )
        except (SnapshotMismatch, CorruptData) as error:
            raise StateLost(error.text) from error

    async def _in_thread(self, function: Callable[[], T]) -> T:
        """Lua that may take long, or waits for answers, never runs in the event loop's thread."""
        # A call made for another one would wait for ever if all threads waited like this one.
        limiter = trio.CapacityLimiter(1) if inside.get() else self._threads
        return await trio.to_thread.run_sync(function, limiter=limiter)


# What is called, and with what.


async def _invocation(name: str, base: Message, request: Message, context: Context) -> Invocation:
    body = await context.view(request, "body")
    inner = body if isinstance(body, Message) else Message()
    function = next((as_text(m["function"]) for m in (inner, request, base) if "function" in m), "")
    for message in (inner, request, base):
        if "parameters" in message:
            loaded = await context.load_all(message["parameters"])
            arguments = Message.of({"parameters": loaded}).list("parameters")
            return Invocation(function or name, list(arguments), given=True)
    return Invocation(function or name, [base, request, Message()], given=False)


async def _sandbox_of(base: Message, context: Context) -> frozenset[str] | None:
    """The devices that `device-sandbox` leaves to the program; None where it names none."""
    value = await context.load_all(base.get("device-sandbox"))
    if value is None:
        return context.devices
    named = Message.of({"device-sandbox": value}).list("device-sandbox")
    allowed = frozenset({ALWAYS, *((as_text(item) or "").lower() for item in named)})
    return allowed if context.devices is None else allowed & context.devices


async def _replacements(base: Message, context: Context) -> dict[str, Any]:
    """What the base's `sandbox` puts at which global (spec/06 §5.3)."""
    value = await context.load_all(base.get("sandbox"))
    listed = numbered(value) if isinstance(value, Message) else value
    if isinstance(listed, list):
        return {as_text(path) or "": b"sandboxed" for path in listed}
    if isinstance(value, Message):
        crossing = Crossing()
        return {path: crossing.into(item) for path, item in value.items()}
    if value is None or as_text(value) in ("false", ""):
        return {}
    if as_text(value) != "true":
        raise BadRequest("Key 'sandbox' should be true, false, a list of paths, or a message.")
    return dict(SANDBOXED)


def _limits(context: Context) -> Limits:
    config = context.config
    return Limits(
        instructions=config.lua_instruction_limit,
        seconds=config.lua_time_limit,
        memory=config.lua_memory_limit,
    )


def _clock(request: Message) -> float:
    """Seconds since 1970 as the assignment has them, the block's before its scheduler's."""
    block = request.float("block-timestamp", 0.0)
    return block if block > 0 else request.float("timestamp", 0.0) / 1000


# What comes back.


def _outcome(results: list[Any], base: Message, after: LuaState, crossing: Crossing) -> Value:
    status, result = _status_of(results)
    value = crossing.out(result)
    if isinstance(value, Message) and status in ("ok", "skip", "pass"):
        others = base.private if value.get("device") == base.get("device") else {}
        value = _with_state(value.with_private(**others), after)
    if status == "ok":
        if value is None:
            raise KeyNotFound("The Lua function gave nothing.")
        return value
    if status in Halt.names:
        raise Halt(status, value)
    if status not in ("error", "failure"):
        raise GuestError(f"Unknown status {status!r:.80} from a Lua function.")
    raise _refusal(value, 400 if status == "error" else 500)


def _status_of(results: list[Any]) -> tuple[str, Any]:
    if len(results) < 2:
        return "ok", results[0] if results else None
    status = as_text(results[0]) if isinstance(results[0], bytes) else None
    return status or "", results[1]


def _refusal(value: Value, status: int) -> GuestError | KeyNotFound:
    """The error that a program answered with: its text, or a message with `status` and `body`."""
    if value == b"not_found":
        return KeyNotFound("not_found")
    if not isinstance(value, Message):
        return GuestError(as_text(value) or "", status=status)
    details = {
        name: item
        for name, item in value.items()
        if isinstance(item, str | bytes | int | float | bool) and name not in ("status", "body")
    }
    text = as_text(value.get("body")) or "The Lua function gave an error."
    return GuestError(text, status=value.int("status", status), details=details)


def _trace(error: LuaError) -> str:
    return "\n".join(f"{frame.function} {frame.line}" for frame in error.trace)


def _with_state(message: Message, state: LuaState) -> Message:
    return message.with_private(**{HANDLE: state})


# Snapshots hold bytecode, which Lua runs unchecked: this node reads none but its own.


def _mac(data: bytes, context: Context) -> bytes:
    return hmac.digest(context.node.wallet.derived(b"lua-snapshot"), data, "sha256")


def _seal(data: bytes, context: Context) -> bytes:
    return _mac(data, context) + data


def _unseal(body: bytes, context: Context) -> bytes:
    mac, data = body[:32], body[32:]
    if not hmac.compare_digest(mac, _mac(data, context)):
        raise StateLost("The snapshot of a Lua state is not this node's own.")
    return data
