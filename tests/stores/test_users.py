"""Who has a store open for writing, and being alone with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyperbeam_trio.errors import ConfigError, StoreError
from hyperbeam_trio.store import open_store, open_stores
from hyperbeam_trio.stores import directory_lock
from hyperbeam_trio.stores.directory_lock import USERS, Users


@pytest.fixture(params=["lmdb", "fs"])
def scheme(request: pytest.FixtureRequest) -> str:
    scheme: str = request.param
    return scheme


async def test_nobody_is_alone_while_another_process_has_the_store(
    scheme: str, tmp_path: Path
) -> None:
    store = await open_store(f"{scheme}:{tmp_path}")
    # Locks belong to open files, so a second file stands for another process.
    other = Users(tmp_path, "other")
    with pytest.raises(StoreError, match="has it open"):
        await store.be_alone()
    other.close()
    assert await store.be_alone()
    await store.close()


async def test_nobody_opens_a_store_that_somebody_is_alone_with(
    scheme: str, tmp_path: Path
) -> None:
    await (await open_store(f"{scheme}:{tmp_path}")).close()
    other = Users(tmp_path, "other")
    other.be_alone()
    with pytest.raises(ConfigError, match="collects garbage"):
        await open_store(f"{scheme}:{tmp_path}")
    await (await open_store(f"{scheme}:{tmp_path}?read-only=yes")).close()
    other.close()
    await (await open_store(f"{scheme}:{tmp_path}")).close()


async def test_a_closed_store_can_be_had_alone(scheme: str, tmp_path: Path) -> None:
    await (await open_store(f"{scheme}:{tmp_path}")).close()
    other = Users(tmp_path, "other")
    other.be_alone()
    other.close()


async def test_a_row_is_had_alone_if_all_that_it_writes_to_are(tmp_path: Path) -> None:
    row = await open_stores(["memory:", f"lmdb:{tmp_path}/near", f"fs:{tmp_path}/far"])
    assert await row.be_alone()
    await row.close()
    row = await open_stores([f"lmdb:{tmp_path}/near", f"bundle:{tmp_path}/archive"])
    assert not await row.be_alone()
    await row.close()


@pytest.mark.parametrize("scheme", ["fs", "bundle", "lmdb"])
async def test_a_store_that_is_not_there_is_said_not_to_be(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such directory|no directory|No such file"):
        await open_store(f"{scheme}:{tmp_path}/absent?read-only=yes")
    assert os.listdir(tmp_path) == []


async def test_who_can_not_be_alone_keeps_its_share(scheme: str, tmp_path: Path) -> None:
    store = await open_store(f"{scheme}:{tmp_path}")
    other = Users(tmp_path, "other")
    with pytest.raises(StoreError, match="has it open"):
        await store.be_alone()
    with pytest.raises(StoreError, match="has it open"):
        other.be_alone()
    other.close()
    await store.close()


async def test_a_lock_that_can_not_be_opened_is_the_settings_fault(
    scheme: str, tmp_path: Path
) -> None:
    await (await open_store(f"{scheme}:{tmp_path}")).close()
    (tmp_path / USERS).unlink()
    (tmp_path / USERS).mkdir()
    with pytest.raises(ConfigError, match="directory can't be used"):
        await open_store(f"{scheme}:{tmp_path}")


async def test_a_store_that_was_not_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    await (await open_store(f"fs:{tmp_path}")).close()
    other = Users(tmp_path, "other")
    other.be_alone()
    with pytest.raises(ConfigError, match="collects garbage"):
        await open_store(f"fs:{tmp_path}")
    assert os.listdir(tmp_path / "stage") == []
    other.close()


async def test_who_opens_a_store_for_ever_keeps_nobody_waiting_for_ever(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_lock, "WAIT_SECONDS", 0.0)
    async with directory_lock.locked_directory(tmp_path):
        with pytest.raises(ConfigError, match="another process has been opening it"):
            await open_store(f"{scheme}:{tmp_path}")
    await (await open_store(f"{scheme}:{tmp_path}")).close()
