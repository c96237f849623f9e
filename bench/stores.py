"""The same workload over all backends, S3 against its bare client, and what tiers cost.

`python -m bench.stores [--quick]` prints a table and draws `stores.svg`; with `--readme` it also
puts the figures into the README's table.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from bench.plot import bar_chart
from bench.store_engines import tiered_overhead
from bench.timing import Result, summary
from hyperbeam_trio.cache import Cache
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import Store, open_stores
from tests.interop.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, find_weed, running_seaweed

TASKS = 32
FIGURES = ("write", "read", "read_key", "list", "slots")
README_ROWS = {
    "`lmdb:`": "lmdb",
    "`lmdb:…?sync=no`": "lmdb, no sync",
    "`fs:`": "fs",
    "`memory:`": "memory",
    "`s3:`": "s3",
    "`lmdb:` over `s3:`": "lmdb over s3",
    "`lmdb:` over `s3:…&write=back`": "lmdb, s3 written back",
}
"""The stores of the README's table, and what they are called here."""
Figures = Mapping[str, Mapping[str, float]]


async def compare(quick: bool) -> Figures:
    """By backend, operations a second of each of `FIGURES`; S3 only where SeaweedFS is installed.

    Messages of three keys and a nested one, 32 tasks at once, wall clock: `write` them, `read`
    one with all its keys, `read_key` one key of it, `list` keys, take `slots` by `create`.
    """
    found: dict[str, Mapping[str, float]] = {}
    with TemporaryDirectory(prefix="bench-stores-") as directory, ExitStack() as stack:
        place = Path(directory)
        seaweed = stack.enter_context(running_seaweed(place)) if find_weed() else None
        for name, uris in backends(place, seaweed).items():
            async with serving(await open_stores(uris)) as store:
                found[name] = await workload(store, 0.3 if quick else 2.0)
    return found


def backends(place: Path, seaweed: Seaweed | None) -> Mapping[str, list[str]]:
    """The rows of stores to compare, by a name for people."""
    rows = {
        "memory": ["memory:"],
        "lmdb": [f"lmdb:{place}/lmdb"],
        "lmdb, no sync": [f"lmdb:{place}/nosync?sync=no"],
        "fs": [f"fs:{place}/fs"],
    }
    if seaweed is not None:
        bucket = seaweed.uri("bench", retries=20, timeout=60)
        rows["s3"] = [bucket.replace("s3:bench", "s3:bench/alone")]
        rows["lmdb over s3"] = [f"lmdb:{place}/over", bucket.replace("s3:bench", "s3:bench/behind")]
        back = bucket.replace("s3:bench", "s3:bench/back")
        rows["lmdb, s3 written back"] = [f"lmdb:{place}/near", f"{back}&write=back"]
    return rows


@asynccontextmanager
async def serving(store: Store) -> AsyncIterator[Store]:
    """The store with its background work running, closed at the end."""
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        yield store
        nursery.cancel_scope.cancel()
    await store.close()


async def workload(store: Store, seconds: float) -> Mapping[str, float]:
    """The five figures of one store."""
    cache = Cache(store)
    numbers, slots = count(), count()
    ids: list[str] = []

    async def write() -> None:
        number = next(numbers)
        nested = {"of": number}
        ids.append(await cache.write(Message(a=str(number), b="value", c=number, nested=nested)))

    await write()
    found = {"write": await rate(write, seconds)}
    which = count()
    found["read"] = await rate(lambda: cache.read(ids[next(which) * 7919 % len(ids)]), seconds)
    found["read_key"] = await rate(
        lambda: cache.read_key(ids[next(which) * 7919 % len(ids)], "b"), seconds
    )
    found["slots"] = await rate(lambda: store.create(f"slot/{next(slots):09}", b"x" * 200), seconds)
    begun = time.perf_counter()
    found["list"] = len(await store.list("message/")) / (time.perf_counter() - begun)
    return found


