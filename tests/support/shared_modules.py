"""Modules of other people, which this repository may not carry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[3] / "shared" / "wasm"


def shared_module(name: str) -> bytes:
    """What a module's file holds; where it is not at hand the test is skipped."""
    directory = Path(os.environ.get("HYPERBEAM_TRIO_WASM", _BESIDE))
    path = directory / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {directory}; set HYPERBEAM_TRIO_WASM to its directory")
    return path.read_bytes()
