"""The archive of bundles: what others find in it, and what it survives."""

import os
import shutil
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.crypto.bundle import Bundle
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import Store, open_store
from hyperbeam_trio.testing.store import StoreContract
from tests.support.writers import check_batches, kill_after, start_writer


class TestBundle(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"bundle:{where}/archive")


class TestSmallBundles(StoreContract):
    async def open_store(self, where: Path) -> Store:
        return await open_store(f"bundle:{where}/archive?items=3")


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "archive"


async def filled(root: Path, values: dict[str, bytes], options: str = "") -> None:
    """An archive with these values, each written by itself."""
    store = await open_store(f"bundle:{root}{options}")
    for key, value in values.items():
        await store.put({key: value})
    await store.close()


async def reopened(root: Path, options: str = "") -> Store:
    return await open_store(f"bundle:{root}{options}")


def size_of(path: Path) -> int:
    return path.stat().st_size


def bundles(root: Path) -> list[Path]:
    return sorted(root.glob("*.bundle"))


# What others find.


async def test_what_was_closed_is_nothing_but_bundles_ready_for_upload(root):
    await filled(root, {f"k/{n}": b"%d" % n for n in range(25)}, "?items=10")
    assert [path.name for path in bundles(root)] == [f"{n:08}.bundle" for n in (1, 2, 3)]
    others = {path.name for path in root.iterdir()} - {path.name for path in bundles(root)}
    assert others == {"FORMAT", "key.json", "lock"}


async def test_every_entry_is_an_item_that_its_wallet_signed(root):
    await filled(root, {"a/key": b"value", "empty": b"", "ü": bytes(300)})
    [path] = bundles(root)
    items = list(Bundle(path.read_bytes()))
    wallet = load_wallet(root / "key.json")
    assert all(item.verify() and item.address == wallet.address for item in items)
    entries = {item.tag(b"Store-Key"): bytes(item.data) for item in items[:-1]}
    assert entries == {b"a/key": b"value", b"empty": b"", "ü".encode(): bytes(300)}
    assert items[-1].tag(b"Store-Manifest") == b"1"


async def test_a_deletion_is_an_entry_of_its_own(root):
    store = await reopened(root)
    await store.put({"a": b"1", "b": b"2"})
    await store.delete(["a", "never there"])
    await store.close()
    [path] = bundles(root)
    items = list(Bundle(path.read_bytes()))
    assert [item.tag(b"Store-Operation") for item in items] == [None, None, b"delete", None]
    store = await reopened(root)
    assert await store.list() == ["b"]
    await store.close()


async def test_a_key_of_the_users_signs(root, tmp_path):
    await filled(root, {"a": b"1"}, f"?key={tmp_path}/mine.json")
    wallet = load_wallet(tmp_path / "mine.json")
    assert Bundle(bundles(root)[0].read_bytes())[0].address == wallet.address
    assert not (root / "key.json").exists()


async def test_large_values_fill_a_bundle_too(root):
    await filled(root, {f"k{n}": bytes(600_000) for n in range(4)}, "?size=1MiB")
    assert len(bundles(root)) == 2


async def test_messages_are_kept_and_proven(root):
    store = await reopened(root, "?items=2")
    cache = Cache(store)
    message = Message(n=5, nested={"deep": "value"}, big="z" * 300_000)
    id = await cache.write(message, names=["mine"])
    await store.close()
    store = await reopened(root, "?read-only=yes")
    cache = Cache(store)
    assert await cache.lookup("mine") == id
    assert await cache.load_all(Link(id)) == message
    await store.close()


# What it survives.


async def test_a_log_cut_anywhere_keeps_all_commits_before(root, tmp_path):
    store = await reopened(root)
    sizes = []
    for number in range(4):
        await store.put({f"{number}/a": b"x" * number, f"{number}/b": b"y"})
        sizes.append(size_of(root / "00000001.log"))
    cut = tmp_path / "cut"
    for size in range(0, sizes[-1] + 1, 7):
        shutil.rmtree(cut, ignore_errors=True)
        shutil.copytree(root, cut)
        os.truncate(cut / "00000001.log", size)
        whole = sum(end <= size for end in sizes)
        left = await reopened(cut)
        assert len(await left.list()) == 2 * whole
        await left.put({"more": b"1"})
        await left.close()
        left = await reopened(cut, "?read-only=yes")
        assert len(await left.list()) == 2 * whole + 1
        await left.close()
    await store.close()


async def test_a_log_that_is_damaged_before_its_end_is_not_used(root, tmp_path):
    store = await reopened(root)
    for number in range(3):
        await store.put({f"{number}": bytes(100)})
    damaged = tmp_path / "damaged"
    shutil.copytree(root, damaged)
    await store.close()
    log = damaged / "00000001.log"
    content = bytearray(log.read_bytes())
    content[50] ^= 1
    log.write_bytes(content)
    with pytest.raises(CorruptData, match="damaged at byte 0"):
        await reopened(damaged)


