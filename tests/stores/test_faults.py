"""Whatever fails on the way: what was acknowledged is there, and nothing wrong is ever read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperbeam_trio.errors import CorruptData, HyperbeamError, StoreError
from hyperbeam_trio.store import Store, open_store
from hyperbeam_trio.stores.memory import MemoryStore
from hyperbeam_trio.stores.tier import Tier
from hyperbeam_trio.stores.tiered import TieredStore
from hyperbeam_trio.testing.faults import FAULTS, Fault, FaultyStore

KEYS = ("a", "b", "c/d", "c/e")
OPERATIONS = ("put", "create", "delete", "get", "view", "list")
LOUD = tuple(fault for fault in FAULTS if fault != "short")
"""A read that is cut silently can only be found by a hash, hence by the cache."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(OPERATIONS),
        st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
        st.lists(st.sampled_from([None, None, *LOUD]), max_size=3),
        st.lists(st.sampled_from([None, None, *LOUD]), max_size=3),
    ),
    min_size=8,
    max_size=30,
)


class Possible:
    """By key, the values that are right: one when acknowledged, several after an error."""

    def __init__(self) -> None:
        self.values: dict[str, set[bytes | None]] = {key: {None} for key in KEYS}

    async def step(self, store: Store, operation: str, keys: Sequence[str], value: bytes) -> None:
        try:
            await getattr(self, operation)(store, keys, value)
        except (StoreError, CorruptData):
            self._doubt(operation, keys, value)

    def _doubt(self, operation: str, keys: Sequence[str], value: bytes) -> None:
        """The change may have happened, to any of its keys."""
        for key in keys[:1] if operation == "create" else keys:
            if operation == "put" or (operation == "create" and None in self.values[key]):
                self.values[key] |= {value}
            if operation == "delete":
                self.values[key] |= {None}

    async def put(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        await store.put(dict.fromkeys(keys, value))
        self.values |= {key: {value} for key in keys}

    async def create(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        if await store.create(keys[0], value):
            assert None in self.values[keys[0]]
            self.values[keys[0]] = {value}
        else:
            assert self.values[keys[0]] != {None}

    async def delete(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        await store.delete(keys)
        self.values |= {key: {None} for key in keys}

    async def get(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        for key in keys:
            assert await store.get(key) in self.values[key]
            assert await store.get_current(key) in self.values[key]

    async def view(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        for key in keys:
            assert await store.view(key, bytes) in self.values[key]

    async def list(self, store: Store, keys: Sequence[str], value: bytes) -> None:
        found = await store.list()
        for key in KEYS:
            assert self.values[key] != {None} if key in found else None in self.values[key]

    async def check(self, store: Store) -> None:
        """Everything, when nothing fails any more."""
        await self.get(store, KEYS, b"")
        found = {key for key in KEYS if await store.get(key) is not None}
        assert set(await store.list()) == found


class Bench:
    """A store to be tried: its faulty parts, and how it is opened again."""

    def __init__(self, where: Path, kind: str) -> None:
        self.where = where
        self.kind = kind
        self.far = FaultyStore(MemoryStore(), scope="remote", delay=15)
        self.near: FaultyStore

    async def open(self) -> Store:
        scheme = "fs" if self.kind == "fs" else "lmdb"
        self.near = FaultyStore(await open_store(f"{scheme}:{self.where}/data"), delay=15)
        rows: dict[str, Callable[[], Store]] = {
            "through": lambda: TieredStore([Tier(self.near), Tier(self.far)]),
            "back": lambda: TieredStore([Tier(self.near), Tier(self.far, back=True)]),
            "remote first": lambda: TieredStore([Tier(self.far), Tier(self.near)]),
        }
        return rows.get(self.kind, lambda: self.near)()

    def meet(self, near: Sequence[Fault | None], far: Sequence[Fault | None]) -> None:
        for store, faults in ((self.near, near), (self.far, far)):
            store.faults.clear()
            store.faults.extend(faults)


@pytest.mark.parametrize("kind", ["lmdb", "fs", "through", "back", "remote first"])
@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_fault_loses_what_was_acknowledged(tmp_path_factory, kind: str, steps: list):
    bench = Bench(tmp_path_factory.mktemp("faults"), kind)
    # Time runs by itself as soon as nothing happens, threads included.
    clock = trio.testing.MockClock(autojump_threshold=0.02)
    trio.run(try_out, bench, steps, clock=clock)


async def try_out(bench: Bench, steps: list) -> None:
    possible = Possible()
    store = await bench.open()
    for number, (operation, keys, near, far) in enumerate(steps):
        bench.meet(near, far)
        await possible.step(store, operation, keys, b"%d" % number)
    bench.meet((), ())
    # Long enough for every breaker to close again.
    await trio.sleep(200)
    await possible.check(store)
    await bench.near.close()
    store = await bench.open()
    await possible.check(store)
    if bench.kind == "back":
        await check_written_back(store, bench, possible)
    await bench.near.close()


async def check_written_back(store: Store, bench: Bench, possible: Possible) -> None:
    assert isinstance(store, TieredStore)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        await store.flush()
        nursery.cancel_scope.cancel()
    for key in KEYS:
        assert await bench.far.get(key) in possible.values[key]


async def test_every_fault_does_what_it_says(autojump_clock):
    inner = MemoryStore()
    store = FaultyStore(inner)
    expected: dict[Fault, tuple[type[HyperbeamError] | None, list[str]]] = {
        "refuse": (StoreError, []),
        "lose-answer": (StoreError, ["a", "b"]),
        "torn": (StoreError, ["a"]),
        "full": (StoreError, []),
        "delay": (None, ["a", "b"]),
    }
    for fault, (error, written) in expected.items():
        store.faults.append(fault)
        try:
            await store.put({"a": b"12", "b": b"34"})
            assert error is None
        except StoreError:
            assert error is StoreError
        assert await inner.list() == written
        await inner.delete(["a", "b"])
    await inner.put({"a": b"1234"})
    store.faults += ["short", "corrupt", "refuse"]
    assert await store.get("a") == b"12"
    with pytest.raises(CorruptData):
        await store.get("a")
    with pytest.raises(StoreError):
        await store.list()
