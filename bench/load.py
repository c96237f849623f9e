"""A server in a process of its own and clients that keep it busy."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import trio

from bench.timing import Result, summary
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.crypto.key_file import generate_wallet, load_wallet, save_wallet
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.message import Message

ROUNDS = 5
SETTLE_SECONDS = 0.3

_STAMPED = 35 if sys.platform == "linux" else None
"""SO_TIMESTAMPNS, which Python has no name for: the kernel notes when bytes come to a socket."""

_PROBE = """
import socket, struct, time
came, read, request, stamped = [], [], {request!r}, {stamped}
with socket.create_connection(("127.0.0.1", {port}), timeout=60) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if stamped is not None:
        connection.setsockopt(socket.SOL_SOCKET, stamped, 1)
    until = time.time() + {seconds}
    while (begun := time.time_ns()) < until * 1e9:
        connection.sendall(request)
        _, notes, _, _ = connection.recvmsg(65536, 256)
        read.append(time.time_ns() - begun)
        at = [struct.unpack("@ll", data) for _, kind, data in notes if kind == stamped]
        came.append(at[0][0] * 10**9 + at[0][1] - begun if at else read[-1])
        # Between requests the server is left to what keeps it busy.
        time.sleep(0.002)
for times in came, read:
    print(sorted(times)[int(0.99 * len(times))] / 1e9)
