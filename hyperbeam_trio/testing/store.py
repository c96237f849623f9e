"""The store contract as tests: run your own store through them.

    class TestMyStore(StoreContract):
        async def open_store(self, where: Path) -> Store:
            return await MyStore.open(str(where / "data"), {})

Each test opens its store in a fresh directory `where`; opening the same `where` again must give
the same data, unless `durable` is false. Needs pytest, pytest-trio and hypothesis.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.store import MAX_KEY_BYTES, Store
from hyperbeam_trio.testing.store_machine import run_random_operations

BAD_KEYS = ("", "/a", "a/", "a//b", "a/../b", "..", ".", "./a", "a/.", "a\0b", "k" * 401, "é" * 201)
ODD_KEYS = (
    "a", "A", "a/b", "A/b", "a-b", "a0", "a.b", ".a/..b/...", "%41", "^a", "a:b*c?", "con", "x\ny",
    "~result/Ab_-9", "é", "e\u0301", "日本/語", "𐍈", "data/" + "Q" * 43, "\\", "\x01", "a b",
    "k" * MAX_KEY_BYTES, "/".join("p" * 49 for _ in range(8)), "É" * 200, "a/" + "z" * 300,
)  # fmt: skip
SIZES = (0, 1, 300, 4097, 70_000, 5_000_000)


class StoreContract(ABC):
    """Subclass this, name the subclass `Test…`, and define `open_store`."""

    durable = True
    """Whether the store keeps its data when it is closed and opened again."""
    withdraws = True
    """Whether a cancelled change is certain not to have happened; a remote store can't promise."""

    @abstractmethod
    async def open_store(self, where: Path) -> Store:
        """Open the store that belongs to `where`, an existing directory."""

    @asynccontextmanager
    async def opened(self, where: Path) -> AsyncIterator[Store]:
        """The store of `where`, closed at the end of the block."""
        store = await self.open_store(where)
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True):
                await store.close()

    # Values.

    @pytest.mark.trio
    async def test_a_value_comes_back_as_it_went_in(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            for size in SIZES:
                value = random.Random(size).randbytes(size)
                await store.put({f"v/{size}": value})
                assert await store.get(f"v/{size}") == value
                assert await store.view(f"v/{size}", bytes) == value

    @pytest.mark.trio
    async def test_no_value_is_mistaken_for_something_else(self, tmp_path: Path) -> None:
        values = {f"{n}": v for n, v in enumerate([b"group", b"link:abc", b"\0", b"None", b"HBF1"])}
        async with self.opened(tmp_path) as store:
            await store.put(values)
            assert {key: await store.get(key) for key in values} == values

    @pytest.mark.trio
    async def test_a_missing_key_is_none(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"a/b/c": b"1"})
            for key in ("b", "a", "a/b", "a/b/c/d"):
                assert await store.get(key) is None
                assert await store.get_current(key) is None
                assert await store.view(key, bytes) is None

    @pytest.mark.trio
    async def test_a_second_put_replaces_the_first(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            for value in (b"a" * 100_000, b"short", b"", b"b" * 200_000):
                await store.put({"k": value})
                assert await store.get("k") == value
                assert await store.get_current("k") == value
                assert await store.view("k", bytes) == value

    @pytest.mark.trio
    async def test_get_nowait_gives_what_get_gives_or_would_block(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"k": b"1"})
            try:
                assert store.get_nowait("k") == await store.get("k")
                assert store.get_nowait("none") is None
            except trio.WouldBlock:
                assert await store.get("k") == b"1"

    @pytest.mark.trio
    async def test_a_view_hands_back_what_its_function_gives(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"small": b"abcdef", "large": b"abcdef" * 50_000})
            for key in ("small", "large", "large"):
                assert await store.view(key, lambda value: bytes(value[2:4])) == b"cd"
            with pytest.raises(ZeroDivisionError):
                await store.view("small", lambda value: 1 // 0)

    # Keys.

    @pytest.mark.trio
    async def test_odd_keys_are_kept_apart(self, tmp_path: Path) -> None:
        values = {key: key.encode() for key in ODD_KEYS}
        async with self.opened(tmp_path) as store:
            await store.put(values)
            assert {key: await store.get(key) for key in ODD_KEYS} == values
            assert list(await store.list()) == sorted(ODD_KEYS)

    @pytest.mark.trio
    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_bad_keys_are_refused(self, tmp_path: Path, key: str) -> None:
        async with self.opened(tmp_path) as store:
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: store.get(key),
                lambda: store.get_current(key),
                lambda: store.view(key, bytes),
                lambda: store.put({"good": b"", key: b""}),
                lambda: store.create(key, b""),
                lambda: store.delete([key]),
            ]
            for call in calls:
                with pytest.raises(ValueError, match="key"):
                    await call()
            assert list(await store.list()) == []

    # Batches.

    @pytest.mark.trio
    async def test_a_batch_is_wholly_there(self, tmp_path: Path) -> None:
        batch = {f"b/{n}": b"%d" % n for n in range(500)}
        async with self.opened(tmp_path) as store:
            await store.put({})
            await store.put(batch)
            assert {key: await store.get(key) for key in await store.list("b/")} == batch

    @pytest.mark.trio
    async def test_no_reader_sees_a_later_item_without_the_earlier(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store, trio.open_nursery() as nursery:
            done = trio.Event()

            async def write() -> None:
                for n in range(30):
                    await store.put({f"content/{n}": b"c", f"name/{n}": b"n"})
                done.set()

            nursery.start_soon(write)
            while not done.is_set():
                for name in await store.list("name/"):
                    assert await store.get(name.replace("name", "content")) == b"c"
                await trio.lowlevel.checkpoint()

    @pytest.mark.trio
    async def test_many_tasks_write_at_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            async with trio.open_nursery() as nursery:
                for n in range(100):
                    nursery.start_soon(store.put, {f"{n:03}/a": b"a", f"{n:03}/b": b"b"})
            assert len(await store.list()) == 200

    # Create.

    @pytest.mark.trio
    async def test_create_wins_once(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            assert await store.create("slot/1", b"first")
            assert not await store.create("slot/1", b"second")
            assert await store.get("slot/1") == b"first"
            await store.put({"slot/2": b"put"})
            assert not await store.create("slot/2", b"late")
            await store.delete(["slot/1"])
            assert await store.create("slot/1", b"again")

    @pytest.mark.trio
    async def test_a_race_of_creates_has_one_winner(self, tmp_path: Path) -> None:
        won: dict[str, list[bytes]] = {}

        async def race(store: Store, slot: str, value: bytes) -> None:
            if await store.create(slot, value):
                won.setdefault(slot, []).append(value)

        async with self.opened(tmp_path) as store:
            async with trio.open_nursery() as nursery:
                for n in range(96):
                    nursery.start_soon(race, store, f"slot/{n % 6}", b"%d" % n)
            assert sorted(won) == [f"slot/{n}" for n in range(6)]
            for slot, winners in won.items():
                assert [await store.get(slot)] == winners

    # Claim.

    @pytest.mark.trio
    async def test_claims_in_order_until_a_key_is_taken(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"slot/2": b"theirs"})
            ours = {f"slot/{n}": b"ours" for n in range(4)}
            assert await store.claim(ours, {"content": b"1"}) == 2
            assert [await store.get(key) for key in ours] == [b"ours", b"ours", b"theirs", None]
            assert await store.claim({"slot/0": b"late"}, {"more": b"2"}) == 0
            assert [await store.get(key) for key in ("content", "more")] == [b"1", b"2"]
            assert await store.claim({"slot/3": b"next", "slot/4": b"last"}, {}) == 2

    @pytest.mark.trio
    async def test_a_race_of_claims_leaves_no_hole(self, tmp_path: Path) -> None:
        async def race(store: Store, value: bytes) -> None:
            first = 0
            while first < 30:
                ours = {f"slot/{n:02}": value for n in range(first, first + 3)}
                first += await store.claim(ours, {f"of/{value.decode()}": value}) or 1

        async with self.opened(tmp_path) as store:
            async with trio.open_nursery() as nursery:
                for n in range(8):
                    nursery.start_soon(race, store, b"%d" % n)
            taken = list(await store.list("slot/"))
            assert taken == [f"slot/{n:02}" for n in range(len(taken))]

    # List.

    @pytest.mark.trio
    async def test_list_is_in_byte_order(self, tmp_path: Path) -> None:
        keys = ["a", "a!", "a-b", "a/", "a/b", "a/b/c", "a0", "aa", "ab/c", "b", "é", "日", "𐍈"]
        keys += [f"long-name-{n}" for n in (1, 10, 2)] + ["long-name", "long-name/x", "lo", "lo/a"]
        keys.remove("a/")
        async with self.opened(tmp_path) as store:
            await store.put(dict.fromkeys(reversed(keys), b""))
            ordered = sorted(keys, key=str.encode)
            assert list(await store.list()) == ordered
            for prefix in ("a", "a/", "ab", "lo", "long-name", "long-name-1", "zz", "é"):
                expected = [key for key in ordered if key.startswith(prefix)]
                assert list(await store.list(prefix)) == expected

    @pytest.mark.trio
    async def test_list_goes_on_behind_a_key(self, tmp_path: Path) -> None:
        keys = [f"p/{n:04}" for n in range(120)]
        async with self.opened(tmp_path) as store:
            await store.put(dict.fromkeys(keys, b"") | {"o": b"", "q": b""})
            assert list(await store.list("p/", after="p/0010", limit=3)) == keys[11:14]
            assert list(await store.list("p/", after="p/0010x", limit=1)) == keys[11:12]
            assert list(await store.list("p/", after="a")) == keys
            assert list(await store.list("p/", after="p/0119")) == []
            assert list(await store.list("p/", after="z")) == []
            assert list(await store.list(limit=0)) == []
            assert await self._all_pages(store, "p/", 7) == keys

    @staticmethod
    async def _all_pages(store: Store, prefix: str, size: int) -> list[str]:
        keys: list[str] = []
        while page := await store.list(prefix, after=keys[-1] if keys else "", limit=size):
            assert len(page) <= size
            keys += page
        return keys

    @pytest.mark.trio
    async def test_a_long_list_is_complete(self, tmp_path: Path) -> None:
        keys = [f"many/{n:06}" for n in range(6000)]
        async with self.opened(tmp_path) as store:
            await self._fill(store, keys)
            assert list(await store.list("many/")) == keys
            assert list(await store.list("many/", after=keys[4998])) == keys[4999:]

    async def _fill(self, store: Store, keys: Sequence[str]) -> None:
        """Write `keys`; a store whose batches are slow may write fewer at a time."""
        await store.put(dict.fromkeys(keys, b""))

    # Delete.

    @pytest.mark.trio
    async def test_deleted_keys_are_gone(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"a": b"1", "a/b": b"2", "c": b"3"})
            await store.delete(["a", "none", "c"])
            await store.delete([])
            assert list(await store.list()) == ["a/b"]
            assert await store.get("a") is None
            await store.put({"a": b"4"})
            assert await store.get("a") == b"4"

    # Closing and opening.

    @pytest.fixture
    def lasting(self) -> None:
        """Skips for stores without durability; from a fixture, so that the reason is reported."""
        if not self.durable:
            pytest.skip("this store promises nothing beyond its process")

    @pytest.mark.trio
    @pytest.mark.usefixtures("lasting")
    async def test_data_is_there_after_reopening(self, tmp_path: Path) -> None:
        values = {key: key.encode() * 50 for key in ODD_KEYS}
        async with self.opened(tmp_path) as store:
            await store.put(values | {"gone": b""})
            await store.create("created", b"1")
            await store.delete(["gone"])
        async with self.opened(tmp_path) as store:
            assert {key: await store.get(key) for key in ODD_KEYS} == values
            assert not await store.create("created", b"2")
            assert await store.get("gone") is None
            assert list(await store.list()) == sorted([*ODD_KEYS, "created"])

    @pytest.mark.trio
    async def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        store = await self.open_store(tmp_path)
        await store.put({"k": b"1"})
        await store.close()
        await store.close()
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.get("k"),
            lambda: store.view("k", bytes),
            lambda: store.put({"k": b"2"}),
            lambda: store.create("k", b"2"),
            lambda: store.list(),
            lambda: store.delete(["k"]),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="closed"):
                await call()

    @pytest.mark.trio
    async def test_close_finishes_what_was_begun(self, tmp_path: Path) -> None:
        acknowledged: list[str] = []
        store = await self.open_store(tmp_path)

        async def write(key: str) -> None:
            try:
                await store.put({key: b"x" * 1000})
            except StoreError:
                return
            acknowledged.append(key)

        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(write, f"k/{n}")
            await trio.testing.wait_all_tasks_blocked()
            await store.close()
        assert acknowledged
        if self.durable:
            async with self.opened(tmp_path) as store:
                assert set(acknowledged) <= set(await store.list("k/"))

    @pytest.mark.trio
    async def test_describe_is_one_line(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store:
            assert store.describe()
            assert "\n" not in store.describe()

    @pytest.mark.trio
    async def test_serve_starts_and_can_be_cancelled(self, tmp_path: Path) -> None:
        async with self.opened(tmp_path) as store, trio.open_nursery() as nursery:
            await nursery.start(store.serve)
            await store.put({"k": b"1"})
            nursery.cancel_scope.cancel()
            assert await store.get("k") == b"1"

    # Cancellation.

    @pytest.mark.trio
    @pytest.mark.parametrize("ticks", range(12))
    async def test_a_cancelled_change_is_whole_or_absent(self, tmp_path: Path, ticks: int) -> None:
        async with self.opened(tmp_path) as store:
            await store.put({"old": b"1"})
            batch = {f"new/{n}": b"x" * 100 for n in range(5)}
            put = await self._cancel_after(ticks, lambda: store.put(batch))
            created = await self._cancel_after(ticks, lambda: store.create("slot", b"1"))
            deleted = await self._cancel_after(ticks, lambda: store.delete(["old"]))
            if self.withdraws:
                assert len(await store.list("new/")) == (5 if put else 0)
                assert (await store.get("slot") is not None) == created
                assert (await store.get("old") is None) == deleted
            await store.put(batch)
            assert len(await store.list("new/")) == 5

    @pytest.mark.trio
    @pytest.mark.parametrize("ticks", range(6))
    async def test_a_cancelled_writer_harms_no_other(self, tmp_path: Path, ticks: int) -> None:
        async with self.opened(tmp_path) as store, trio.open_nursery() as nursery:
            for n in range(30):
                key = f"k/{n:02}"
                if n % 3 == 0:
                    nursery.start_soon(self._cancel_after, ticks, _putter(store, key))
                else:
                    nursery.start_soon(store.put, {key: b"1"})
        async with self._again(tmp_path, store) as store:
            present = set(await store.list("k/"))
            assert {f"k/{n:02}" for n in range(30) if n % 3} <= present

    @asynccontextmanager
    async def _again(self, where: Path, store: Store) -> AsyncIterator[Store]:
        """The reopened store; for one that keeps nothing, a store with all that is asked of it."""
        async with self.opened(where) as reopened:
            if not self.durable:
                await reopened.put({f"k/{n:02}": b"1" for n in range(30)})
            yield reopened

    @staticmethod
    async def _cancel_after(ticks: int, call: Callable[[], Awaitable[object]]) -> bool:
        """Cancel `call` after some rounds of the scheduler; whether it ended before."""
        ended = False

        async def run() -> None:
            nonlocal ended
            await call()
            ended = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            for _ in range(ticks):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        return ended

    # Everything, at random.

    @pytest.mark.trio
    async def test_random_operations_agree_with_a_dictionary(self, tmp_path: Path) -> None:
        await trio.to_thread.run_sync(run_random_operations, self, tmp_path)


def _putter(store: Store, key: str) -> Callable[[], Awaitable[object]]:
    return lambda: store.put({key: b"1"})
