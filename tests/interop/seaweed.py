"""A real S3 service for tests: SeaweedFS on free ports of the loopback, in one process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

READY = b"Start Seaweed S3 API Server"
ACCESS_KEY = "test-access"
SECRET_KEY = "test-secret-key"
OPTIONS = f"access-key={ACCESS_KEY}&secret-key={SECRET_KEY}"


def find_weed() -> str | None:
    """The server's program, beside our Python or on the path; `None` when it is not installed."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


class Seaweed:
    """A running server; `uri(bucket)` is a store in it, `kill` ends it as `kill -9` does."""

    def __init__(self, directory: Path, ports: dict[str, int]) -> None:
        self.directory = directory
        self.ports = ports
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log: threading.Thread | None = None

    def uri(self, bucket: str, **options: object) -> str:
        """The store URI of `bucket`, which may have a prefix behind a `/`."""
        extra = "".join(f"&{name.replace('_', '-')}={value}" for name, value in options.items())
        return f"s3:{bucket}?endpoint={self.endpoint}&{OPTIONS}{extra}"

    def start(self) -> None:
        """Start the server and return when it serves S3."""
        process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.directory
        )
        assert process.stderr is not None
        if not any(READY in line for line in process.stderr):
            raise RuntimeError(f"SeaweedFS ended with status {process.wait()}.")
        # Its log must be read, or it stands still when the pipe is full.
        self._process, self._log = process, threading.Thread(target=_drain, args=[process.stderr])
        self._log.start()

    def kill(self) -> None:
        """End the server at once."""
        if self._process is not None and self._log is not None:
            self._process.kill()
            self._process.wait()
            self._log.join()
            self._process = None

    def _command(self) -> list[str]:
        identity = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.directory / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        (self.directory / "data").mkdir(exist_ok=True)
        ports = [f"-{name}={port}" for name, port in self.ports.items()]
        return [
            *(find_weed() or "weed", "-logtostderr=true", "server", "-filer", "-s3"),
            *(f"-dir={self.directory}/data", f"-s3.config={config}", "-volume.max=50"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", *ports),
        ]


@contextmanager
def running_seaweed(directory: Path) -> Iterator[Seaweed]:
    """A server with its data below `directory`, ended at the end of the block."""
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    free = _free_ports(2 * len(names))
    ports = dict(zip((*names, *(f"{name}.grpc" for name in names)), free, strict=True))
    server = Seaweed(directory, ports)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        for name, port in ports.items():
            kind = name.split(".")[0]
            if name.endswith("grpc"):
                Path(f"/tmp/seaweedfs-{kind}-grpc-{port}.sock").unlink(missing_ok=True)


def _drain(log: IO[bytes]) -> None:
    with log:
        for _ in log:
            continue


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    with running_seaweed(Path(sys.argv[1])) as running:
        print(running.uri("bucket"), flush=True)
        sys.stdin.read()
