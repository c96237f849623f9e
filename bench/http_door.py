"""What a front door costs: CPU per request, against hypercorn, memory per idle connection."""

from __future__ import annotations

import contextlib
import socket
from statistics import median

from bench.load import ROUNDS, Load, cpu_seconds, drive, get_request
from bench.timing import Result, summary
from hyperbeam_trio.http.file_limit import raise_file_limit

CONNECTIONS = 16
HEADERS = {"user-agent": "bench", "accept": "*/*", "accept-bundle": "true", "x-key": "value"}


def run(quick: bool) -> list[Result]:
    """http.door_cpu_us, http.door_vs_hypercorn, http.conn_idle_kb."""
    return [*_requests(0.3 if quick else 1.5), _idle(2000 if quick else 10_000)]


def _requests(seconds: float) -> list[Result]:
    """The doors take turns, so that a busy neighbour slows both."""
    request = get_request("/~meta@1.0/info/address?key=value", HEADERS)
    with (
        Load.of_script("bench.empty_asgi", "trio") as ours,
        Load.of_script("bench.empty_asgi", "hypercorn") as theirs,
    ):
        for load in (ours, theirs):
            drive(load.port, request, CONNECTIONS, 0.2)
        rounds = [
            (_cost(ours, request, seconds), _cost(theirs, request, seconds)) for _ in range(ROUNDS)
        ]
    own = [cost for cost, _ in rounds]
    note = f"hypercorn: {median([cost for _, cost in rounds]):.0f} µs"
    return [
        summary("http.door_cpu_us", own, "µs", "lower", f"{CONNECTIONS} connections"),
        summary("http.door_vs_hypercorn", [b / a for a, b in rounds], "", note=note),
    ]


def _cost(load: Load, request: bytes, seconds: float) -> float:
    before = cpu_seconds(load.process.pid)
    answers = drive(load.port, request, CONNECTIONS, seconds)
    return 1e6 * (cpu_seconds(load.process.pid) - before) / answers


def _idle(connections: int) -> Result:
    """Resident memory per connection that had one request and then waits."""
    count = min(connections, raise_file_limit() - 200)
    with Load.of_script("bench.empty_asgi", "trio") as load, contextlib.ExitStack() as held:
        request = get_request("/", HEADERS)
        drive(load.port, request, CONNECTIONS, 0.3)
        before = load.resident()
        for _ in range(count):
            sock = held.enter_context(socket.create_connection(("127.0.0.1", load.port)))
            sock.sendall(request)
            sock.recv(65536)
        grown = 1024 * (load.resident() - before) / count
    return summary("http.conn_idle_kb", [grown], "kB", "lower", f"{count} connections")
