"""Guests for the tests of the WebAssembly engine, written as WAT beside each test."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import wasmtime

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.imports import Binder
from hyperbeam_trio.devices.wasm.instance import DEFAULT_LIMITS, Instance
from tests.support import shared_modules

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
    return shared_modules.shared_module
