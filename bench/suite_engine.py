"""The WebAssembly engine below the device: imports, instances, aos messages, memory copies.

What `suite_wasm` measures for users, this takes apart for those who work on the engine.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import wasmtime

from bench.timing import ROUNDS, Result, rate, summary
from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.image import Image
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.restoring import restore
from hyperbeam_trio.devices.wasm.snapshot import copy_memory, take_snapshot
from hyperbeam_trio.devices.wasm.wasi import Wasi

MODULES = Path(__file__).parent / "modules"
SHARED = Path(__file__).parents[2] / "shared" / "wasm"
AOS = Path(os.environ.get("HYPERBEAM_TRIO_WASM", SHARED)) / "aos-2-pure-xs.wasm"

IMPORTING = """
(module
  (import "env" "f" (func $f (param i32 i32) (result i32)))
  (func (export "loop") (param $n i32) (result i32)
    (loop $again
      (drop (call $f (local.get $n) (i32.const 1)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n)))
    (i32.const 0)))
"""
ENVIRONMENT = b'{"Process":{"Id":"AOS","Owner":"FOOBAR","Tags":[]}}'


def run(quick: bool) -> list[Result]:
    """All of them; aos only where its module is at hand."""
    seconds = 0.05 if quick else 0.4
    return [
        *calls(seconds),
        *instances(seconds),
        *memories(),
        *(aos(seconds) if AOS.is_file() else ()),
    ]


def calls(seconds: float) -> list[Result]:
    """Calls by name, metered calls, and calls of host functions."""
    engine = Engine()
    factorial = bytes(wasmtime.wat2wasm((MODULES / "fac.wat").read_text()))
    by_name = Instance(engine.compile(factorial)).call
    metered = Instance(engine.compile(factorial, metered=True), limits=Limits(fuel=10**6)).call
    importing = bytes(wasmtime.wat2wasm(IMPORTING))
    host = Instance(engine.compile(importing), lambda *_: lambda instance, arguments: arguments[1:])
    arguments = (5.0,)
    return [
        rate("wasm.call_by_name", lambda: by_name("fac", arguments), seconds),
        rate("wasm.call_metered", lambda: metered("fac", arguments), seconds),
        _scaled(rate("wasm.import", lambda: host.call("loop", [1000]), seconds), 1000),
    ]


def instances(seconds: float) -> list[Result]:
    """New guests: store, memory, start."""
    image = Engine().compile(bytes(wasmtime.wat2wasm((MODULES / "memory.wat").read_text())))
    return [rate("wasm.instantiate", lambda: Instance(image), seconds)]


def memories() -> list[Result]:
    """A copy of 64 MiB, every page of which has content."""
    image = Engine().compile(bytes(wasmtime.wat2wasm((MODULES / "memory.wat").read_text())))
    guest = Instance(image)
    for page in range(1024):
        guest.call("touch", [page, 1])
    return [_milliseconds("wasm.copy_64m", lambda: copy_memory(guest))]


def aos(seconds: float) -> list[Result]:
    """A real process: messages, snapshots and restoring (spec/06 §7.6)."""
    image = Engine().compile(AOS.read_bytes())
    guest = _booted(image)
    numbers = itertools.count()

    def message_and_snapshot() -> None:
        _evaluate(guest, next(numbers))
        take_snapshot(guest)

    body = guest.require_memory().read(0, guest.require_memory().size)
    return [
        rate("wasm.aos_message", lambda: _evaluate(guest, next(numbers)), seconds),
        rate("wasm.aos_message_and_snapshot", message_and_snapshot, seconds),
        rate("wasm.aos_instantiate", lambda: Instance(image, Wasi().bind), seconds),
        _milliseconds("wasm.aos_restore", lambda: restore(Instance(image, Wasi().bind), body)),
    ]


def _booted(image: Image) -> Instance:
    guest = Instance(image, Wasi().bind)
    _evaluate(guest, 0)
    return guest


def _evaluate(guest: Instance, number: int) -> bytes:
    message = {
        "From": "FOOBAR",
        "Block-Height": "1",
        "Target": "AOS",
        "Owner": "FOOBAR",
        "Id": str(number),
        "Module": "W",
        "Tags": [{"name": "Action", "value": "Eval"}],
        "Data": "return 1+1",
    }
    given = guest.write_string(json.dumps(message).encode()), guest.write_string(ENVIRONMENT)
    (pointer,) = guest.call("handle", given)
    return guest.read_string(int(pointer))


def _scaled(result: Result, times: int) -> Result:
    return Result(
        result.name, result.value * times, result.unit, result.better, result.spread, result.note
    )


def _milliseconds(name: str, call: Callable[[], object]) -> Result:
    values = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        call()
        values.append(1000 * (time.perf_counter() - begun))
    return summary(name, values, "ms", "lower")
