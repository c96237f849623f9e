"""`base(request) -> result`, one short function a stage (spec/03 §3 to §10).

Nothing here waits unless something below it does: no checkpoint, lock or scope a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import trio

from hyperbeam_trio.cache import MISSING
from hyperbeam_trio.cachecontrol import Directives, lookup_directives, may_store
from hyperbeam_trio.context import MAX_DEPTH, Context, Run
from hyperbeam_trio.device import Answerer, Device
from hyperbeam_trio.errors import (
    BadRequest,
    Forbidden,
    HyperbeamError,
    InfiniteRecursion,
    KeyNotFound,
    NodeError,
    NotCached,
    StateLost,
    UnknownMessage,
)
from hyperbeam_trio.hashpath import hashpath
from hyperbeam_trio.hooks import run_step_hook
from hyperbeam_trio.message import (
    As,
    Atom,
    Link,
    Message,
    Resolve,
    Value,
    as_text,
    describe,
    enumerated,
    is_private,
)
from hyperbeam_trio.setting import deep_set

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node


class Flight:
    """One computation that is under way, and what it waits for."""

    __slots__ = ("done", "error", "result", "volatile", "waits")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.result: Value = None
        self.error: HyperbeamError | None = None
        self.volatile = False
        self.waits: set[Flight] = set()

    def reaches(self, other: Flight) -> bool:
        """Whether this flight can't land before `other` does."""
        return self is other or any(flight.reaches(other) for flight in self.waits)


