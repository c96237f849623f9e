"""The main job, as a user does it: a real process, real HTTP, a real kill (README, the tour)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hyperbeam_trio.crypto.key_file import generate_wallet, save_wallet
from tests.support.legacy_guest import PROGRAM

EXAMPLES = Path(__file__).parents[1] / "examples"
MODULE = EXAMPLES / "factorial.wat"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hyperbeam_trio", *arguments]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HB_")}


class Started:
    """A node process and where it listens."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def started(folder: Path, config: Path, *more: str) -> Iterator[Started]:
    """`hyperbeam-trio start`, from its first line of URL until it is made to stop."""
    process = subprocess.Popen(
        _command("start", "--config", str(config), "--port", "0", *more),
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        url = re.match(r"url: +(http://\S+)", lines[0])
        assert url is not None, lines
        yield Started(process, url[1].rstrip("/"))
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_wallet(generate_wallet("ed25519"), tmp_path / "hyperbeam-key.json")
    return tmp_path


def _run(folder: Path, *arguments: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        _command(*arguments),
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _upload(folder: Path, url: str) -> str:
    return _run(folder, "put", str(MODULE), "--node", url)


def _question(image: str) -> str:
    return f"/{image}~wasm-64@1.0/init/compute&function=fac&parameters+list=10/results/output/1"


@pytest.mark.parametrize("store", ["lmdb:./data", "fs:./data"])
def test_a_result_outlives_the_node_on_every_store(folder: Path, store: str) -> None:
    config = folder / "node.toml"
    config.write_text(f'store = ["{store}"]\nlog-level = "warning"\n')
    headers = {"host": "node.test"}
    with started(folder, config) as node:
        image = _upload(folder, node.url)
        first = httpx.get(node.url + _question(image), headers=headers)
        assert (first.text, first.headers["cache-status"]) == ("3628800", "miss")
        node.kill()
    with started(folder, config) as node:
        again = httpx.get(node.url + _question(image), headers=headers)
        assert (again.text, again.headers["cache-status"]) == ("3628800", "hit")


def test_the_command_line_gets_the_same_from_a_node_and_from_its_store(folder: Path) -> None:
    config = folder / "node.toml"
    config.write_text('store = ["lmdb:./data"]\n')
    with started(folder, config) as node:
        image = _upload(folder, node.url)
        assert _run(folder, "get", _question(image), "--node", node.url) == "3628800"
    assert _run(folder, "get", _question(image), "--store", "lmdb:./data") == "3628800"


def test_a_process_counts_and_goes_on_after_a_kill(folder: Path) -> None:
    config = folder / "node.toml"
    config.write_text('store = ["lmdb:./data"]\nlog-level = "warning"\n')
    with started(folder, config) as node:
        process = _run(folder, "spawn", str(EXAMPLES / "counter.lua"), "--node", node.url)
        sent = _run(folder, "send", process, "amount=5", "--node", node.url)
        assert "output: The count is 5.\n" in sent
        node.kill()
    with started(folder, config) as node:
        sent = _run(folder, "send", process, "--node", node.url)
        assert "output: The count is 6.\n" in sent
        assert sent.endswith("slot: 2")
        now = httpx.get(f"{node.url}/{process}~process@1.0/now/count")
        assert now.text == "6"


def test_a_module_with_the_calling_convention_of_aos_is_spawned_as_it_is(folder: Path) -> None:
    (folder / "program.wat").write_text(PROGRAM)
    config = folder / "node.toml"
    config.write_text('store = ["memory:"]\nlog-level = "warning"\n')
    with started(folder, config) as node:
        process = _run(folder, "spawn", "program.wat", "name=Counter", "--node", node.url)
        sent = _run(folder, "send", process, "--data", "x", "--json", "--node", node.url)
        assert json.loads(sent)["data"] == "2"
        assert httpx.get(f"{node.url}/{process}/name").text == "Counter"


def test_sigterm_drains_and_ends_well(folder: Path) -> None:
    config = folder / "node.toml"
    config.write_text('store = ["memory:"]\n')
    with started(folder, config) as node:
        assert httpx.get(node.url + "/~meta@1.0/build/node").text == "hyperbeam-trio"
        node.process.terminate()
        assert node.process.wait(timeout=20) == 0


def test_worker_processes_share_the_port_and_the_store(folder: Path) -> None:
    config = folder / "node.toml"
    config.write_text('store = ["lmdb:./data"]\nlog-level = "warning"\n')
    with started(folder, config, "--processes", "2") as node:
        retry = httpx.HTTPTransport(retries=20)
        with httpx.Client(transport=retry, headers={"connection": "close"}) as client:
            image = _upload(folder, node.url)
            answers = [client.get(node.url + _question(image)) for _ in range(20)]
            assert {answer.text for answer in answers} == {"3628800"}
            assert answers[-1].headers["cache-status"] == "hit"
        node.process.terminate()
        assert node.process.wait(timeout=30) == 0
