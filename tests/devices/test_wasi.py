"""wasi@1.0: a guest's files in the state (spec/06 §2)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.wasi import WasiDevice
from hyperbeam_trio.errors import KeyNotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract


class TestContract(DeviceContract):
    device = WasiDevice
    requests = [{"path": "init"}, {"path": "compute"}]


async def test_init_gives_a_guest_its_library_and_three_files(node):
    state = await node.resolve(Message({"device": "wasi@1.0", "output-prefix": "other"}), "init")
    linked = await node.resolve(state, "wasm/stdlib/wasi_snapshot_preview1/device")
    assert linked == b"wasi@1.0"
    assert state["vfs"] == Message(dev={"stdin": "", "stdout": "", "stderr": ""})
    assert state["file-descriptors"] == Message(
        {
            "0": {"filename": "/dev/stdin", "offset": 0},
            "1": {"filename": "/dev/stdout", "offset": 0},
            "2": {"filename": "/dev/stderr", "offset": 0},
        }
    )


async def test_what_was_written_is_read_as_stdout(node):
    written = Message(device="wasi@1.0", vfs={"dev": {"stdout": "hello"}})
    assert await node.resolve(written, "stdout") == b"hello"
    with pytest.raises(KeyNotFound, match="vfs/dev/stdout"):
        await node.resolve(Message(device="wasi@1.0"), "stdout")
