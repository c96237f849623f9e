"""The conformance script for aoconnect, where it lies beside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.crypto.key_file import generate_wallet, save_wallet, wallet_from_jwk
from hyperbeam_trio.testing.node import running_node, served
from tests import vectors

HERE = Path(__file__).parent
BESIDE = HERE.parents[2] / "shared" / "clients"
SCRIPT = Path(os.environ.get("HYPERBEAM_TRIO_CLIENTS", BESIDE)) / "aoconnect" / "run.mjs"
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the path"),
    pytest.mark.skipif(not SCRIPT.exists(), reason=f"needs the script {SCRIPT.name} of aoconnect"),
    pytest.mark.skipif(
        not (HERE / "node_modules" / "@permaweb").exists(),
        reason="needs the npm packages of tests/interop: run `make interop`",
    ),
]


async def test_aoconnect_finds_everything_that_it_asks_for():
    client = wallet_from_jwk(vectors.load("keys/key-1.json"))
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        script, key = Path(folder) / "run.mjs", Path(folder) / "key.json"
        script.write_bytes(SCRIPT.read_bytes())
        save_wallet(client, key)
        async with running_node(wallet=generate_wallet("rsa")) as node, served(node) as url:
            with trio.fail_after(90):
                done = await trio.run_process(
                    ["node", str(script), url.rstrip("/"), "--wallet", str(key)],
                    capture_stdout=True,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line.startswith("not ok")] == []
    assert lines[-1] == "# 24 ok, 0 not ok"
