"""What is special to files: names, interrupted batches, damage, and disks that fail."""

import os
from pathlib import Path
from random import Random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import MAX_KEY_BYTES, check_key, open_store
from hyperbeam_trio.stores.fs import FsStore
from hyperbeam_trio.stores.fs_disk import Disk
from hyperbeam_trio.stores.fs_names import Names, escape, unescape
from tests.support.full_disk import put_on_full_disk
from tests.support.power_cut import CutDisk

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def files(root: Path) -> list[str]:
    """The names of all value files below a store's root."""
    found = [path for path in root.rglob("*.v") if path.is_file()]
    return sorted(str(path.relative_to(root)) for path in found)


# Names.


@given(WORDS)
def test_escaped_names_come_back_and_survive_folding(text: str):
    name = escape(text)
    assert unescape(name) == text
    assert name == name.casefold()
    assert name.isascii()
    assert "." not in name
    assert "/" not in name


@given(st.lists(WORDS, min_size=1, max_size=8).map("/".join))
def test_every_key_has_a_path_that_file_systems_take(key: str):
    try:
        check_key(key)
    except ValueError:
        return
    path = Names(Path("/root")).path(key)
    assert all(len(part) <= 255 for part in path.split("/"))


def test_long_names_lie_by_their_hash():
    names = Names(Path("/root"))
    assert names.path("short").startswith("/root/keys/")
    assert names.path("É" * (MAX_KEY_BYTES // 2)).startswith("/root/long/")


async def test_ids_are_spread_over_directories(tmp_path: Path):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"data/Qabcdefg": b"1", "data/short": b"2"})
    assert files(tmp_path / "data" / "keys") == ["data/^qa.s/^qabcdefg.v", "data/short.v"]
    await store.close()


# Damage.


@pytest.mark.parametrize("size", [10, 200_000])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "swap"])
async def test_damage_is_reported_and_never_served(tmp_path: Path, size: int, harm: str):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"bad": os.urandom(size), "other": os.urandom(size)})
    path = tmp_path / "data" / "keys" / "bad.v"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 4
    other = (path.parent / "other.v").read_bytes()
    path.write_bytes({"flip": bytes(raw), "cut": raw[:-1], "empty": b"", "swap": other}[harm])
    with pytest.raises(CorruptData, match=r"'bad'.*damaged"):
        await store.get("bad")
    with pytest.raises(CorruptData, match=r"'bad'.*damaged"):
        await store.view("bad", bytes)
    assert len(await store.get("other") or b"") == size
    await store.put({"bad": b"mended"})
    assert await store.get("bad") == b"mended"
    await store.close()


async def test_a_view_notices_a_file_that_changed_after_it_was_checked(tmp_path: Path):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"big": b"x" * 100_000})
    assert await store.view("big", len) == 100_000
    path = tmp_path / "data" / "keys" / "big.v"
    path.write_bytes(path.read_bytes()[:-1] + b"y")
    with pytest.raises(CorruptData):
        await store.view("big", len)
    await store.close()


async def test_a_long_key_that_lost_its_name_is_reported(tmp_path: Path):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"É" * 200: b"1"})
    (path,) = (tmp_path / "data" / "long").rglob("*.v")
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(CorruptData, match="lost its key"):
        await store.list()
    await store.close()


# Directories.


async def test_a_directory_that_cannot_be_used_is_a_config_error(tmp_path: Path):
    (tmp_path / "file").write_text("I am a file")
    for location in (f"{tmp_path}/file", f"{tmp_path}/file/below", "/proc/nowhere", ""):
        with pytest.raises(ConfigError, match="directory"):
            await FsStore.open(location, {})


async def test_a_directory_with_other_things_is_refused(tmp_path: Path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="something else"):
        await FsStore.open(str(tmp_path), {})
    (tmp_path / "FORMAT").write_text("hyperbeam-trio fs 99\n")
    with pytest.raises(ConfigError, match="something else"):
        await FsStore.open(str(tmp_path), {})


async def test_a_read_only_store_takes_no_writes(tmp_path: Path):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"k": b"1"})
    await store.close()
    store = await open_store(f"fs:{tmp_path}/data?read-only=yes")
    assert await store.get("k") == b"1"
    with pytest.raises(StoreError, match="read-only"):
        await store.put({"k": b"2"})
    await store.close()
    with pytest.raises(ConfigError):
        await open_store(f"fs:{tmp_path}/none?read-only=yes")


async def test_a_closed_store_leaves_no_staging_behind(tmp_path: Path):
    store = await FsStore.open(str(tmp_path / "data"), {})
    await store.put({"a": b"1", "b": b"2"})
    await store.create("a", b"late")
    await store.close()
    assert list((tmp_path / "data" / "stage").iterdir()) == []


async def test_two_handles_share_a_directory(tmp_path: Path):
    one = await FsStore.open(str(tmp_path / "data"), {})
    two = await FsStore.open(str(tmp_path / "data"), {"sync": "no"})
    await one.put({"k": b"1", "l": b"1"})
    assert await two.get("k") == b"1"
    assert not await two.create("k", b"2")
    await two.put({"k": b"2", "l": b"2"})
    await two.close()
    assert await one.get("l") == b"2"
    await one.close()


