"""The s3 store against a real service: the contract, exclusive slots, damage, and outages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import Store, open_store, open_stores
from hyperbeam_trio.testing.faults import FaultyStore
from hyperbeam_trio.testing.store import StoreContract
from tests.interop.seaweed import ACCESS_KEY, SECRET_KEY, Seaweed, running_seaweed
from tests.stores.test_faults import STEPS, Bench, try_out
from tests.stores.writer import batch
from tests.support.writers import kill_after, race_for_slots, start_writer


def bucket_of(where: Path) -> str:
    """A place in the shared service that no other test has."""
    text = "-".join(where.parts[-3:]).lower().replace("_", "-")
    return "tests/" + "".join(c for c in text if c.isalnum() or c == "-")


def raw_bucket(seaweed: Seaweed, place: str) -> Any:
    """The bucket of a store without our code between."""
    store = pytest.importorskip("obstore.store")
    name, _, prefix = place.partition("/")
    return store.S3Store(
        name,
        prefix=prefix,
        endpoint=seaweed.endpoint,
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True},
    )


class TestS3(StoreContract):
    withdraws = False

    @pytest.fixture(autouse=True)
    def _server(self, seaweed: Seaweed) -> None:
        self.seaweed = seaweed

    async def open_store(self, where: Path) -> Store:
        return await open_store(self.seaweed.uri(bucket_of(where)))

    async def _fill(self, store: Store, keys: Sequence[str]) -> None:
        async with trio.open_nursery() as nursery:
            for start in range(32):
                nursery.start_soon(store.put, dict.fromkeys(keys[start::32], b""))


class TestS3BehindLmdb(TestS3):
    async def open_store(self, where: Path) -> Store:
        return await open_stores([f"lmdb:{where}/near", self.seaweed.uri(bucket_of(where))])


@pytest.fixture
def place(tmp_path: Path) -> str:
    return bucket_of(tmp_path)


async def test_content_is_written_at_once_and_names_behind_it(seaweed: Seaweed, place: str):
    store = await open_store(seaweed.uri(place, connections=8))
    items = {f"data/{n}": b"c" * 100 for n in range(100)} | {"message/1": b"m", "alias/1": b"a"}
    await store.put(items)
    assert {key: await store.get(key) for key in await store.list()} == items
    await store.close()


async def test_objects_hold_the_bare_value(seaweed: Seaweed, place: str):
    store = await open_store(seaweed.uri(place))
    await store.put({"data/Abc": b"as it is"})
    bucket = raw_bucket(seaweed, place)
    assert bytes(bucket.get("k/data.0Abc").bytes()) == b"as it is"
    await store.close()


@pytest.mark.parametrize("harm", ["changed", "cut", "foreign", "swapped"])
async def test_damage_is_reported_and_never_served(seaweed: Seaweed, place: str, harm: str):
    store = await open_store(seaweed.uri(place))
    await store.put({"a": b"value", "b": b"other"})
    bucket = raw_bucket(seaweed, place)
    attributes = bucket.get("k/a").attributes
    if harm == "swapped":
        attributes = bucket.get("k/b").attributes
    value = {"changed": b"valuE", "cut": b"valu", "foreign": b"value", "swapped": b"other"}[harm]
    bucket.put("k/a", value, attributes={} if harm == "foreign" else attributes)
    with pytest.raises(CorruptData, match="'a'"):
        await store.get("a")
    assert await store.get("b") == b"other"
    await store.close()


async def test_an_object_of_others_is_reported(seaweed: Seaweed, place: str):
    store = await open_store(seaweed.uri(place))
    raw_bucket(seaweed, place).put("k/a.zip", b"")
    with pytest.raises(CorruptData, match="none of ours"):
        await store.list()
    await store.close()


async def test_a_repeated_create_of_one_writer_wins(seaweed: Seaweed, place: str):
    """As when the answer to the first request is lost and the client asks again."""
    store: Any = await open_store(seaweed.uri(place))
    assert store._create("slot", b"1", "writer-1")
    assert store._create("slot", b"1", "writer-1")
    assert not store._create("slot", b"1", "writer-2")
    await store.close()


async def test_processes_that_race_for_slots_win_each_once(seaweed: Seaweed, place: str):
    with trio.fail_after(120):
        await race_for_slots(seaweed.uri(place))


async def test_a_killed_writer_loses_nothing_acknowledged(seaweed: Seaweed, place: str):
    """Batches may be there in part on S3, but always their first items, and never unreported."""
    with trio.fail_after(120):
        process = await start_writer("batches", seaweed.uri(place))
        acknowledged = set(await kill_after(process, 61))
    store = await open_store(seaweed.uri(place))
    for name in {key.split("/")[1] for key in await store.list("b/")} | acknowledged:
        found = [await store.get(key) for key in batch(name)]
        whole = list(batch(name).values())
        missing = found.count(None)
        assert found[: len(found) - missing] == whole[: len(whole) - missing]
        assert not (missing and name in acknowledged)
    await store.close()


@given(steps=STEPS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_fault_loses_what_was_acknowledged(
    tmp_path_factory: pytest.TempPathFactory, seaweed: Seaweed, steps: list[Any]
):
    bench = S3Bench(tmp_path_factory.mktemp("faults"), seaweed)
    clock = trio.testing.MockClock(autojump_threshold=0.1)
    trio.run(try_out, bench, steps, clock=clock)


class S3Bench(Bench):
    def __init__(self, where: Path, seaweed: Seaweed) -> None:
        super().__init__(where, "s3")
        self.seaweed = seaweed

    async def open(self) -> Store:
        store = await open_store(self.seaweed.uri(bucket_of(self.where)))
        self.near = FaultyStore(store, delay=15)
        return self.near


async def test_an_outage_is_an_error_and_passes(tmp_path: Path, seaweed: Seaweed):
    with running_seaweed(tmp_path) as own:
        patient = await open_store(own.uri("bucket/x", retries=20, timeout=60))
        store = await open_store(own.uri("bucket/x", retries=0))
        await patient.put({"k": b"1"})
        own.kill()
        for call in (lambda: store.get("k"), lambda: store.put({"k": b"2"}), lambda: store.list()):
            with pytest.raises(StoreError, match="store s3 bucket/x at"):
                await call()
        own.start()
        assert await patient.get("k") == b"1"
        assert await store.get("k") == b"1"
        assert await store.create("slot", b"1")
        await patient.close()
        await store.close()


async def test_a_service_that_is_not_there_is_a_config_error(unused_endpoint: str):
    uri = f"s3:bucket?endpoint={unused_endpoint}&access-key=a&secret-key=b&retries=0&timeout=2"
    with pytest.raises(ConfigError, match="check=no"):
        await open_store(uri)
    store = await open_store(f"{uri}&check=no")
    with pytest.raises(StoreError):
        await store.get("k")
    await store.close()


async def test_a_wrong_secret_is_a_config_error(seaweed: Seaweed):
    uri = f"s3:bucket?endpoint={seaweed.endpoint}&access-key={ACCESS_KEY}&secret-key=wrong"
    with pytest.raises(ConfigError, match="check=no") as caught:
        await open_store(f"{uri}&retries=0")
    assert "wrong" not in str(caught.value)


async def test_a_bucket_is_needed():
    with pytest.raises(ConfigError, match="needs a bucket"):
        await open_store("s3:")


async def test_the_package_is_optional():
    script = (
        "import sys, trio\n"
        "sys.modules['obstore'] = None\n"
        "from hyperbeam_trio.errors import ConfigError\n"
        "from hyperbeam_trio.store import open_store\n"
        "try:\n"
        "    trio.run(open_store, 's3:bucket')\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    done = await trio.to_thread.run_sync(
        lambda: subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    )
    assert b"install hyperbeam-trio[s3]" in done.stdout
