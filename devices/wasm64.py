"""`wasm-64@1.0`: a WebAssembly guest behind a state (spec/06 §1)."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.prefixes import input_path, output_path, view_path
from hyperbeam_trio.devices.wasm.access import Following, access_key
from hyperbeam_trio.devices.wasm.ahead import Ahead, made_ahead, made_call, made_text
from hyperbeam_trio.devices.wasm.calls import call_of, with_results
from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.imports import HostFunction
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.live import Call, Handle, Live, call_and_copy, call_guest, copy_of
from hyperbeam_trio.devices.wasm.restoring import restore_copy, restore_stored
from hyperbeam_trio.devices.wasm.signature import Argument, Number, Signature
from hyperbeam_trio.devices.wasm.snapshot import take_snapshot
from hyperbeam_trio.devices.wasm.wasi import Wasi
from hyperbeam_trio.errors import (
    BadRequest,
    ConfigError,
    GuestError,
    GuestLimit,
    KeyNotFound,
    NotFound,
    StateLost,
)
from hyperbeam_trio.message import Link, Message, Value, as_text, is_private

log = logging.getLogger("hyperbeam_trio.wasm")

K = TypeVar("K")
V = TypeVar("V")

QUICK_SECONDS = 0.02
"""How long a stateless guest may hold the event loop before it is sent to a thread instead."""

MAX_IMAGES = 64

UNLIMITED = 1 << 62
"""Fuel that no call uses up."""

REPEATED_CALLS = 4
"""After so many calls that were repeated for a state, a copy of the memory is taken there."""


class WasmDevice(Device):
    """Runs WebAssembly: `init` makes a guest of an image, `compute` calls one of its functions.

    The image is `image` (an id, a message or the module itself) or `body`. A call names `function`
    and `parameters`; its outcome is `results/type` and `results/output`.
    """

    name = "wasm-64@1.0"
    excludes = frozenset({"instance"})

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._images: OrderedDict[tuple[str, bool], Image] = OrderedDict()
        self._quick: OrderedDict[tuple[bytes, int | None], Instance] = OrderedDict()

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base with a live guest of its image."""
        image = await self._image(base, context)
        live = await self._start(image, base, context)
        return self._accessible(base, Handle(image, live, live.generation))

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the results of one call; without a `function` the base as it is."""
        state = await self._normalized(base, context)
        if state.int("pass", 1) != 1:
            return state
        function, parameters = await call_of(state, request, context)
        if function is None:
            return state
        handle = _handle(state)
        if handle.image.stateless:
            output = await self._call_quickly(handle.image, state, function, parameters, context)
            return await with_results(state, output, context)
        return await self._call_live(handle, state, function, parameters, context)

    @key("import")
    async def import_(self, base: Message, request: Message, context: Context) -> Value:
        """What the device at `stdlib/<module>` answers to one imported function (spec/06 §1.4)."""
        module, function = request.text("module"), request.text("func")
        library = await view_path(base, output_path(base, "stdlib", module), context)
        if not isinstance(library, Message):
            raise KeyNotFound(f"No device serves the import {module}.{function}.")
        asked = library.set_values({"state": base})
        return await context.internal().resolve(asked, request.set(path=function))

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """`body`: the guest's linear memory, stored in pages; empty for a module without one."""
        handle = _handle(await self._normalized(base, context))
        async with handle.live.lock:
            live = handle.live if handle.current else await self._rebuilt(handle, base, context)
            taken = await trio.to_thread.run_sync(take_snapshot, live.instance)
            if taken is None:
                return Message.of({"body": b""})
            handle.live.kept = await context.cache.write_paged(taken, handle.live.kept)
        return Message.of({"body": handle.live.kept})

    @key
    async def normalize(self, base: Message, request: Message, context: Context) -> Value:
        """The base with a live guest, restored from `snapshot` if there is none."""
        return await self._normalized(base, context)

    @key
    async def terminate(self, base: Message, request: Message, context: Context) -> Value:
        """The base without its guest."""
        return base.with_private(**{_handle_key(base): None, access_key(base): None})

    # Images and instances.

    async def _image(self, base: Message, context: Context) -> Image:
        if base.text("mode", base.text("Mode", "WASM")).upper() == "AOT":
            raise BadRequest("AOT images are not supported.")
        path = input_path(base, "image")
        value = await view_path(base, path, context)
        metered = _fuel(base, context) is not None
        known = as_text(value) if isinstance(value, bytes) and len(value) == 43 else None
        if known is not None and (known, metered) in self._images:
            return self._images[known, metered]
        if value is None:
            value = await context.view(base, "body")
        code = await _code_of(value, "/".join(path), context)
        engine = await self._running_engine(context)
        compile_ = partial(engine.compile, code, metered=metered)
        image = await trio.to_thread.run_sync(compile_, limiter=context.node.crypto_limiter)
        if known is not None:
            _remember(self._images, (known, metered), image)
        return image

    async def _running_engine(self, context: Context) -> Engine:
        if self._engine is None:
            self._engine = _engine_at(context.config.wasm_artefacts)
        await context.node.services.ensure("wasm-epochs", self._engine.run_epochs)
        return self._engine

    async def _start(self, image: Image, base: Message, context: Context) -> Live:
        """A new guest; its start functions run."""
        libraries = await _libraries(base, context)
        wasi = Wasi()
        holder: list[Live] = []

        def bind(module: str, name: str, signature: Signature) -> HostFunction | None:
            if module in libraries:
                return partial(self._import_from_thread, holder, context, module, name, signature)
            return wasi.bind(module, name, signature)

        make = partial(Instance, image, bind, _limits(image, base, context))
        instance = await trio.to_thread.run_sync(make)
        live = Live(instance, wasi)
        live.alone = not libraries
        live.ahead = Ahead()
        holder.append(live)
        return live

    def _import_from_thread(
        self,
        holder: list[Live],
        context: Context,
        module: str,
        name: str,
        signature: Signature,
        instance: Instance,
        arguments: tuple[Number, ...],
    ) -> Sequence[Number]:
        if not holder:
            return [0] * len(signature.results)
        request = Message(
            {"path": "import", "module": module, "func": name, "func-sig": signature.text},
            args=list(arguments),
        )
        return trio.from_thread.run(_answer_import, holder[0], request, signature, context)

    async def _normalized(self, base: Message, context: Context) -> Message:
        if _handle_key(base) in base.private:
            return base.without("snapshot")
        snapshot = await context.view(base, "snapshot")
        device_key = base.text("device-key", None)
        if isinstance(snapshot, Message) and device_key is not None:
            snapshot = await context.view(snapshot, device_key)
        body = snapshot.get("body") if isinstance(snapshot, Message) else None
        if not isinstance(body, bytes | Link):
            raise StateLost("no_wasm_instance_or_snapshot")
        image = await self._image(base, context)
        live = await self._start(image, base, context)
        memory = await restore_stored(live.instance, body, context.cache)
        live.kept = memory if isinstance(memory, Link) else None
        handle = Handle(image, live, live.generation, memory)
        return self._accessible(base.without("snapshot"), handle)

    async def _rebuilt(self, handle: Handle, base: Message, context: Context) -> Live:
        """A guest of its own in the state of `handle`."""
        memory, calls = handle.steps()
        live = await self._start(handle.image, base, context)
        live.alone = live.alone and handle.live.alone
        if isinstance(memory, Link):
            await restore_stored(live.instance, memory, context.cache)
        elif memory is not None:
            await trio.to_thread.run_sync(restore_copy, live.instance, memory)
        for call in calls:
            await trio.to_thread.run_sync(call_guest, live, call)
        live.take_state()
        return live

    async def _made_current(self, handle: Handle, state: Message, context: Context) -> Handle:
        """The handle, or one with a guest of its own if its guest has gone on."""
        if handle.current:
            return handle
        live = await self._rebuilt(handle, state, context)
        if handle.depth >= REPEATED_CALLS:
            # A state that is asked for out of turn will be asked for again.
            memory = await trio.to_thread.run_sync(copy_of, live)
            if memory is not None:
                return Handle(handle.image, live, 0, memory)
        return Handle(
            handle.image, live, 0, handle.memory, handle.parent, handle.call, handle.depth
        )

    def _accessible(self, base: Message, handle: Handle) -> Message:
        return _with_handle(base, handle).with_private(**{access_key(base): self})

    # Texts for a device beside this one (`GuestAccess`).

    async def write_texts(
        self,
        state: Message,
        texts: Sequence[bytes],
        context: Context,
        following: Following | None = None,
    ) -> tuple[Message, list[int]]:
        """The state after the guest got `texts` by its `malloc`, and their addresses.

        With `following` the guest may make those calls too before they are asked for.
        """
        handle = _handle(state)
        call = Call("malloc", (), state, None, tuple(texts))
        made = await made_ahead(handle, state, call.texts, following, context)
        if made is not None:
            after = handle.reached(made.generation + 1, call)
            return _with_handle(state, after), [*made.outcome.addresses]
        async with handle.live.lock:
            handle = await self._made_current(handle, state, context)
            addresses = await trio.to_thread.run_sync(call_guest, handle.live, call)
            handle.live.take_state()
            after = handle.after(call)
        return _with_handle(state, after), [int(address) for address in addresses]

    async def read_text(self, state: Message, address: int, context: Context) -> bytes:
        """The bytes from an address of the guest's memory up to NUL."""
        handle = _handle(state)
        text = made_text(handle, address)
        if text is not None:
            return text
        async with handle.live.lock:
            handle = await self._made_current(handle, state, context)
            return handle.live.instance.read_string(address)

    # Calls.

    async def _call_quickly(
        self,
        image: Image,
        state: Message,
        function: str,
        parameters: list[Argument],
        context: Context,
    ) -> list[Number] | GuestError:
        """A call of a guest without state or imports: here, or in a thread if it takes long."""
        known = image.digest, _fuel(state, context) if image.metered else None
        instance = self._quick.pop(known, None)
        if instance is None or instance.damaged:
            limits = replace(_limits(image, state, context), seconds=QUICK_SECONDS)
            instance = Instance(image, None, limits)
        _remember(self._quick, known, instance)
        try:
            return instance.call(function, parameters)
        except GuestLimit as limit:
            if limit.details.get("limit") != "time":
                raise
        except GuestError as error:
            return error
        patient = Instance(image, None, _limits(image, state, context))
        try:
            return await trio.to_thread.run_sync(patient.call, function, parameters)
        except GuestLimit:
            raise
        except GuestError as error:
            return error

    async def _call_live(
        self,
        handle: Handle,
        state: Message,
        function: str,
        parameters: list[Argument],
        context: Context,
    ) -> Message:
        made = await made_call(handle, state, function, parameters, context)
        if made is not None:
            call = Call(function, tuple(parameters), state, made.files)
            after = handle.reached(made.generation + 2, call, made.memory)
            done = state if made.files is None else handle.live.table.write(state, made.files)
            return _with_handle(await with_results(done, [made.outcome.result], context), after)
        if handle.live.importing:
            live = await self._rebuilt(handle, state, context)
            handle = Handle(handle.image, live, live.generation, None, handle.parent, handle.call)
        async with handle.live.lock:
            handle = await self._made_current(handle, state, context)
            files = await handle.live.table.read(state, context)
            call = Call(function, tuple(parameters), state, files)
            begun = time.perf_counter()
            try:
                output, memory = await trio.to_thread.run_sync(call_and_copy, handle, call)
            except GuestLimit:
                raise
            except GuestError as error:
                return await with_results(state, error, context)
            finally:
                done = handle.live.take_state()
            if handle.live.ahead is not None and memory is None:
                handle.live.ahead.pace = time.perf_counter() - begun
            after = handle.after(call, memory)
        if files is not None:
            done = handle.live.table.write(done, handle.live.wasi.files)
        return _with_handle(await with_results(done, output, context), after)


