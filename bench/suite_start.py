"""From the command to the first answer, and what the node weighs then."""

from __future__ import annotations

import time

from bench.load import Load, exchange, get_request
from bench.timing import Result, summary


def run(quick: bool) -> list[Result]:
    """start.first_answer with an existing wallet, start.idle_rss."""
    times, weights = [], []
    request = get_request("/~meta@1.0/info/address", {})
    for _ in range(3 if quick else 7):
        with Load.of_node(identity="rsa") as load:
            exchange(load.port, request)
            times.append(time.perf_counter() - load.begun)
            weights.append(load.resident())
    note = "RSA wallet, signed answer"
    return [
        summary("start.first_answer", times, "s", "lower", note),
        summary("start.idle_rss", weights, "MB", "lower", note),
    ]
