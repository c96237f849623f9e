"""How fast the store engines are by themselves: puts, gets, views and lists of small records."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import trio

from hyperbeam_trio.store import Store, open_store, open_stores

VALUE = os.urandom(300)
ROUNDS = 5


async def puts_per_second(store: Store, writers: int, puts: int, name: str = "w") -> float:
    """Durable puts of 300 bytes a second, wall clock, from `writers` tasks at once."""

    async def write(writer: int) -> None:
        for number in range(puts // writers):
            await store.put({f"{name}/{writer:03}/{number:08}": VALUE})

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for writer in range(writers):
            nursery.start_soon(write, writer)
    return puts // writers * writers / (time.perf_counter() - start)


async def fill(store: Store, count: int) -> list[str]:
    """Write `count` records under hashes, as content lies; their keys."""
    keys = [f"data/{os.urandom(22).hex()[:43]}" for _ in range(count)]
    for start in range(0, count, 5000):
        await store.put(dict.fromkeys(keys[start : start + 5000], VALUE))
    return keys


async def read_seconds(read: Callable[[str], Awaitable[object]], keys: list[str]) -> float:
    """CPU seconds of one read, median of some rounds over all keys."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        for key in keys:
            await read(key)
        rounds.append((time.thread_time() - start) / len(keys))
        await trio.lowlevel.checkpoint()
    return median(rounds)


async def tiered_overhead(place: Path, count: int, scheme: str) -> float:
    """A read that hits the nearest of two tiers, as a multiple of that store's own read."""
    near = await open_store(_uri(scheme, place / "alone"))
    row = await open_stores([_uri(scheme, place / "near"), f"lmdb:{place}/far"])
    keys = await fill(near, count)
    await row.put(dict.fromkeys(keys, VALUE))
    ratios = []
    for _ in range(ROUNDS):
        alone = await read_seconds(near.get, keys)
        ratios.append(await read_seconds(row.get, keys) / alone)
    await near.close()
    await row.close()
    return median(ratios)


async def engine_figures(scheme: str, place: Path, *, quick: bool) -> Mapping[str, float]:
    """Figures of one engine: `put_64` and `put_1` and `list` per second, `get`, `view` in µs."""
    puts = 300 if scheme == "fs" else 3000 if quick else 20_000
    store = await open_store(_uri(scheme, place / scheme))
    figures = {
        "put_64": await puts_per_second(store, 64, puts),
        "put_1": await puts_per_second(store, 1, min(puts, 500), "one"),
    }
    keys = await fill(store, 2000 if quick else 20_000)
    figures["get_us"] = 1e6 * await read_seconds(store.get, keys)
    figures["view_us"] = 1e6 * await read_seconds(lambda key: store.view(key, len), keys)
    start = time.process_time()
    listed = await store.list("data/")
    figures["list"] = len(listed) / (time.process_time() - start)
    await store.close()
    return figures


async def measure(*, quick: bool = True) -> dict[str, float]:
    """All figures by name: `ENGINE.put_64` …, and `tiered.overhead_ENGINE` as ratios."""
    found: dict[str, float] = {}
    with TemporaryDirectory(prefix="bench-store-") as directory:
        place = Path(directory)
        for scheme in ("memory", "lmdb", "fs"):
            figures = await engine_figures(scheme, place, quick=quick)
            found |= {f"{scheme}.{name}": value for name, value in figures.items()}
        for scheme in ("memory", "lmdb"):
            below = place / f"tiered-{scheme}"
            found[f"tiered.overhead_{scheme}"] = await tiered_overhead(
                below, 2000 if quick else 10_000, scheme
            )
    return found


def _uri(scheme: str, place: Path) -> str:
    return "memory:" if scheme == "memory" else f"{scheme}:{place}"


if __name__ == "__main__":
    for name, value in trio.run(lambda: measure(quick=False)).items():
        print(f"{name:28} {value:14,.3f}")