# Images and limits.


async def _code_of(value: Value, where: str, context: Context) -> bytes:
    """The module's bytes: given, or the `body` (or `data`) of a message or of a stored one."""
    if isinstance(value, bytes) and len(value) in (32, 43):
        value = await context.cache.read(as_text(value) or "")
        if value is None:
            raise NotFound(f"The image named in {where} is not stored here.")
    if isinstance(value, Message):
        code = await context.view(value, "body")
        value = await context.view(value, "data") if code is None else code
    if not isinstance(value, bytes):
        raise BadRequest(f"No viable image found in {where}.")
    return value


async def _libraries(base: Message, context: Context) -> set[str]:
    """Modules whose imports devices answer; wasi@1.0 is bound directly instead."""
    stdlib = await view_path(base, output_path(base, "stdlib"), context)
    found: set[str] = set()
    if not isinstance(stdlib, Message):
        return found
    for module in stdlib:
        library = await context.view(stdlib, module)
        device = as_text(library.get("device")) if isinstance(library, Message) else None
        if not is_private(module) and (device or "").lower() != "wasi@1.0":
            found.add(module)
    return found


async def _answer_import(
    live: Live, request: Message, signature: Signature, context: Context
) -> list[Number]:
    """Resolve an import on the guest's present state; zeros where no device answers it."""
    live.importing = True
    try:
        answer = await context.internal().resolve(live.state, request)
    except KeyNotFound:
        return [0] * len(signature.results)
    finally:
        live.importing = False
    if not isinstance(answer, Message):
        raise GuestError(f"The import {request.text('func')} gave no message with 'results'.")
    state = await context.view(answer, "state")
    if isinstance(state, Message):
        live.state = state
    results = await context.load_all(answer.get("results"))
    numbers = Message.of({"results": results}).list("results", [])
    return [item for item in numbers if isinstance(item, int | float)]


