"""Store entries that come back from ANS-104 bundles, each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.bundled import KEY, MANIFEST, OPERATION, import_bundle, mapped_bundle
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.crypto.bundle import Bundle, build_bundle
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store
from tests.support.dict_store import DictStore

WALLET = Ed25519Wallet(bytes([3]) * 32)


def entry(value: bytes, *, key: str | None = None, signed: bool = True) -> DataItem:
    item = DataItem.create(value, [(KEY, (key or f"data/{hash_id(value)}").encode())])
    return item.sign(WALLET) if signed else item


async def taken(store: DictStore, *items: DataItem) -> list[Damage]:
    """What is told of a bundle of `items` that is imported."""
    findings = import_bundle(Bundle(build_bundle((item.id, item) for item in items)), store)
    return [one async for one in findings if isinstance(one, Damage)]


async def test_each_bundle_of_an_archive_gives_back_what_is_in_it(
    cache: Cache, store: DictStore, tmp_path: Path
) -> None:
    for number in range(20):
        await cache.write(Message(number=number, child={"body": b"x" * 5000}))
    archive = await open_store(f"bundle:{tmp_path}/archive?items=7")
    async for _ in copy(store, archive, after="message/"):
        pass
    async for _ in copy(store, archive):
        pass
    await archive.close()
    bundles = sorted((tmp_path / "archive").glob("*.bundle"))
    assert len(bundles) > 1
    back = DictStore()
    for path in bundles:
        told = [one async for one in import_bundle(mapped_bundle(path), back)]
        assert all(isinstance(one, Progress) for one in told)
    assert back.values == store.values


async def test_an_unsigned_entry_is_left_out(store: DictStore) -> None:
    (told,) = await taken(store, entry(b"1"), entry(b"2", signed=False))
    assert told.reason == "its signature does not hold"
    assert list(store.values.values()) == [b"1"]


async def test_a_value_under_another_hash_is_left_out(store: DictStore) -> None:
    (told,) = await taken(store, entry(b"1", key=f"data/{hash_id(b'2')}"))
    assert told.reason == "its hash does not hold"
    assert store.values == {}


@pytest.mark.parametrize("key", ["elsewhere/x", "", "data/../x", "name//x"])
async def test_what_is_no_entry_is_left_out(store: DictStore, key: str) -> None:
    (told,) = await taken(store, entry(b"1", key=key or "\0"))
    assert told.key.startswith("item ")
    assert store.values == {}


async def test_deletions_delete_nothing_and_manifests_are_passed_over(store: DictStore) -> None:
    key = f"data/{hash_id(b'1')}"
    gone = DataItem.create(b"", [(KEY, key.encode()), (OPERATION, b"delete")]).sign(WALLET)
    manifest = DataItem.create(b"[]", [(MANIFEST, b"1")]).sign(WALLET)
    (told,) = await taken(store, entry(b"1"), gone, manifest)
    assert told.reason == "it is no entry of a message store"
    assert store.values == {key: b"1"}


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 100])
def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(BadRequest):
        mapped_bundle(file)