async def test_a_crash_between_bundle_and_log_leaves_everything_once(root, tmp_path):
    store = await reopened(root)
    await store.put({"a": b"1", "b": b"2"})
    log = tmp_path / "kept.log"
    shutil.copy(root / "00000001.log", log)
    await store.close()
    shutil.copy(log, root / "00000001.log")
    (root / "00000002.new").write_bytes(b"half a bundle")
    store = await reopened(root)
    assert await store.list() == ["a", "b"]
    await store.put({"c": b"3"})
    await store.close()
    assert not list(root.glob("*.log")) + list(root.glob("*.new"))
    store = await reopened(root)
    assert [await store.get(key) for key in ("a", "b", "c")] == [b"1", b"2", b"3"]
    await store.close()


def damage(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def place_of(path: Path, data: bytes) -> int:
    return path.read_bytes().index(data)


async def test_a_damaged_value_is_never_served(root):
    await filled(root, {"a": b"the first value", "b": b"the second value"})
    [path] = bundles(root)
    damage(path, place_of(path, b"the first value"))
    store = await reopened(root)
    with pytest.raises(CorruptData, match=r"'a'.*00000001\.bundle"):
        await store.get("a")
    assert await store.get("b") == b"the second value"
    await store.close()


async def test_without_its_manifest_a_bundle_is_read_item_by_item(root):
    await filled(root, {"a": b"the first value", "b": b"the second value"})
    [path] = bundles(root)
    damage(path, size_of(path) - 5)
    store = await reopened(root)
    assert await store.get("a") == b"the first value"
    assert await store.get("b") == b"the second value"
    assert await store.get("c") is None
    await store.close()


async def test_where_an_item_is_beyond_recognition_no_key_is_said_to_be_missing(root):
    await filled(root, {"a": b"the first value", "b": b"the second value"})
    [path] = bundles(root)
    damage(path, size_of(path) - 5)
    damage(path, place_of(path, b"the first value") - 3)
    store = await reopened(root)
    assert await store.get("b") == b"the second value"
    with pytest.raises(CorruptData, match=r"1 of 00000001\.bundle"):
        await store.get("a")
    await store.close()


@pytest.mark.parametrize("content", [b"", b"rubbish", bytes(100)])
async def test_a_bundle_that_is_none_is_damage(root, content):
    await filled(root, {"a": b"1"})
    bundles(root)[0].write_bytes(content)
    with pytest.raises(CorruptData, match=r"00000001\.bundle"):
        await reopened(root)


async def test_a_killed_writer_loses_nothing_acknowledged(root):
    acknowledged: list[str] = []
    uri = f"bundle:{root}?items=40"
    with trio.fail_after(120):
        for lines in (3, 60):
            acknowledged += await kill_after(await start_writer("batches", uri), lines)
            store = await open_store(uri)
            await check_batches(store, acknowledged)
            await store.close()


async def test_a_value_can_be_read_while_its_log_becomes_a_bundle(root):
    store = await reopened(root, "?items=5")
    value = os.urandom(1_000_000)
    await store.put({"big": value})
    found: list[bytes | None] = []

    async def read() -> None:
        for _ in range(5):
            found.append(await store.get("big"))

    async def write() -> None:
        for number in range(30):
            await store.put({f"k/{number}": b"x"})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(write)
    assert found == [value] * 5
    assert len(bundles(root)) >= 5
    await store.close()


# Who may write.


async def test_one_at_a_time_writes_and_the_next_knows_what_it_wrote(root):
    first, second = await reopened(root), await reopened(root)
    await first.put({"a": b"1"})
    with pytest.raises(StoreError, match="another process writes"):
        await second.put({"b": b"2"})
    await first.close()
    assert not await second.create("a", b"other")
    await second.put({"b": b"2"})
    assert [await second.get(key) for key in ("a", "b")] == [b"1", b"2"]
    await second.close()


async def test_read_only_changes_nothing(root):
    await filled(root, {"a": b"1"})
    before = {path.name: path.stat().st_mtime_ns for path in root.iterdir()}
    store = await reopened(root, "?read-only=yes")
    assert not store.writable
    assert await store.get("a") == b"1"
    with pytest.raises(StoreError, match="read-only"):
        await store.put({"b": b"2"})
    await store.close()
    assert {path.name: path.stat().st_mtime_ns for path in root.iterdir()} == before


async def test_the_log_is_sealed_on_demand(root):
    store = await reopened(root)
    await store.seal()
    assert bundles(root) == []
    await store.put({"a": b"1"})
    await store.seal()
    assert len(bundles(root)) == 1
    assert await store.get("a") == b"1"
    await store.close()
    assert len(bundles(root)) == 1


@pytest.mark.parametrize("options", ["?nope=1", "?items=0", "?size=much", "?key=/dev/null/x"])
async def test_bad_options_are_errors(root, options):
    with pytest.raises(ConfigError):
        await reopened(root, options)


async def test_a_directory_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="something else"):
        await open_store(f"bundle:{tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    for uri in ("bundle:", f"bundle:{tmp_path}/none?read-only=yes", f"bundle:{tmp_path}/photo.jpg"):
        with pytest.raises(ConfigError):
            await open_store(uri)
