"""How fast messages go into a store and come back, and how fast a store is looked after."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.verify import verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import Store, open_store

WRITERS = 64
LARGE = 100_000
ROUNDS = 5


def message(number: int) -> Message:
    """Four keys, one of them a nested message."""
    return Message(a=str(number), b="value", c=number, nested={"of": number})


async def measure(*, quick: bool = True) -> dict[str, float]:
    """All figures by name: operations a second of wall time for writes, of CPU time for reads."""
    with TemporaryDirectory(prefix="bench-cache-") as directory:
        store = await open_store(f"lmdb:{directory}/durable")
        figures = await write_figures(Cache(store), 2000 if quick else 20_000)
        figures |= await read_figures(Cache(store), 2000 if quick else 20_000)
        await store.close()
        source = await open_store(f"lmdb:{directory}/source?sync=no")
        target = await open_store(f"lmdb:{directory}/target?sync=no")
        figures |= await care_figures(source, target, 10_000 if quick else 500_000)
        await source.close()
        await target.close()
    return figures


async def write_figures(cache: Cache, count: int) -> dict[str, float]:
    """`cache.write`: durable messages a second from 64 tasks; `_cpu`: a second of CPU time."""
    messages = iter([message(number) for number in range(count)])

    async def write() -> None:
        for item in messages:
            await cache.write(item)

    wall, cpu = time.perf_counter(), time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(WRITERS):
            nursery.start_soon(write)
    return {
        "cache.write": count / (time.perf_counter() - wall),
        "cache.write_cpu": count / (time.process_time() - cpu),
    }


async def read_figures(cache: Cache, count: int) -> dict[str, float]:
    """Reads of a small message, of one key of it, and of one key of 100,000."""
    ids = await cache.write_many([message(-number) for number in range(count)])
    large = await cache.write(Message.of({f"key-{n}": b"value" for n in range(LARGE)}))
    names = [f"key-{number * 7919 % LARGE}" for number in range(count)]
    return {
        "cache.read": await _rate(cache.read, ids),
        "cache.load_all": await _rate(lambda id: cache.load_all(Link(id)), ids),
        "cache.read_key": await _rate(lambda id: cache.read_key(id, "b"), ids),
        "cache.read_key_of_100k": await _rate(lambda name: cache.read_key(large, name), names),
    }


async def _rate(read: Callable[[str], Awaitable[object]], keys: list[str]) -> float:
    rounds = []
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for key in keys:
            await read(key)
        rounds.append(len(keys) / (time.thread_time() - begun))
        await trio.lowlevel.checkpoint()
    return median(rounds)


async def care_figures(source: Store, target: Store, pairs: int) -> dict[str, float]:
    """Records a second that are verified, copied, marked and swept; MiB that the process grew."""
    cache = Cache(source)
    for start in range(0, pairs, 500):
        await cache.write_many([message(number) for number in range(start, start + 500)])
    before = _resident()
    figures = {
        "cache.verify": await _walk_rate(verify(source)),
        "cache.copy": await _walk_rate(copy(source, target)),
    }
    kept = await source.list("message/", limit=pairs)
    begun = time.process_time()
    swept = 0
    with Collector(cache, [key.removeprefix("message/") for key in kept[::2]]) as collector:
        _ = [progress async for progress in collector.mark()]
        async for batch in collector.sweep():
            swept += len(batch.keys)
    figures["cache.collect"] = 2 * pairs / (time.process_time() - begun)
    figures["cache.collect_swept"] = float(swept)
    figures["cache.care_rss_mib"] = _resident() - before
    return figures


async def _walk_rate(walk: AsyncIterator[object]) -> float:
    begun = time.process_time()
    done = Progress("")
    async for found in walk:
        if not isinstance(found, Progress):
            raise RuntimeError(f"The store is not intact: {found}")
        done = found
    return done.count / (time.process_time() - begun)


def _resident() -> float:
    """MiB of memory of our own; pages of a mapped store are the kernel's to take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def show(figures: Mapping[str, float]) -> None:
    """Print the figures, one a line."""
    for name, value in figures.items():
        print(f"{name:24} {value:12,.0f}")


if __name__ == "__main__":
    show(trio.run(lambda: measure(quick=False)))
