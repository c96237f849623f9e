"""The rewriter of legacy exceptions against V8, which runs the originals (spec/06 §7.2).

`HYPERBEAM_TRIO_EXCEPTION_MODULES` sets how many random modules are compared.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import wasmtime

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.traps import UncaughtException
from hyperbeam_trio.errors import GuestTrap

from .exception_programs import write_program

MODULES = int(os.environ.get("HYPERBEAM_TRIO_EXCEPTION_MODULES", "150"))
ARGUMENTS = list(range(-1, 8))
SCRIPT = Path(__file__).with_name("legacy_exceptions.mjs")

Answer = list[object]


def assemble(seed: int) -> bytes:
    return bytes(wasmtime.wat2wasm(write_program(seed)))


def run_here(engine: Engine, image: bytes) -> list[Answer]:
    notes: list[object] = []
    host = lambda instance, arguments: notes.append(arguments[0])  # noqa: E731
    instance = Instance(engine.compile(image), lambda module, name, signature: host)
    answers: list[Answer] = []
    for argument in ARGUMENTS:
        notes.clear()
        answers.append([outcome(instance, argument), list(notes)])
    return answers


def outcome(instance: Instance, argument: int) -> object:
    try:
        return instance.call("run", [argument])[0]
    except UncaughtException:
        return "uncaught"
    except GuestTrap:
        return "trap"


def run_in_v8(node: str, images: list[bytes]) -> list[list[Answer]]:
    questions = [
        {"wasm": base64.b64encode(image).decode(), "arguments": ARGUMENTS} for image in images
    ]
    done = subprocess.run(
        [node, str(SCRIPT)],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    answers: list[list[Answer]] = json.loads(done.stdout)
    return answers


def test_random_modules_do_the_same_as_in_v8():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; it runs the legacy exceptions to compare with")
    images = [assemble(seed) for seed in range(MODULES)]
    engine = Engine(max_images=1)
    expected = run_in_v8(node, images)
    for seed, image in enumerate(images):
        assert run_here(engine, image) == expected[seed], f"module of seed {seed}"
    seen = [answer[0] for answers in expected for answer in answers]
    assert seen.count("uncaught") > MODULES // 2
    assert len({str(answer) for answer in seen}) > 10
