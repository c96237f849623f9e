"""How fast HyperPATHs become sequences of requests."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from hyperbeam_trio.message import Message
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.path.grammar import read_path

ID = "JvUVR_iZb6JXTgNMSPZMMbNR-KS8ohTkcHGFCBUjRvk"
PROCESS_PATH = f"/{ID}~process@1.0/compute&slot=1/results".encode()
NESTED_PATH = b'/a/b&k=(x&j=(y/z))&l="v/1"/c?n+integer=5&2.m=text'


def measure(quick: bool = False) -> Mapping[str, float]:
    """Operations a second, medians: `path.parse` is without the memo."""
    seconds = 0.05 if quick else 0.4
    request = Message({"path": PROCESS_PATH, **{f"header-{n}": "value" for n in range(10)}})
    return {
        "path.parse": _rate(lambda: read_path(PROCESS_PATH), seconds),
        "path.parse_nested": _rate(lambda: read_path(NESTED_PATH), seconds),
        "path.request_10_headers": _rate(lambda: parse_request(request), seconds),
    }


def _rate(call: Callable[[], object], seconds: float, rounds: int = 5) -> float:
    return statistics.median(_round(call, seconds) for _ in range(rounds))


def _round(call: Callable[[], object], seconds: float) -> float:
    count = 0
    start = time.thread_time()
    while (spent := time.thread_time() - start) < seconds:
        for _ in range(100):
            call()
        count += 100
    return count / spent
