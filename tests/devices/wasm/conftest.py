"""Guests for the tests of the WebAssembly engine, written as WAT beside each test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.imports import Binder
from hyperbeam_trio.devices.wasm.instance import DEFAULT_LIMITS, Instance

MakeGuest = Callable[..., Instance]


def assemble(wat: str) -> bytes:
    """The binary of a module in text form."""
    return bytes(wasmtime.wat2wasm(wat))


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine()


@pytest.fixture
def guest(engine: Engine) -> MakeGuest:
    """Makes an instance of a module given as WAT or bytes."""

    def make(
        module: str | bytes, bind: Binder | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> Instance:
        image = assemble(module) if isinstance(module, str) else module
        metered = limits.fuel is not None
        return Instance(engine.compile(image, metered=metered), bind, limits)

    return make


@pytest.fixture(scope="session")
def shared_module() -> Callable[[str], bytes]:
    """Reads a module of other people, which this repository may not carry."""
    beside = Path(__file__).parents[4] / "shared" / "wasm"
    directory = Path(os.environ.get("HYPERBEAM_TRIO_WASM", beside))

    def read(name: str) -> bytes:
        path = directory / name
        if not path.is_file():
            pytest.skip(f"{name} is not in {directory}; set HYPERBEAM_TRIO_WASM to its directory")
        return path.read_bytes()

    return read
