"""WebAssembly: how much of the engine's speed reaches a caller, layer by layer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import trio
import wasmtime

from bench.load import Load
from bench.timing import Result, rate, rate_async, summary
from hyperbeam_trio.cachecontrol import parse_directives
from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.restoring import restore
from hyperbeam_trio.devices.wasm.snapshot import take_snapshot
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node

MODULES = Path(__file__).parent / "modules"
FAC = bytes(wasmtime.wat2wasm((MODULES / "fac.wat").read_bytes()))
MEMORY = bytes(wasmtime.wat2wasm((MODULES / "memory.wat").read_bytes()))
ROUNDS = 5


def run(quick: bool) -> list[Result]:
    """Calls of `fac` from the engine up to HTTP; compiling; a guest of 64 MiB."""
    seconds = 0.1 if quick else 0.5
    return [
        *_calls(seconds),
        *trio.run(_resolved, seconds),
        _over_http(1.0 if quick else 3.0),
        *_compiling(),
        *_snapshots(),
    ]


def _calls(seconds: float) -> list[Result]:
    store = wasmtime.Store()
    raw = wasmtime.Instance(store, wasmtime.Module(store.engine, FAC), []).exports(store)["fac"]
    assert isinstance(raw, wasmtime.Func)
    call = Instance(Engine().compile(FAC)).function("fac").call
    arguments = (5.0,)
    return [
        rate("wasm.call_wasmtime", lambda: raw(store, 5.0), seconds, "wasmtime-py's own Func"),
        _tight_rate("wasm.call", call, arguments, seconds),
    ]


def _tight_rate(
    name: str, call: Callable[[tuple[float]], object], arguments: tuple[float], seconds: float
) -> Result:
    """The rate without the cost of a lambda around each call."""
    values = []
    batch = range(10_000)
    for _ in range(ROUNDS):
        count, begun = 0, time.thread_time()
        while time.thread_time() - begun < seconds:
            for _ in batch:
                call(arguments)
            count += len(batch)
        values.append(count / (time.thread_time() - begun))
    return summary(name, values, "/s", note="our instance wrapper, one thread")


async def _resolved(seconds: float) -> list[Result]:
    async with running_node() as node:
        image = await node.cache.write(Message(body=FAC))
        base = await node.resolve(f"/{image}~wasm-64@1.0/init")
        request = Message(path="compute", function="fac", parameters=[5.0])
        context = Context(node, parse_directives("no-cache, no-store"))
        resolve = node.resolver.resolve
        call = await rate_async(
            "wasm.resolve",
            lambda: resolve(base, request, context),
            seconds,
            "not cached, hashpath updated",
        )
    return [call]


def _over_http(seconds: float) -> Result:
    """Every request computes: a parameter of its own each."""
    with Load.of_node() as load:
        image = load.put(Message(body=FAC))
        target = f"/{image}~wasm-64@1.0/init/compute&function=fac&parameters+list=5/results"
        headers = {"cache-control": "no-cache, no-store"}
        return load.rate("wasm.http", target, seconds, headers=headers, note="signed Ed25519")


def _compiling() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "artefacts"
        cold = [_timed(lambda: Engine().compile(FAC)) for _ in range(ROUNDS)]
        Engine(place).compile(FAC)
        cached = [_timed(lambda: Engine(place).compile(FAC)) for _ in range(ROUNDS)]
    return [
        summary("wasm.compile_cold", cold, "ms", "lower"),
        summary("wasm.compile_cached", cached, "ms", "lower", "from the artefact on disk"),
    ]


def _snapshots() -> list[Result]:
    engine = Engine()
    guest = Instance(engine.compile(MEMORY))
    for page in range(1024):
        guest.call("touch", [page, page % 255 + 1])
    taken = [_timed(lambda: take_snapshot(guest)) for _ in range(ROUNDS)]
    body = guest.require_memory().read(0, 1024 << 16)
    fresh = [Instance(engine.compile(MEMORY)) for _ in range(ROUNDS)]
    restored = [_timed(lambda guest=guest: restore(guest, body)) for guest in fresh]
    return [
        summary("wasm.snapshot_64m", taken, "ms", "lower", "all of it and every page hashed"),
        summary("wasm.restore_64m", restored, "ms", "lower"),
    ]


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begun)