# Handles in states.


def _handle_key(base: Message) -> str:
    return "wasm:" + "/".join(output_path(base))


def _handle(base: Message) -> Handle:
    handle: Handle = base.private[_handle_key(base)]
    return handle


def _with_handle(base: Message, handle: Handle) -> Message:
    return base.with_private(**{_handle_key(base): handle})


def _fuel(base: Message, context: Context) -> int | None:
    """What a call on a state may use: that of a process has to end alike on every node."""
    everywhere = context.config.wasm_fuel_limit
    inside = context.config.process_fuel_limit if "process" in base else None
    return min(everywhere or UNLIMITED, inside or UNLIMITED) if everywhere or inside else None


def _limits(image: Image, base: Message, context: Context) -> Limits:
    """The limits of a guest; options may have changed since its image was compiled."""
    config = context.config
    fuel = (_fuel(base, context) or UNLIMITED) if image.metered else None
    return Limits(seconds=config.wasm_time_limit, memory=config.wasm_memory_limit, fuel=fuel)


def _engine_at(place: str | None) -> Engine:
    """An engine that keeps compiled modules at a place, if that will do: it only saves time."""
    if place is None:
        return Engine()
    try:
        return Engine(Path(place).expanduser())
    except (ConfigError, RuntimeError) as error:
        log.warning("Modules are compiled anew after each start: %s", error)
        return Engine()


def _remember(table: OrderedDict[K, V], key: K, value: V) -> None:
    table[key] = value
    while len(table) > MAX_IMAGES:
        table.popitem(last=False)