async def rate(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    """Calls a second by the clock, from `TASKS` tasks, each with one call at a time."""
    done = 0
    begun = time.perf_counter()

    async def work() -> None:
        nonlocal done
        while time.perf_counter() - begun < seconds:
            await call()
            done += 1

    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(work)
    return done / (time.perf_counter() - begun)


async def s3_ratios(
    seaweed: Seaweed, calls: int, rounds: int = 5
) -> tuple[list[float], list[float]]:
    """Rates of our puts and gets as shares of the bare client's, 32 at once, round by round."""
    raw = _raw_bucket(seaweed)
    value = os.urandom(300)
    store = await open_stores([seaweed.uri("bench/ratio", retries=20, timeout=60)])
    await store.put({"warm": value})
    writes, reads = [], []
    async with serving(store):
        for round_ in range(rounds):
            names = [f"{round_}-{number:06}" for number in range(calls)]
            bare = await _raw_rate(names, lambda name: raw.put(name, value))
            writes.append(await _our_rate(names, lambda name: store.put({name: value})) / bare)
            bare = await _raw_rate(names, lambda name: bytes(raw.get(name).bytes()))
            reads.append(await _our_rate(names, store.get) / bare)
    return writes, reads


def _raw_bucket(seaweed: Seaweed) -> Any:
    from obstore.store import S3Store

    return S3Store(
        "bench",
        prefix="raw",
        endpoint=seaweed.endpoint,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True},
    )


async def _raw_rate(names: list[str], call: Callable[[str], object]) -> float:
    def run() -> float:
        with ThreadPoolExecutor(TASKS) as pool:
            begun = time.perf_counter()
            list(pool.map(call, names))
            return len(names) / (time.perf_counter() - begun)

    return await trio.to_thread.run_sync(run)


async def _our_rate(names: list[str], call: Callable[[str], Awaitable[object]]) -> float:
    waiting = iter(names)

    async def work() -> None:
        for name in waiting:
            await call(name)

    begun = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(work)
    return len(names) / (time.perf_counter() - begun)


async def results(quick: bool) -> list[Result]:
    """`stores.BACKEND.FIGURE`, `stores.s3_write_ratio`, `stores.s3_read_ratio`, overheads."""
    found = [
        Result(f"stores.{_slug(name)}.{figure}", value, "/s", note="32 tasks, wall clock")
        for name, figures in (await compare(quick)).items()
        for figure, value in figures.items()
    ]
    with TemporaryDirectory(prefix="bench-stores-") as directory:
        place = Path(directory)
        if find_weed():
            with running_seaweed(place) as seaweed:
                writes, reads = await s3_ratios(seaweed, 400 if quick else 2000)
            found.append(summary("stores.s3_write_ratio", writes, "", note="to bare obstore"))
            found.append(summary("stores.s3_read_ratio", reads, "", note="to bare obstore"))
        for scheme in ("lmdb", "memory"):
            ratio = await tiered_overhead(place / scheme, 2000 if quick else 10_000, scheme)
            name = "stores.tiered_overhead" + ("" if scheme == "lmdb" else f"_{scheme}")
            found.append(Result(name, ratio, "", "lower", note=f"a hit in {scheme}, CPU"))
    return found


def markdown_table(figures: Figures) -> str:
    """The comparison for the README: a row a backend, a column a figure."""
    lines = ["| store | " + " | ".join(FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for name, row in figures.items():
        lines.append(
            f"| {name} | " + " | ".join(f"{row[figure]:,.0f}" for figure in FIGURES) + " |"
        )
    return "\n".join(lines)


def updated(text: str, figures: Figures) -> str:
    """The README with the figures of its rows replaced by those that were measured."""
    lines = text.split("\n")
    for place, line in enumerate(lines):
        cells = line.split(" | ")
        measured = figures.get(README_ROWS.get(cells[0].removeprefix("| "), ""))
        if measured is not None and len(cells) == 2 + len(FIGURES):
            rates = [_rounded(measured[figure]) for figure in FIGURES]
            lines[place] = " | ".join([*cells[:2], *rates]) + " |"
    return "\n".join(lines)


def _rounded(rate: float) -> str:
    """Two digits are all that such a figure tells."""
    return f"{float(f'{rate:.2g}'):,.0f}"


def _slug(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


if __name__ == "__main__":
    compared = trio.run(compare, "--quick" in sys.argv)
    print(markdown_table(compared))
    Path("stores.svg").write_text(bar_chart("Operations a second, 32 tasks", compared))
    if "--readme" in sys.argv:
        readme = Path(__file__).parents[1] / "README.md"
        readme.write_text(updated(readme.read_text(), compared))
