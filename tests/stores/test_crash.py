"""Real processes: killed in the middle of writing, and racing for the same slots."""

from pathlib import Path

import pytest
import trio

from hyperbeam_trio.store import open_store
from tests.stores.writer import batch
from tests.support.writers import check_batches, kill_after, race_for_slots, start_writer

URIS = ("lmdb:{}/data", "lmdb:{}/data?map-size=64KiB", "fs:{}/data")


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
    with trio.fail_after(120):
        await race_for_slots(uri.format(tmp_path))
