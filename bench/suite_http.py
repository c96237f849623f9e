"""Stored results over HTTP, against an empty application behind the same door."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from bench import http_door
from bench.load import Load, drive, get_request
from bench.timing import Result, summary
from hyperbeam_trio.message import Message

FAC = bytes(wasmtime.wat2wasm((Path(__file__).parent / "modules" / "fac.wat").read_bytes()))

A_CORE_EACH = "for a second of CPU time of the busiest process"


def run(quick: bool) -> list[Result]:
    """http.get_stored_ratio and what it is made of; http.rss_growth_100k."""
    seconds = 2.0 if quick else 6.0
    results: list[Result] = []
    rates: dict[str, float] = {}
    for door in ("hypercorn", "trio"):
        with (
            Load.of_script("bench.empty_asgi", door) as empty,
            Load.of_node(f"http-server={door}") as node,
        ):
            target = _stored(node)
            floor = empty.rate(f"http.empty_{door}", "/", seconds)
            stored = node.rate(f"http.get_stored_{door}", target, seconds, note="signed, kept")
            results += [floor, stored]
            rates[door] = stored.value / floor.value
    note = "share of an empty application behind hypercorn"
    results.append(summary("http.get_stored_ratio", [rates["hypercorn"]], "", note=note))
    results.append(_growth(20_000 if quick else 100_000))
    results += _signed(seconds)
    if not quick:
        results += http_door.run(quick)
    return results


def _signed(seconds: float) -> list[Result]:
    """The kept answer with one process and with two, and its slowest percent under load."""
    with Load.of_node() as load:
        target = _stored(load)
        one = load.wall_rate("http.stored_signed", target, seconds, note="wall clock, c=16")
        alone = load.busiest_rate("http.stored_signed_cpu", target, seconds, note=A_CORE_EACH)
        quiet = load.percentile(target, 64, seconds / 2)
        with load.posting(10 << 20):
            busy = load.percentile(target, 64, seconds / 2)
    with Load.of_node("processes=2") as load:
        target = _stored(load)
        two = load.wall_rate("http.stored_signed_2", target, seconds)
        both = load.busiest_rate("http.stored_signed_2_cpu", target, seconds, note=A_CORE_EACH)
    note = "by the clock; the load generator takes a share of the cores"
    cores = "for a second of CPU time of the busier process: with a core for each and the client"
    return [
        one,
        two,
        alone,
        both,
        summary("http.stored_signed_2p", [two.value / one.value], "", note=note),
        summary("http.stored_signed_2p_cpu", [both.value / alone.value], "", note=cores),
        summary(
            "http.p99_ms", [1000 * busy], "ms", "lower", f"{busy / quiet:.1f} times the quiet one"
        ),
    ]


def _stored(load: Load) -> str:
    image = load.put(Message(body=FAC))
    return f"/{image}~wasm-64@1.0/init/compute&function=fac&parameters+list=10/results/output/1"


def _growth(requests: int) -> Result:
    """Resident memory after many requests above that after the first thousand."""
    with Load.of_node() as load:
        target = get_request(_stored(load), {})
        done = drive(load.port, target, 16, 0.5)
        before = load.resident()
        while done < requests:
            done += drive(load.port, target, 16, 1.0)
        grown = load.resident() - before
    note = f"{done} requests"
    return summary("http.rss_growth_100k", [grown], "MB", "lower", note)