class Resolver:
    """Resolves for one node; `resolve`, `resolve_many` and `parse`-made sequences go through it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._devices = node.devices
        self._flights: dict[str, Flight] = {}

    # Sequences.

    async def resolve(self, base: Value, request: Message | str, context: Context) -> Value:
        """`request.path` split at `/`, the whole request repeated for every part (spec/03 §3)."""
        if isinstance(request, str):
            request = Message.of({"path": request.encode()})
        path = request.get("path")
        if type(path) is bytes and b"/" not in path:
            return await self.step(base, request, context)
        parts = path_parts(request)
        if len(parts) < 2:
            return await self.step(base, request, context)
        for part in parts:
            step = Message.of({**request, "path": part.encode()})
            base = await self.step(base, step, context)
        return base

    async def resolve_many(self, sequence: Sequence[Value], context: Context) -> Value:
        """Elements in turn: the first is the base, each result the base of the next request."""
        if not sequence:
            raise BadRequest("An empty sequence has nothing to resolve.")
        if len(sequence) == 1 and isinstance(sequence[0], Link):
            return await self._read(sequence[0], context)
        try:
            return await self._chain(sequence, context)
        except StateLost:
            if not context.run.hits:
                raise
            return await self._chain(sequence, context.with_cache_control("no-cache, store"))

    async def _chain(self, sequence: Sequence[Value], context: Context) -> Value:
        base = await self._first(sequence[0], context)
        for request in sequence[1:]:
            base = await self.step(base, request, context)
        return base

    async def _read(self, link: Link, context: Context) -> Value:
        value = await context.cache.read(link.id)
        if value is None:
            raise UnknownMessage(f"No message of id {link.id} is stored here.")
        context.run.hits += 1
        return value

    async def _first(self, element: Value, context: Context) -> Value:
        if isinstance(element, Resolve):
            return await self.resolve_many(element.sequence, context)
        if isinstance(element, As):
            return await self._cast_base(element, context)
        return element

    # Casts (spec/03 §4).

    async def _cast_base(self, cast_: As, context: Context) -> Value:
        path = cast_.message.get("path")
        if isinstance(path, Link):
            loaded = await self._base_message(path, context)
            rest = cast_.message.without("path")
            return await self._with_device(loaded.set_values(dict(rest)), cast_.device, context)
        return await self._sub_resolve(cast_.message.without("path"), cast_, context)

    async def _sub_resolve(self, base: Value, cast_: As, context: Context) -> Value:
        message = await self._base_message(base, context)
        message = await self._with_device(message, cast_.device, context)
        if not path_parts(cast_.message):
            return await deep_set(message, cast_.message.without("path", "device"), context)
        return await self.resolve(message, cast_.message, context)

    async def _with_device(self, base: Message, device: Value, context: Context) -> Message:
        if isinstance(device, Resolve):
            device = await context.resolve_many(device.sequence)
        return base.set_values({"device": device})

    # One step.

    async def step(self, base: Value, request: Value, context: Context) -> Value:
        """The result of one request on one base."""
        if context.depth > MAX_DEPTH:
            raise InfiniteRecursion(f"Resolutions are nested more than {MAX_DEPTH} deep.")
        if type(request) is not Message:
            if isinstance(request, As):
                return await self._sub_resolve(base, request, context)
            request = await self._request_of(request, context)
        key = step_key(request)
        if type(base) is not Message:
            if isinstance(base, Link) and base.kind == "message":
                found = await self._read_direct(base, key, context)
                if found is not None:
                    return found
            base = await self._base_message(base, context)
        answerer = self._devices.answerer(device := self._devices.of(base), key)
        if context.devices is not None:
            _require_allowed(device, context.devices)
        if answerer.direct and not context.hooked:
            value = direct_value(base, key)
            return await self._settled(value, context) if type(value) is Resolve else value
        return await self._answer(device, answerer, base, request, context)

    async def _request_of(self, element: Value, context: Context) -> Message:
        if isinstance(element, Resolve):
            element = await context.resolve_many(element.sequence)
        if isinstance(element, Message):
            return element
        text = element.id if isinstance(element, Link) else as_text(element)
        if text is None:
            raise BadRequest(f"A request can't be {describe(element)}.")
        return Message.of({"path": text.encode()})

    async def _base_message(self, base: Value, context: Context) -> Message:
        if isinstance(base, Link):
            loaded = await context.cache.read(base.id) if base.kind == "message" else None
            if loaded is None:
                raise UnknownMessage("Necessary messages not found in cache.")
            base = loaded
        if isinstance(base, list):
            return enumerated(base)
        if not isinstance(base, Message):
            raise KeyNotFound(f"There are no keys in {describe(base)}.")
        return base

    async def _read_direct(self, base: Link, key: str, context: Context) -> Value:
        """One key of a stored message without loading the others; `None`: load it and go on."""
        if is_private(key) or context.hooked:
            return None
        named = await context.cache.read_key(base.id, "device")
        device = self._devices.of(Message.of({} if named is MISSING else {"device": named}))
        if not self._devices.answerer(device, key).direct:
            return None
        found = await context.cache.read_key(base.id, key)
        return None if found is MISSING else found

    # Answering: look-up, shared execution, storing.

    async def _answer(
        self, device: Device, answerer: Answerer, base: Message, request: Message, context: Context
    ) -> Value:
        if answerer.volatile:
            # A device that knows this very answer to be final says so by taking the mark away.
            run = Run(volatile=True)
            result = await self._call(device, answerer, base, request, context, run, None)
            context.run.volatile |= run.volatile
            return result.with_hashpath(None) if type(result) is Message else result
        wish = lookup_directives(request, base, context.cache_control)
        kept = wish.lookup or context.cache_control.store or wish.only_if_cached
        if context.devices is not None or not kept:
            context.run.misses += 1
            run = Run()
            result = await self._call(device, answerer, base, request, context, run, None)
            context.run.volatile |= run.volatile
            if type(result) is not Message or context.hashpath == "ignore":
                return result
            return linked(result, hashpath(base, request), context)
        return await self._answer_once(device, answerer, base, request, wish, context)

    async def _answer_once(
        self,
        device: Device,
        answerer: Answerer,
        base: Message,
        request: Message,
        wish: Directives,
        context: Context,
    ) -> Value:
        name = hashpath(base, request)
        if wish.lookup or wish.only_if_cached:
            stored = await context.cache.read_result(name)
            if stored is not None:
                context.run.hits += 1
                return linked(stored.value, name, context)
            if wish.only_if_cached:
                raise NotCached
        context.run.misses += 1
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = Flight()
            self._node.workers.start_soon(
                self._fly, flight, name, device, answerer, base, request, context
            )
        return await self._landed(flight, context)

    async def _landed(self, flight: Flight, context: Context) -> Value:
        waiting = context.flight
        if waiting is not None:
            if flight.reaches(waiting):
                raise InfiniteRecursion
            waiting.waits.add(flight)
        try:
            await flight.done.wait()
        finally:
            if waiting is not None:
                waiting.waits.discard(flight)
        context.run.volatile |= flight.volatile
        if flight.error is not None:
            raise flight.error.with_traceback(None)
        return flight.result

    async def _fly(
        self,
        flight: Flight,
        name: str,
        device: Device,
        answerer: Answerer,
        base: Message,
        request: Message,
        context: Context,
    ) -> None:
        """Execute once for all who ask meanwhile, in the node's nursery."""
        run = Run()
        try:
            result = await self._call(device, answerer, base, request, context, run, flight)
            flight.volatile = run.volatile
            storable = not run.volatile and may_store(request, result, context.cache_control)
            if storable and not any(map(holds_sequence, (base, request, result))):
                await context.cache.write_result(name, result, inputs=(base, request))
            flight.result = linked(result, name, context)
        except HyperbeamError as error:
            flight.error = error
        except trio.Cancelled:
            flight.error = NodeError("The node stopped before the answer was ready.", status=503)
            raise
        finally:
            del self._flights[name]
            flight.done.set()

    async def _call(
        self,
        device: Device,
        answerer: Answerer,
        base: Message,
        request: Message,
        context: Context,
        run: Run,
        flight: Flight | None,
    ) -> Value:
        node = context.node
        inner = Context(
            node,
            node.cache_control,
            context.hashpath,
            context.depth + 1,
            flight or context.flight,
            run,
            context.step_hook,
            context.devices,
        )
        try:
            result = await answerer.call(base, request, inner)
        except HyperbeamError:
            raise
        except RecursionError:
            raise InfiniteRecursion from None
        except Exception as error:
            raise fault_of(error, device, request) from error
        if context.hooked:
            result = await run_step_hook(base, request, result, inner)
        return await self._settled(result, inner) if type(result) is Resolve else result

    async def _settled(self, result: Value, context: Context) -> Value:
        """A result that is a sequence stands for what the sequence gives (stage 8)."""
        return await self.resolve_many(cast("Resolve", result).sequence, context)


