"""What is special to LMDB: sharing, growth, limits, damage, and directories that can't be used."""

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest
import trio

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import open_store
from hyperbeam_trio.stores.lmdb import LmdbStore
from tests.support.full_disk import put_on_full_disk


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "data"


async def fill(place: Path, items: dict[str, bytes]) -> None:
    store = await LmdbStore.open(str(place), {})
    await store.put(items)
    await store.close()


def damage(place: Path, needle: bytes) -> None:
    """Flip one bit inside the only occurrence of `needle` in the data file."""
    raw = bytearray((place / "data.mdb").read_bytes())
    raw[raw.index(needle) + 5] ^= 1
    (place / "data.mdb").write_bytes(raw)


async def test_one_directory_opened_twice_is_shared(place: Path):
    one = await LmdbStore.open(str(place), {})
    two = await LmdbStore.open(f"{place}/../data", {})
    await one.put({"k": b"1"})
    assert await two.get("k") == b"1"
    await one.close()
    await two.put({"k": b"2"})
    assert await two.get("k") == b"2"
    await two.close()
    three = await LmdbStore.open(str(place), {})
    assert await three.get("k") == b"2"
    await three.close()


async def test_sharing_needs_the_same_options(place: Path):
    store = await LmdbStore.open(str(place), {})
    with pytest.raises(ConfigError, match="open in this process with other options"):
        await LmdbStore.open(str(place), {"sync": "no"})
    await store.close()


async def test_another_event_loop_is_told_so(place: Path):
    store = await LmdbStore.open(str(place), {})

    async def other() -> None:
        with pytest.raises(ConfigError, match="another event loop"):
            await LmdbStore.open(str(place), {})

    await trio.to_thread.run_sync(trio.run, other)
    await store.close()


async def test_the_map_grows_up_to_its_capacity(place: Path):
    uri = f"lmdb:{place}?map-size=64KiB&capacity=1MiB"
    store = await open_store(uri)
    await store.put({"kept": b"k" * 300_000})
    with pytest.raises(StoreError, match="full; raise its option 'capacity'"):
        await store.put({"big": b"b" * 2_000_000})
    await store.put({"small": b"s"})
    assert await store.list() == ["kept", "small"]
    await store.close()


async def test_growth_by_another_process_is_followed(place: Path):
    store = await open_store(f"lmdb:{place}?map-size=64KiB")
    await store.put({"mine": b"1"})
    script = (
        "import trio\nfrom hyperbeam_trio.store import open_store\n"
        "async def main():\n"
        f"    store = await open_store('lmdb:{place}?map-size=64KiB')\n"
        "    await store.put({f'{n}': b'x' * 100_000 for n in range(20)})\n"
        "    await store.close()\n"
        "trio.run(main)\n"
    )
    await trio.run_process([sys.executable, "-c", script])
    with pytest.raises(trio.WouldBlock):
        store.get_nowait("7")
    assert await store.get("7") == b"x" * 100_000
    assert store.get_nowait("7") == b"x" * 100_000
    await trio.run_process([sys.executable, "-c", script.replace("{n}", "{n}b")])
    assert len(await store.list()) == 41
    await store.put({"more": b"1"})
    await store.close()


async def test_a_full_disk_is_reported_and_nothing_is_lost(place: Path):
    await fill(place, {"k": b"1"})
    told = await put_on_full_disk(f"lmdb:{place}", {"before": b"b"}, {"big": 1_000_000, "k": 1})
    assert "store lmdb" in told
    store = await LmdbStore.open(str(place), {})
    assert await store.list() == ["after", "before", "k"]
    assert await store.get("k") == b"1"
    await store.close()


@pytest.mark.parametrize("size", [300, 100_000])
async def test_a_flipped_bit_is_reported_and_never_served(place: Path, size: int):
    await fill(place, {"bad": b"needle" + b"x" * size, "good": b"1"})
    damage(place, b"needle")
    store = await LmdbStore.open(str(place), {})
    with pytest.raises(CorruptData, match=r"'bad'.*damaged"):
        await store.get("bad")
    with pytest.raises(CorruptData, match=r"'bad'.*damaged"):
        await store.view("bad", bytes)
    assert await store.get("good") == b"1"
    await store.put({"bad": b"mended"})
    assert await store.get("bad") == b"mended"
    await store.close()


async def test_a_record_without_checksum_is_reported(place: Path):
    await fill(place, {"k": b"1"})
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        txn.put(b"k", b"")
        txn.put(b"other", txn.get(b"k") or b"")
    store = await LmdbStore.open(str(place), {})
    for key in ("k", "other"):
        with pytest.raises(CorruptData):
            await store.get(key)
    await store.close()


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
async def test_a_cut_file_is_reported_when_opened(place: Path, share: float):
    await fill(place, {f"{n}": os.urandom(300) for n in range(2000)})
    data = place / "data.mdb"
    os.truncate(data, int(data.stat().st_size * share))
    with pytest.raises(CorruptData, match=r"data\.mdb was cut"):
        await LmdbStore.open(str(place), {})


@pytest.mark.parametrize("content", [b"garbage" * 2000, b"x", b""])
async def test_a_file_that_is_no_lmdb_is_reported(place: Path, content: bytes):
    await fill(place, {"k": b"1"})
    (place / "data.mdb").write_bytes(content)
    with pytest.raises(CorruptData, match=r"data\.mdb.*(no LMDB file|empty)"):
        await LmdbStore.open(str(place), {})


async def test_an_environment_of_another_program_is_refused(place: Path):
    await trio.Path(place).mkdir()
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        txn.put(b"theirs", b"1")
    with pytest.raises(ConfigError, match="another program"):
        await LmdbStore.open(str(place), {})


async def test_a_directory_that_cannot_be_used_is_a_config_error(tmp_path: Path):
    (tmp_path / "file").write_text("I am a file")
    for location in (f"{tmp_path}/file", f"{tmp_path}/file/below", "/proc/nowhere", ""):
        with pytest.raises(ConfigError, match="directory"):
            await LmdbStore.open(location, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_directory_without_permission_is_a_config_error(place: Path):
    await trio.Path(place).mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="may write"):
        await LmdbStore.open(str(place), {})


async def test_an_unknown_option_is_a_config_error(place: Path):
    with pytest.raises(ConfigError, match="did you mean 'capacity'"):
        await LmdbStore.open(str(place), {"capcity": "1GiB"})


async def test_a_read_only_store_takes_no_writes(place: Path):
    await fill(place, {"k": b"1"})
    store = await open_store(f"lmdb:{place}?read-only=yes")
    assert not store.writable
    assert await store.get("k") == b"1"
    with pytest.raises(StoreError, match="read-only"):
        await store.put({"k": b"2"})
    await store.close()


async def test_a_read_only_store_must_exist(place: Path):
    with pytest.raises(ConfigError):
        await open_store(f"lmdb:{place}?read-only=yes")


async def test_places_of_killed_readers_are_freed(place: Path):
    script = (
        "import os, trio\nfrom hyperbeam_trio.store import open_store\n"
        "async def main():\n"
        f"    store = await open_store('lmdb:{place}?max-readers=3')\n"
        "    await store.get('k')\n"
        "    os.kill(os.getpid(), 9)\n"
        "trio.run(main)\n"
    )
    for _ in range(6):
        await trio.to_thread.run_sync(subprocess.run, [sys.executable, "-c", script])
    store = await open_store(f"lmdb:{place}?max-readers=3")
    assert await store.get("k") is None
    await store.close()
