"""Processes of their own that write to a store, to be killed and to race."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import trio

from hyperbeam_trio.store import Store, open_store
from tests.stores.writer import ITEMS, SLOTS, batch

ROOT = Path(__file__).parents[2]


async def start_writer(*arguments: str) -> trio.Process:
    """A process that runs `tests.stores.writer`."""
    return await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.stores.writer", *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


async def kill_after(process: trio.Process, lines: int) -> list[str]:
    """Everything that a writer printed before it was killed, at least `lines` lines."""
    output = b""
    assert process.stdout is not None
    async for chunk in process.stdout:
        output += chunk
        if output.count(b"\n") >= lines:
            process.kill()
    await process.wait()
    return output.decode().split("\n")[:-1]


async def check_batches(store: Store, acknowledged: list[str]) -> None:
    """All that was acknowledged is there, and no batch is there in part."""
    keys = await store.list("b/")
    names = {key.split("/")[1] for key in keys}
    assert len(acknowledged) > 0
    assert set(acknowledged) <= names
    assert len(keys) == ITEMS * len(names)
    for name in names:
        for key, value in batch(name).items():
            assert await store.get(key) == value


async def race_for_slots(uri: str) -> None:
    """Three writers take slots of a store; each slot is won once, and is there."""
    won: dict[str, str] = {}

    async def race(name: str) -> None:
        process = await start_writer("slots", uri, name)
        for slot in await kill_after(process, SLOTS + 1):
            assert slot not in won
            won[slot] = name

    async with trio.open_nursery() as nursery:
        for name in ("one", "two", "three"):
            nursery.start_soon(race, name)
    store = await open_store(uri)
    assert len(won) == SLOTS
    for slot, name in won.items():
        assert await store.get(f"slot/{slot}") == name.encode()
    await store.close()