"""


class Answered(NamedTuple):
    """Seconds until an answer came to the socket of whoever asked, and until it had been read.

    On a machine of few cores the second also tells how long a client waits for one.
    """

    came: float
    read: float


class Load:
    """One server process, its address, and rates of requests to it."""

    def __init__(
        self, process: subprocess.Popen[str], port: int, folder: Path, begun: float
    ) -> None:
        self.process = process
        self.port = port
        self.folder = folder
        self.begun = begun

    @classmethod
    @contextlib.contextmanager
    def of_node(
        cls, *options: str, identity: str = "ed25519", home: Path | None = None
    ) -> Iterator[Load]:
        """A node on an LMDB store in a temporary folder, started as a user would.

        In the folder `home`, if that is given, as the node before it in that folder left it.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = home or Path(temporary)
            if not (folder / "hyperbeam-key.json").exists():
                save_wallet(generate_wallet(identity), folder / "hyperbeam-key.json")
            command = [sys.executable, "-m", "hyperbeam_trio", "start", "--port", "0"]
            command += ["--option", "log-level=warning"]
            for option in options:
                command += ["--option", option]
            with _running(command, folder) as load:
                yield load

    @classmethod
    @contextlib.contextmanager
    def of_script(cls, *arguments: str) -> Iterator[Load]:
        """A Python module that prints `url: http://host:port/` when it is ready."""
        with (
            tempfile.TemporaryDirectory() as folder,
            _running([sys.executable, "-m", *arguments], Path(folder)) as load,
        ):
            yield load

    def put(self, message: Message) -> str:
        """Upload a message as the node's operator; its id."""
        wallet = load_wallet(self.folder / "hyperbeam-key.json")
        id, head, body = trio.run(_upload, message, wallet)
        answer = exchange(self.port, head + body)
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"The upload was refused: {answer[:400]!r}")
        return id

    def rate(
        self,
        name: str,
        target: str,
        seconds: float,
        *,
        connections: int = 16,
        headers: Mapping[str, str] | None = None,
        note: str = "",
    ) -> Result:
        """Answers a second of the server's CPU time, with `connections` kept busy."""
        request = get_request(target, headers or {})
        exchange(self.port, request)
        values = [self._round(request, connections, seconds / ROUNDS) for _ in range(ROUNDS)]
        return summary(name, values, "/s", note=note)

    def wall_rate(self, name: str, target: str, seconds: float, note: str = "") -> Result:
        """Answers a second by the clock, sixteen connections kept busy; by wrk, if it is there.

        wrk takes a tenth of the time for an answer that a client in Python takes from the server.
        """
        exchange(self.port, get_request(target, {}))
        rounds = [self._keep_busy(target, seconds / ROUNDS) for _ in range(ROUNDS)]
        values = [answers / took for answers, took in rounds]
        return summary(name, values, "/s", note=note)

    def _keep_busy(self, target: str, seconds: float) -> tuple[int, float]:
        """Answers to sixteen connections, and the seconds that it took to get them."""
        wrk = shutil.which("wrk")
        if wrk is None:
            return drive(self.port, get_request(target, {}), 16, seconds), seconds
        url = f"http://127.0.0.1:{self.port}{target}"
        command = [wrk, "-t1", "-c16", f"-d{max(1, round(seconds))}s", url]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in text:
            raise RuntimeError(f"wrk was refused: {text}")
        answers = int(text.partition(" requests in")[0].split()[-1])
        return answers, answers / float(text.partition("Requests/sec:")[2].split()[0])

    def busiest_rate(self, name: str, target: str, seconds: float, note: str = "") -> Result:
        """Answers of all processes for a second of CPU time of the one that had most to do.

        It is what they answer in a second where each has a core, and the client one of its own.
        """
        exchange(self.port, get_request(target, {}))
        values = [self._busiest_round(target, seconds / ROUNDS) for _ in range(ROUNDS)]
        return summary(name, values, "/s", note=note)

    def _busiest_round(self, target: str, seconds: float) -> float:
        workers = children(self.process.pid) or [self.process.pid]
        before = [cpu_seconds(pid) for pid in workers]
        answers, _ = self._keep_busy(target, seconds)
        used = [cpu_seconds(pid) - past for pid, past in zip(workers, before, strict=True)]
        return answers / max(used)

    def percentile(self, target: str, connections: int, seconds: float) -> float:
        """The time within which 99 of 100 answers come, in seconds."""
        times: list[float] = []
        drive(self.port, get_request(target, {}), connections, seconds, times)
        times.sort()
        return times[int(0.99 * len(times))]

    @contextlib.contextmanager
    def posting(self, size: int) -> Iterator[None]:
        """A client that posts bodies of `size` bytes all the while."""
        head = f"POST /~message@1.0/a HTTP/1.1\r\nhost: bench\r\ncontent-length: {size}\r\n\r\n"
        program = (
            "import socket\n"
            f"s = socket.create_connection(('127.0.0.1', {self.port}))\n"
            f"data = {head!r}.encode() + bytes({size})\n"
            "while True:\n    s.sendall(data)\n    s.recv(65536)\n"
        )
        with _beside(_python(program)):
            yield

    @contextlib.contextmanager
    def keeping_busy(self, target: str, connections: int) -> Iterator[None]:
        """Clients, in a process of their own, that ask for `target` again and again meanwhile.

        By wrk, if it is there: on a machine of two cores it stands less in the node's way.
        """
        with _beside(self._busy_client(target, connections)):
            # The clients say nothing when they have begun; this is no test, only a warm-up.
            time.sleep(SETTLE_SECONDS)
            yield

    def _busy_client(self, target: str, connections: int) -> list[str]:
        wrk = shutil.which("wrk")
        if wrk is not None:
            url = f"http://127.0.0.1:{self.port}{target}"
            return [wrk, "-t1", f"-c{connections}", "-d3600s", url]
        asked = f"{self.port}, {get_request(target, {})!r}, {connections}, 3600"
        return _python(f"from bench.load import drive\ndrive({asked})\n")

    def p99(self, target: str, seconds: float) -> Answered:
        """As `percentile`, asked by one client in a process of its own, which rests in between."""
        request = get_request(target, {})
        program = _PROBE.format(port=self.port, request=request, seconds=seconds, stamped=_STAMPED)
        done = subprocess.run(_python(program), capture_output=True, check=True)
        came, read = map(float, done.stdout.split())
        return Answered(came, read)

    def _round(self, request: bytes, connections: int, seconds: float) -> float:
        before = cpu_seconds(self.process.pid)
        answers = drive(self.port, request, connections, seconds)
        return answers / max(cpu_seconds(self.process.pid) - before, 1e-6)

    def resident(self) -> float:
        """Resident memory of the server in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("The server's memory is not known on this system.")


@contextlib.contextmanager
def _beside(command: list[str]) -> Iterator[None]:
    """A program that runs until the block ends."""
    root = str(Path(__file__).parents[1])
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=root)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@contextlib.contextmanager
def _running(command: list[str], folder: Path) -> Iterator[Load]:
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first.startswith("url:"):
            raise RuntimeError(f"{' '.join(command)} did not start: {first!r}")
        yield Load(process, int(first.rstrip().rstrip("/").rpartition(":")[2]), folder, begun)
    finally:
        process.terminate()
        process.communicate(timeout=30)


async def _upload(message: Message, wallet: Wallet) -> tuple[str, bytes, bytes]:
    request = Message({"path": "/~cache@1.0/write", "method": "POST", "body": message})
    limiter = trio.CapacityLimiter(1)
    signed = await commit_signed(request, wallet, limiter=limiter, bundle=True)
    encoded = encode(signed, bundle=True)
    lines = [b"POST /~cache@1.0/write HTTP/1.1", b"host: bench"]
    lines += [name.encode() + b": " + value for name, value in encoded.headers]
    body = encoded.body or b""
    lines.append(b"content-length: %d" % len(body))
    return unsigned_id(message), b"\r\n".join(lines) + b"\r\n\r\n", body


def get_request(target: str, headers: Mapping[str, str]) -> bytes:
    """The bytes of a GET on a connection that stays open."""
    lines = [f"GET {target} HTTP/1.1", "host: bench"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def exchange(port: int, request: bytes) -> bytes:
    """One request on a connection of its own; the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        answer = b""
        while _answer_length(answer) is None or len(answer) < (_answer_length(answer) or 0):
            part = connection.recv(65536)
            if not part:
                break
            answer += part
        return answer


def _answer_length(data: bytes) -> int | None:
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        return None
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(head) + 4 + int(line.partition(b":")[2])
    return len(head) + 4


def drive(
    port: int,
    request: bytes,
    connections: int,
    seconds: float,
    times: list[float] | None = None,
) -> int:
    """Keep `connections` busy with one request after another; the answers that came.

    `times` gets the seconds that each answer took.
    """
    sent: dict[socket.socket, float] = {}
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    chooser = selectors.DefaultSelector()
    pending: dict[socket.socket, int] = {}
    length = len(exchange(port, request))
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(connection, selectors.EVENT_READ)
        connection.sendall(request)
        sent[connection] = time.perf_counter()
        pending[connection] = length
    answers, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        for entry, _ in chooser.select(0.1):
            connection = entry.fileobj
            assert isinstance(connection, socket.socket)
            pending[connection] -= len(connection.recv(262144))
            if pending[connection] <= 0:
                answers += 1
                if times is not None:
                    now = time.perf_counter()
                    times.append(now - sent[connection])
                    sent[connection] = now
                pending[connection] = length
                connection.sendall(request)
    for connection in sockets:
        connection.close()
    return answers


def children(pid: int) -> list[int]:
    """The processes that the threads of a process have started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in lists for child in path.read_text().split()]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