def _require_allowed(device: Device, allowed: frozenset[str]) -> None:
    if device.name.lower() not in allowed:
        raise Forbidden(
            f"Device {device.name} is outside the sandbox: {', '.join(sorted(allowed))}."
        )


def linked(result: Value, name: str, context: Context) -> Value:
    """A result message with its hashpath, stored or just computed (stage 9)."""
    if type(result) is not Message or context.hashpath == "ignore":
        return result
    return result.with_hashpath(None if context.hashpath == "reset" else name)


def holds_sequence(value: Value) -> bool:
    """Whether a message has a value that is still to be resolved, and so can't be stored."""
    return type(value) is Message and any(isinstance(v, Resolve | As) for v in value.values())


def path_parts(request: Message) -> list[str]:
    """The keys that a request's path names; none for an absent or empty one."""
    path = request.get("path")
    if isinstance(path, bytes) and b"/" not in path:
        return [path.decode()] if path else []
    if isinstance(path, list):
        return [part for item in path if (part := as_text(item))]
    if isinstance(path, Link):
        return [path.id]
    return [part for part in request.text("path", "").split("/") if part]


def step_key(request: Message) -> str:
    """The key that a single step asks for; `BadRequest` where there is none."""
    path = request.get("path")
    if type(path) is bytes and path and b"/" not in path:
        try:
            return path.decode()
        except UnicodeDecodeError:
            raise BadRequest(f"The path {path!r} is not UTF-8 text.") from None
    parts = path_parts(request)
    if not parts:
        raise BadRequest("Attempted to resolve a message without a path.")
    return parts[0]


def direct_value(base: Message, key: str) -> Value:
    """The value under exactly this key, else under its lower-case form (spec/01 §2)."""
    if is_private(key):
        raise KeyNotFound("not_found")
    value = base.get(key, _ABSENT)
    if value is _ABSENT:
        value = base.get(key.lower(), _ABSENT)
    if value is _ABSENT:
        raise KeyNotFound("not_found")
    return value


_ABSENT = Atom("absent")


def fault_of(error: Exception, device: Device, request: Message) -> HyperbeamError:
    """Our own error in an exception group, or a `NodeError` that names device and key.

    What `error` says may hold anything, so only its kind is told; the rest is its cause.
    """
    if isinstance(error, ExceptionGroup):
        own = error.subgroup(HyperbeamError)
        leaf: BaseException | None = own
        while isinstance(leaf, ExceptionGroup):
            leaf = leaf.exceptions[0]
        if isinstance(leaf, HyperbeamError):
            return leaf
    key = request.get("path")
    kind = type(error).__name__
    return NodeError(f"Device {device.name} failed on {as_text(key) or ''!r}: {kind}.")
