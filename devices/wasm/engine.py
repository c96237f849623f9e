"""The engine: configuration, compilation, and the images compiled so far (spec/06 §7.1, §7.6)."""

from __future__ import annotations

import hashlib
import platform
import threading
from collections import OrderedDict
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path

import trio
import wasmtime

from hyperbeam_trio.devices.wasm import binary
from hyperbeam_trio.devices.wasm.artefacts import Artefacts
from hyperbeam_trio.devices.wasm.binary import MalformedImage
from hyperbeam_trio.devices.wasm.epochs import Epochs
from hyperbeam_trio.devices.wasm.exposure import expose
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.imports import require_functions
from hyperbeam_trio.devices.wasm.layout import Layout, read_layout
from hyperbeam_trio.devices.wasm.legacy import rewrite_legacy_exceptions
from hyperbeam_trio.devices.wasm.surcharges import surcharge
from hyperbeam_trio.devices.wasm.traps import describe
from hyperbeam_trio.errors import TooLarge

REWRITING = 3
"""Raised with every change to what is done to a module before it is compiled."""

MAX_IMAGE_BYTES = 64 << 20
MAX_IMAGES = 64
LEGACY_MARK = "legacy_exceptions"

Key = tuple[bytes, bool]


def configuration(*, metered: bool) -> wasmtime.Config:
    """What guests may use: as much as stays deterministic and fits into a snapshot.

    GC types and function references are off beyond the list of spec/06 §7.1: no snapshot holds
    them. A guest's second memory is refused too; the engine has to allow it for helpers of ours.
    `gc_support` itself must stay on, or compiling a `try_table` aborts the process.
    """
    config = wasmtime.Config()
    config.wasm_memory64 = True
    config.wasm_exceptions = True
    config.cranelift_nan_canonicalization = True
    config.epoch_interruption = True
    config.consume_fuel = metered
    config.wasm_threads = False
    config.shared_memory = False
    config.wasm_component_model = False
    config.wasm_relaxed_simd = False
    config.wasm_custom_page_sizes = False
    config.wasm_stack_switching = False
    config.wasm_wide_arithmetic = False
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_multi_memory = True
    return config


class Engine:
    """Compiles images and keeps the last `max_images` of them.

    `artefacts` is a directory for compiled code that outlives the process, None for none. Guests
    that are to be metered need images compiled as such (spec/06 §7.5): a second engine, made when
    first asked for.
    """

    def __init__(self, artefacts: Path | None = None, max_images: int = MAX_IMAGES) -> None:
        self.epochs = Epochs()
        self._artefacts = None if artefacts is None else Artefacts(artefacts)
        self._max_images = max_images
        self._lock = threading.Lock()
        self._engines: dict[bool, wasmtime.Engine] = {}
        self._images: OrderedDict[Key, Image] = OrderedDict()
        self._compiling: dict[Key, Future[Image]] = {}

    async def run_epochs(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let the time of guests pass, until cancelled: start it in a nursery before any guest.

        Without it no time limit ends a guest.
        """
        await self.epochs.run(task_status=task_status)

    def compile(self, image: bytes, *, metered: bool = False) -> Image:
        """`image` ready to be instantiated; a known one costs a hash. Blocks: call it in a thread.

        Raises `BadRequest` (`Invalid WebAssembly image: <engine message>`, or naming an import
        that is no function) and `TooLarge`.
        """
        if len(image) > MAX_IMAGE_BYTES:
            raise TooLarge(f"WebAssembly image of {len(image)} bytes, limit {MAX_IMAGE_BYTES}.")
        key = hashlib.sha256(image).digest(), metered
        with self._lock:
            if found := self._images.get(key):
                self._images.move_to_end(key)
                return found
            pending = self._compiling.get(key)
            if pending is None:
                mine = self._compiling[key] = Future()
        if pending is not None:
            return pending.result()
        return self._compile_first(key, image, mine)

    def _compile_first(self, key: Key, image: bytes, waiting: Future[Image]) -> Image:
        """Compile and hand the image to the other threads that wait for it."""
        try:
            compiled = self._build(key, image)
        except BaseException as error:
            with self._lock:
                del self._compiling[key]
            waiting.set_exception(error)
            raise
        with self._lock:
            del self._compiling[key]
            self._images[key] = compiled
            while len(self._images) > self._max_images:
                self._images.popitem(last=False)
        waiting.set_result(compiled)
        return compiled

    def _build(self, key: Key, image: bytes) -> Image:
        digest, metered = key
        engine = self._engine(metered)
        try:
            sections = binary.read_sections(image)
            layout = read_layout(sections)
        except MalformedImage as error:
            raise invalid(engine_refusal(engine, image) or error.text) from error
        require_functions(layout.imports)
        if len(layout.memories) > 1:
            raise invalid(engine_refusal(engine, image) or "multiple memories are not supported")
        exposed, exposure = expose(sections, layout)
        name = artefact_name(key)
        module = self._artefacts.load(engine, name) if self._artefacts else None
        if module is None:
            module = compile_sections(engine, exposed, layout, metered=metered)
            if self._artefacts:
                self._artefacts.save(name, module)
        return Image(digest, layout, exposure, sections, module, engine, self.epochs, metered)

    def _engine(self, metered: bool) -> wasmtime.Engine:
        with self._lock:
            engine = self._engines.get(metered)
            if engine is None:
                engine = wasmtime.Engine(configuration(metered=metered))
                self._engines[metered] = engine
                self.epochs.add(engine)
        return engine


def compile_sections(
    engine: wasmtime.Engine,
    sections: list[binary.Section],
    layout: Layout,
    *,
    metered: bool = False,
) -> wasmtime.Module:
    """The compiled module; legacy exceptions are rewritten if there are any (spec/06 §7.2)."""
    image = binary.write_sections(sections)
    refusal = engine_refusal(engine, image)
    if refusal and LEGACY_MARK in refusal:
        try:
            sections = rewrite_legacy_exceptions(sections, layout)
            image = binary.write_sections(sections)
        except MalformedImage as error:
            raise invalid(error.text) from error
        refusal = engine_refusal(engine, image)
    if refusal:
        raise invalid(refusal)
    if metered:
        image = binary.write_sections(surcharge(sections, layout))
    try:
        return wasmtime.Module(engine, image)
    except wasmtime.WasmtimeError as error:
        raise invalid(describe(str(error))[0]) from error


def engine_refusal(engine: wasmtime.Engine, image: bytes) -> str | None:
    """Why the engine takes `image` for invalid, or None; much cheaper than compiling."""
    try:
        wasmtime.Module.validate(engine, image)
    except wasmtime.WasmtimeError as error:
        return describe(str(error))[0]
    return None


def invalid(message: str) -> MalformedImage:
    """The error for an image that can't be used."""
    return MalformedImage(f"Invalid WebAssembly image: {message}")


def artefact_name(key: Key) -> str:
    """What decides whether compiled code can be used again, as a file name."""
    digest, metered = key
    flags = f"{version('wasmtime')}-{platform.machine()}-{REWRITING}{'-metered' if metered else ''}"
    return f"{digest.hex()}-{flags}"