# Disks that fail.


class FailingDisk(Disk):
    """Fails an operation by its name, once it was armed."""

    def __init__(self) -> None:
        self.failing = ""

    def _check(self, name: str) -> None:
        if self.failing == name:
            raise OSError(5, "Input/output error")

    def write(self, path: str, parts: object) -> None:
        self._check("write")
        super().write(path, parts)  # type: ignore[arg-type]  # as it came

    def rename(self, source: str, target: str) -> None:
        self._check("rename")
        super().rename(source, target)

    def sync_directory(self, path: str) -> None:
        self._check("sync_directory")
        super().sync_directory(path)


@pytest.mark.parametrize("operation", ["write", "rename", "sync_directory"])
async def test_a_failing_disk_is_reported_and_batches_stay_whole(tmp_path: Path, operation: str):
    disk = FailingDisk()
    store = await FsStore.open_on(disk, str(tmp_path / "data"))
    await store.put({"a": b"old", "b": b"old"})
    disk.failing = operation
    for items in ({"a": b"new", "b": b"new"}, {"c": b"new"}):
        with pytest.raises(StoreError, match="Input/output error"):
            await store.put(items)
    disk.failing = ""
    await store.put({"d": b"1"})
    assert await store.get("a") == await store.get("b")
    assert await store.get("d") == b"1"
    await store.close()


async def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path: Path):
    told = await put_on_full_disk(f"fs:{tmp_path}/data", {"k": b"1"}, {"k": 1, "big": 1_000_000})
    assert "the disk is full" in told
    store = await FsStore.open(str(tmp_path / "data"), {})
    assert await store.list() == ["after", "k"]
    assert await store.get("k") == b"1"
    await store.close()


# Power cuts.

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["put", "create", "delete"]),
        st.lists(st.sampled_from(["a", "b", "c/d", "c/e", "long-name-1"]), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


class Account:
    """What a store may hold after a power cut: by key, the values that would be right.

    `None` is absence. `doubtful` are batches that were under way: each is there wholly or not.
    """

    def __init__(self) -> None:
        self.sure: dict[str, bytes | None] = {}
        self.doubtful: dict[str, bytes | None] | None = None

    async def change(self, store: FsStore, kind: str, keys: list[str], value: bytes) -> None:
        after: dict[str, bytes | None] = dict.fromkeys(keys, None if kind == "delete" else value)
        if kind == "create":
            after = {} if self.sure.get(keys[0]) is not None else {keys[0]: value}
        self.doubtful = {**self.sure, **after}
        if kind == "put":
            await store.put(dict.fromkeys(keys, value))
        elif kind == "create":
            assert await store.create(keys[0], value) == bool(after)
        else:
            await store.delete(keys)
        self.sure, self.doubtful = self.doubtful, None


@given(CHANGES, st.integers(1, 150), st.integers(0, 1 << 30))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_power_cut_loses_nothing_acknowledged(tmp_path_factory, changes, cut_at, seed):
    trio.run(cut_and_recover, tmp_path_factory.mktemp("cut"), changes, cut_at, seed)


async def cut_and_recover(
    place: Path, changes: list[tuple[str, list[str]]], cut_at: int, seed: int
) -> None:
    account = Account()
    kind = ""
    disk = CutDisk(place / "before", cut_at)
    try:
        store = await FsStore.open_on(disk, str(place / "before"))
        for number, (kind, keys) in enumerate(changes):
            await account.change(store, kind, list(dict.fromkeys(keys)), b"%d" % number)
        await store.close()
    except (StoreError, ConfigError):
        assert disk.is_cut
    disk.survivors(place / "after", Random(seed))
    await check_account(place / "after", account, kind)


async def check_account(place: Path, account: Account, last: str) -> None:
    store = await FsStore.open(str(place), {})
    keys = set(account.sure) | set(account.doubtful or {}) | set(await store.list())
    found = {key: await store.get(key) for key in keys}
    sure = {key: account.sure.get(key) for key in keys}
    doubtful = sure if account.doubtful is None else account.doubtful
    if last == "delete":
        # Deletions need not be atomic: each key is in the one state or the other.
        assert all(value in (sure[key], doubtful.get(key)) for key, value in found.items())
    else:
        assert found in (sure, {key: doubtful.get(key) for key in keys})
    await store.put({"still": b"works"})
    await store.close()


async def test_the_power_cut_really_loses_what_was_not_synced(tmp_path: Path):
    disk = CutDisk(tmp_path / "before", 1000)
    (tmp_path / "before").mkdir()
    disk.write(str(tmp_path / "before" / "synced"), [b"1"])
    disk.sync_directory(str(tmp_path / "before"))
    disk.write(str(tmp_path / "before" / "named later"), [b"1"])
    outcomes = set()
    for seed in range(20):
        disk.survivors(tmp_path / f"{seed}", Random(seed))
        outcomes.add(tuple(sorted(os.listdir(tmp_path / f"{seed}"))))
    assert outcomes == {("synced",), ("named later", "synced")}
