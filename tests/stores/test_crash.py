"""Real processes: killed in the middle of writing, and racing for the same slots."""

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.store import Store, open_store
from tests.stores.writer import ITEMS, SLOTS, batch

ROOT = Path(__file__).parents[2]
URIS = ("lmdb:{}/data", "lmdb:{}/data?map-size=64KiB", "fs:{}/data")


async def start_writer(*arguments: str) -> trio.Process:
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


@pytest.mark.parametrize("uri", URIS)
async def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, uri: str) -> None:
    acknowledged = []
    with trio.fail_after(120):
        for lines in (3, 100):
            process = await start_writer("batches", uri.format(tmp_path))
            acknowledged += await kill_after(process, lines)
            store = await open_store(uri.format(tmp_path))
            await check_batches(store, acknowledged)
            await store.close()


@pytest.mark.parametrize("uri", URIS)
async def test_a_killed_writer_does_not_stop_the_others(tmp_path: Path, uri: str) -> None:
    with trio.fail_after(120):
        store = await open_store(uri.format(tmp_path))
        process = await start_writer("batches", uri.format(tmp_path))
        acknowledged = await kill_after(process, 20)
        await store.put({"mine": b"1"})
        for name in acknowledged:
            for key, value in batch(name).items():
                assert await store.get(key) == value
        await store.close()


@pytest.mark.parametrize("uri", URIS)
async def test_processes_that_race_for_slots_win_each_once(tmp_path: Path, uri: str) -> None:
    won: dict[str, str] = {}

    async def race(name: str) -> None:
        process = await start_writer("slots", uri.format(tmp_path), name)
        for slot in await kill_after(process, SLOTS + 1):
            assert slot not in won
            won[slot] = name

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for name in ("one", "two", "three"):
                nursery.start_soon(race, name)
        store = await open_store(uri.format(tmp_path))
        assert len(won) == SLOTS
        for slot, name in won.items():
            assert await store.get(f"slot/{slot}") == name.encode()
        await store.close()
