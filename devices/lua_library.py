"""The `ao` library: what Lua may ask of the node (spec/06 §5.6), and live tables (§5.5).

Lua runs in a thread; each of these functions goes back to Trio and waits there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.lua_values import Crossing
from hyperbeam_trio.devices.lua_vm import Host, HostTrouble
from hyperbeam_trio.errors import (
    BadRequest,
    Busy,
    CorruptData,
    Halt,
    HyperbeamError,
    KeyNotFound,
    NecessaryMessageNotFound,
    NodeError,
    StoreError,
    UnknownMessage,
)
from hyperbeam_trio.message import As, Link, Message, Value, as_text
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.setting import set_path

log = logging.getLogger("hyperbeam_trio.lua")

NAMES: Final = ("resolve", "get", "set", "event", "@get", "@set")

inside: ContextVar[bool] = ContextVar("hyperbeam_trio_inside_lua", default=False)
"""Whether the present task answers a Lua call, which has a thread already."""

ALWAYS: Final = "structured@1.0"
"""The device that `device-sandbox` leaves in any case."""


_TROUBLES: Final = (StoreError, CorruptData, Busy)
"""What a program never learns of: its call ends, and another try may go well."""


def _nobody(*_: object) -> None:
    raise NodeError("The ao library is there only while a call runs.")


PROGRAM_HOST: Final = Host(dict.fromkeys(NAMES, _nobody), check=trio.from_thread.check_cancelled)
"""What modules are loaded with: the names of the library, and no clock."""


class Library:
    """The library of one call; `devices` are all that its resolutions may use, None for any.

    In a process, `lasting`, a message that is not stored here ends the call too: another node may
    have it, and the outcome is to be the same there (spec/05 §10).
    """

    def __init__(
        self,
        context: Context,
        crossing: Crossing,
        devices: frozenset[str] | None,
        *,
        lasting: bool = False,
    ) -> None:
        self._context = replace(context.internal(), devices=devices)
        self._crossing = crossing
        self._troubles: tuple[type[HyperbeamError], ...] = _TROUBLES
        if lasting:
            self._troubles += (NecessaryMessageNotFound, UnknownMessage)

    def host(self, clock: Callable[[], float]) -> Host:
        """The library for a Lua call in a thread of Trio's."""
        own: dict[str, Callable[..., Awaitable[Any]]] = {
            "resolve": self.resolve,
            "get": self.get,
            "set": self.set,
            "event": self.event,
            "@get": self.live_get,
            "@set": self.live_set,
        }
        run = partial(_back_to_trio, self._troubles)
        functions = {name: partial(run, function) for name, function in own.items()}
        return Host(functions, clock=clock, write=log_print, check=trio.from_thread.check_cancelled)

    async def resolve(self, *arguments: Any) -> tuple[Any, ...]:
        """`ok` and the result of a request or a sequence; `error` and a reason."""
        try:
            value = await self._resolved([self._element(item) for item in arguments])
            return b"ok", await self._into(value)
        except Halt as halt:
            state = halt.state if isinstance(halt.state, Message) else None
            return halt.name.encode(), await self._into(state)
        except KeyNotFound:
            return b"error", b"not_found"
        except self._troubles:
            raise
        except HyperbeamError as error:
            return b"error", error.text.encode()

    async def get(self, key: Any, base: Any) -> Any:
        """The value at a path of the base, or the text `not_found`."""
        value = await self._context.get(self._message(base), _path(key))
        return b"not_found" if value is None else await self._into(value)

    async def set(self, base: Any, key: Any, *value: Any) -> Any:
        """The base with one path or with all keys of a table set, deeply."""
        changes = {_path(key): value[0]} if value else key
        if not isinstance(changes, dict):
            raise BadRequest("ao.set takes a base, and a key with a value or a table of values.")
        return await self._into(await self._set(self._message(base), changes))

    async def event(self, *arguments: Any) -> bytes:
        """Log an event."""
        log.debug("Lua event: %.500r", arguments)
        return b"ok"

    async def live_get(self, table: Any, key: Any) -> Any:
        """What a message says to a key, a list `{path, request}` or a request; nil if nothing."""
        base = self._message(table)
        try:
            return await self._into(await self._context.resolve(base, self._asked(key)))
        except self._troubles:
            raise
        except HyperbeamError:
            # An absent key of a table is nil, whatever the reason.
            return None

    async def live_set(self, table: Any, key: Any, value: Any) -> Any:
        """The contents of a message with a key set by its own device."""
        return await self._into(await self._set(self._message(table), {_path(key): value}))

    # The pieces.

    async def _resolved(self, sequence: list[Value]) -> Value:
        if not sequence:
            raise BadRequest("ao.resolve takes a request, or a base and what to ask of it.")
        first, *rest = sequence
        if not rest:
            request = first if isinstance(first, Message) else Message(path=as_text(first) or "")
            return await self._context.resolve_many(parse_request(request))
        base: Value = first
        if isinstance(first, As):
            base = await self._context.resolve_many([first])
        elif isinstance(first, bytes):
            base = Link(as_text(first) or "")
        for item in rest:
            base = await self._step(base, item)
        return base

    async def _step(self, base: Value, item: Value) -> Value:
        if isinstance(item, As):
            return await self._context.resolve_many([base, item])
        request = item if isinstance(item, Message) else _path(item)
        return await self._context.resolve(base, request)

    async def _set(self, base: Message, changes: dict[str, Any]) -> Value:
        if "device" in base:
            request = {key: self._crossing.out(value) for key, value in changes.items()}
            return await self._context.resolve(base, Message.of({**request, "path": b"set"}))
        for key, value in changes.items():
            path = [part for part in key.split("/") if part]
            base = await set_path(base, path, self._crossing.out(value), self._context)
        return base

    def _element(self, item: Any) -> Value:
        """An argument of `resolve`; a list `{"as", device, message}` is a view of a message."""
        if isinstance(item, list) and len(item) == 3 and item[0] == b"as":
            return As(self._crossing.out(item[1]), self._message(item[2]))
        return self._crossing.out(item)

    def _asked(self, key: Any) -> Message | str:
        if isinstance(key, list) and len(key) == 2:
            return self._message(key[1]).set_values({"path": _path(key[0]).encode()})
        if isinstance(key, list) and len(key) == 1:
            return _path(key[0])
        return self._message(key) if isinstance(key, dict) else _path(key)

    def _message(self, table: Any) -> Message:
        value = self._crossing.out(table)
        if isinstance(value, list):
            value = Message.of({str(i): item for i, item in enumerate(value, 1)})
        if not isinstance(value, Message):
            raise BadRequest("The ao library works on tables.")
        return value

    async def _into(self, value: Value) -> Any:
        return self._crossing.into(await self._context.load_all(value))


def _path(key: Any) -> str:
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    text = as_text(key) if isinstance(key, bytes | int) else None
    if text is None:
        raise BadRequest("A key of a message should be text or a whole number.")
    return text


def _back_to_trio(
    troubles: tuple[type[HyperbeamError], ...],
    function: Callable[..., Awaitable[Any]],
    *arguments: Any,
) -> Any:
    """In Lua's thread: what `function` gives in Trio's; `troubles` end the call."""
    try:
        return trio.from_thread.run(_entered, function, *arguments)
    except troubles as error:
        raise HostTrouble(error) from error


async def _entered(function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    token = inside.set(True)
    try:
        return await function(*arguments)
    finally:
        inside.reset(token)


def log_print(text: bytes) -> None:
    log.debug("Lua printed: %s", text[:2000].decode("utf-8", "replace"))
