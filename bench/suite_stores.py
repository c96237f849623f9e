"""Stores: the same work over each backend, and proving, copying and reading large ones."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench import shared_slots, stores
from bench.timing import Result, rate_async
from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.verify import verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import Store, open_store
from tests.interop.seaweed import find_weed

AT_ONCE = 500


def run(quick: bool) -> list[Result]:
    """`stores.verify`, `.copy` with `_memory`, `.lmdb_get`, and all of `bench.stores`.

    Where SeaweedFS is installed also `stores.shared_slots` and `stores.shared_slot_faults`.
    """
    # The large stores first: what the others leave behind would count as their memory.
    found = trio.run(_large, 100_000 if quick else 1_000_000, quick)
    found += trio.run(stores.results, quick)
    if find_weed():
        found += shared_slots.measure(1000 if quick else 10_000)
    return found


async def _large(count: int, quick: bool) -> list[Result]:
    with TemporaryDirectory(prefix="bench-stores-") as directory:
        source = await open_store(f"lmdb:{directory}/source?sync=no")
        target = await open_store(f"lmdb:{directory}/target?sync=no")
        id = await _fill(source, count)
        before = _resident()
        found = [
            await _walk_rate("stores.verify", verify(source), count),
            await _walk_rate("stores.copy", copy(source, target), count),
        ]
        grown = f"{_resident() - before:.0f} MiB more than before the walks"
        cache = Cache(source)
        seconds = 0.2 if quick else 0.8
        found += [
            Result("stores.care_memory", _resident(), "MiB", "lower", note=grown),
            await rate_async("stores.lmdb_get", lambda: cache.read_key(id, "b"), seconds, "CPU"),
        ]
        await source.close()
        await target.close()
    return found


async def _fill(store: Store, count: int) -> str:
    """Small messages, each a record; the id of one."""
    cache = Cache(store)
    ids = [""]
    for start in range(0, count, AT_ONCE):
        numbers = range(start, start + AT_ONCE)
        ids = await cache.write_many([Message(a=str(n), b="value", c=n) for n in numbers])
    return ids[0]


async def _walk_rate(name: str, walk: AsyncGenerator[object, None], count: int) -> Result:
    """Messages a second by the clock; `RuntimeError` when the walk finds damage or too few."""
    begun = time.perf_counter()
    done = Progress("")
    async with aclosing(walk):
        async for found in walk:
            if not isinstance(found, Progress):
                raise RuntimeError(f"The store is not intact: {found}")
            done = found
    if done.count < count:
        raise RuntimeError(f"The walk found {done.count} of {count} messages.")
    seconds = time.perf_counter() - begun
    return Result(name, done.count / seconds, "/s", note=f"{count:,} messages, wall clock")


def _resident() -> float:
    """MiB of memory of our own; pages of a mapped store are the kernel's to take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
