"""Messages in a store on disk: durable writes, whole reads, single keys."""

from __future__ import annotations

import tempfile
import time
from itertools import count

import trio

from bench.timing import ROUNDS, Result, rate_async, summary
from hyperbeam_trio.cache import Cache
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store

WRITERS = 64
LARGE = 100_000


def run(quick: bool) -> list[Result]:
    """store.lmdb.write, store.lmdb.read, store.lmdb.read_one_of_100k, store.lmdb.get."""
    return trio.run(_run, 0.2 if quick else 0.8)


async def _run(seconds: float) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(f"lmdb:{folder}/data")
        try:
            return await _measure(Cache(store), seconds)
        finally:
            await store.close()


async def _measure(cache: Cache, seconds: float) -> list[Result]:
    numbers = count()
    writes = [await _write_rate(cache, numbers, seconds) for _ in range(ROUNDS)]
    small = await cache.write(_message(next(numbers)))
    large = await cache.write(Message.of({f"key-{n}": b"value" for n in range(LARGE)}))
    keys = (f"key-{(n * 7919) % LARGE}" for n in count())

    async def whole() -> None:
        message = await cache.read(small)
        assert isinstance(message, Message)
        await cache.load(message["nested"])

    return [
        summary("store.lmdb.write", writes, "/s", note="wall clock, durable, 64 writers"),
        await rate_async("store.lmdb.read", whole, seconds, "all keys and the nested message"),
        await rate_async(
            "store.lmdb.read_one_of_100k", lambda: cache.read_key(large, next(keys)), seconds
        ),
        await rate_async("store.lmdb.get", lambda: cache.read_key(small, "b"), seconds),
    ]


def _message(number: int) -> Message:
    return Message(a=str(number), b="value", c=number, nested={"of": number})


async def _write_rate(cache: Cache, numbers: count[int], seconds: float) -> float:
    written = 0
    begun = time.perf_counter()

    async def writer() -> None:
        nonlocal written
        while time.perf_counter() - begun < seconds:
            await cache.write(_message(next(numbers)))
            written += 1

    async with trio.open_nursery() as nursery:
        for _ in range(WRITERS):
            nursery.start_soon(writer)
    return written / (time.perf_counter() - begun)
