"""What a name, a result or a root leads to stays; the rest goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial

import pytest
import trio
import trio.testing

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.codec.ids import fresh_id, message_id, signed_id
from hyperbeam_trio.errors import BadRequest, CorruptData, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore, RemoteDictStore
from tests.support.filled import collect, committed, fill, flip, report, sign, swept_keys

LARGE = b"x" * 5000


async def test_nothing_goes_that_something_leads_to(cache: Cache, store: DictStore) -> None:
    await fill(store)
    before = dict(store.values)
    assert swept_keys(await collect(Collector(cache))) == set()
    assert store.values == before


async def test_what_nothing_leads_to_goes(cache: Cache, store: DictStore) -> None:
    await fill(store)
    before = dict(store.values)
    await cache.write(await sign(Message(garbage={"deep": LARGE + b"!"})))
    assert len(store.values) > len(before)
    found = await collect(Collector(cache))
    assert store.values == before
    assert sum(swept.size for swept in found) > 5000


async def test_a_dry_run_only_says_what_would_go(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(garbage=1))
    assert swept_keys(await collect(Collector(cache), dry_run=True)) == {f"message/{id}"}
    assert await cache.exists(id)


async def test_roots_stay_with_all_that_is_below_them(cache: Cache, store: DictStore) -> None:
    child = await sign(Message(body=LARGE, n=[1, 2]))
    id = await cache.write(Message(child=child))
    binary, other = await cache.write(LARGE + b"2"), await cache.write(LARGE + b"3")
    await collect(Collector(cache, [id, binary]))
    loaded = await cache.load_all(Link(id))
    assert loaded == Message(child=child)
    assert isinstance(loaded, Message)
    kept = loaded.message("child")
    assert isinstance(kept, Message)
    assert kept.commitments == child.commitments
    assert await cache.read(binary) == LARGE + b"2"
    assert not await cache.exists(other)
    assert await report(store) == []


async def test_what_a_text_is_the_id_of_stays(cache: Cache) -> None:
    image = await cache.write(Message(body=LARGE))
    other = await cache.write(Message(body=LARGE + LARGE))
    await cache.write(Message(inner=Message(image=image)), names=["process"])
    await collect(Collector(cache))
    assert await cache.load_all(await cache.read(image)) == Message(body=LARGE)
    assert await cache.read(other) is None


async def test_evidence_of_what_stays_stays(cache: Cache, store: DictStore) -> None:
    message = Message(data=LARGE)
    item = b"head" * 2000 + LARGE
    await cache.write(message.with_commitments([committed(message, item)]), names=["name"])
    await collect(Collector(cache))
    found = await cache.read(fresh_id(message), commitments="all")
    assert isinstance(found, Message)
    (commitment,) = (await cache.load_evidence(found)).commitments.values()
    evidence = commitment.evidence
    assert evidence is not None
    assert evidence.item == item


async def test_results_can_be_let_go(cache: Cache, store: DictStore) -> None:
    await cache.write_result("key", Message(result=1))
    await cache.write(Message(named=1), names=["name"])
    await collect(Collector(cache, results=False))
    assert await cache.read_result("key") is None
    assert await cache.names() == ["name"]
    assert not await cache.exists(fresh_id(Message(result=1)))
    assert await cache.exists(fresh_id(Message(named=1)))


async def test_what_is_written_meanwhile_stays(cache: Cache, store: DictStore) -> None:
    old = await cache.write(Message(old={"deep": LARGE}))
    gone = await cache.write(Message(gone=1))
    fresh = await sign(Message(fresh=1, uncommitted=2), *())
    fresh = Message(dict(fresh) | {"more": 3}).with_commitments(fresh.commitments.values())
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        await cache.link("late", old)
        fresh_key = await cache.write(fresh)
        await cache.write_result("late", Message(result=1))
        _ = [swept async for swept in collector.sweep()]
    assert await cache.load_all(Link(old)) == Message(old={"deep": LARGE})
    assert await cache.read(fresh_key) == fresh
    assert await cache.read(signed_id(fresh)) == Message(fresh=1, uncommitted=2)
    assert await cache.read_result("late") is not None
    assert not await cache.exists(gone)
    assert await report(store) == []


async def test_what_was_swept_is_written_again(cache: Cache) -> None:
    signed = await sign(Message(body=LARGE))
    id = await cache.write(signed)
    assert await cache.exists(signed_id(signed))
    await collect(Collector(cache))
    assert not await cache.exists(signed_id(signed))
    assert await cache.write(signed) == id
    assert await cache.load_all(Link(signed_id(signed))) == Message(body=LARGE)


async def test_a_sweep_may_stop_anywhere_and_go_on(cache: Cache, store: DictStore) -> None:
    await fill(store)
    before = dict(store.values)
    await cache.write_many([Message(garbage={"number": n, "body": LARGE}) for n in range(900)])
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        async with aclosing(collector.sweep()) as sweep:
            async for swept in sweep:
                if swept.keys:
                    break
    assert len(store.values) > len(before)
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        _ = [found async for found in collector.sweep(after=swept.cursor)]
    assert before.items() <= store.values.items()
    await collect(Collector(cache))
    assert store.values == before


async def test_what_is_half_swept_is_written_whole_again(cache: Cache, store: DictStore) -> None:
    values = [Message(garbage={"number": number}) for number in range(900)]
    await cache.write_many(values)
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        async with aclosing(collector.sweep()) as sweep:
            async for swept in sweep:
                if swept.keys:
                    break
            ids = await cache.write_many(values)
            async for swept in sweep:
                assert not swept.keys
    assert [await cache.load_all(Link(id)) for id in ids] == values


async def test_damage_on_the_way_stops_the_marking(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(child={"a": 1}), names=["name"])
    before = dict(store.values)
    for key in (f"message/{id}", "name/name"):
        store.values = dict(before)
        flip(store, key)
        with pytest.raises(CorruptData):
            await collect(Collector(cache))
        assert store.values.keys() == before.keys()


async def test_a_damaged_alias_is_left_to_be_reported(cache: Cache, store: DictStore) -> None:
    signed = await sign(Message(a=1))
    await cache.write(signed, names=["name"])
    flip(store, f"alias/{signed_id(signed)}")
    await collect(Collector(cache))
    assert f"alias/{signed_id(signed)}" in store.values


async def test_a_sweep_without_marks_is_refused(cache: Cache) -> None:
    with Collector(cache) as collector:
        with pytest.raises(BadRequest, match="Mark"):
            _ = [swept async for swept in collector.sweep()]
        with pytest.raises(BadRequest, match="already"), Collector(cache):
            pass


async def test_remote_stores_are_collected_too(autojump_clock: object) -> None:
    store = RemoteDictStore()
    cache = Cache(store)
    await cache.write(Message(kept=[1]), names=["name"])
    garbage = await cache.write(Message(garbage=1))
    assert swept_keys(await collect(Collector(cache))) == {f"message/{garbage}"}
    assert await cache.load_all(Link(message_id([1]))) == [1]


class SlowStore(DictStore):
    """Begins a write, and does it when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let = trio.Event(), trio.Event()

    async def put(self, items: Mapping[str, bytes]) -> None:
        self.begun.set()
        await self.let.wait()
        await super().put(items)


class AwaitingStore(SlowStore):
    """Lists what it holds once a write has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.listed = trio.Event()

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        self.listed.set()
        await self.begun.wait()
        return await super().list(prefix, after=after, limit=limit)


async def test_what_is_being_written_while_all_is_marked_stays() -> None:
    store = AwaitingStore()
    cache = Cache(store)

    async def write() -> None:
        await store.listed.wait()
        await cache.write(Message(fresh={"deep": LARGE}))

    with Collector(cache) as collector:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            _ = [progress async for progress in collector.mark()]
            store.let.set()
        _ = [swept async for swept in collector.sweep()]
    assert await cache.load_all(Link(fresh_id(Message(fresh={"deep": LARGE})))) is not None
    assert await cache.exists(fresh_id(Message(deep=LARGE)))


async def test_what_was_being_written_before_stays_if_it_is_named() -> None:
    store = SlowStore()
    cache = Cache(store)
    name = partial(cache.write, Message(fresh=1), names=["late"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(name)
        await store.begun.wait()
        with Collector(cache) as collector:
            nursery.start_soon(_let_when_idle, store)
            _ = [progress async for progress in collector.mark()]
            _ = [swept async for swept in collector.sweep()]
    assert await cache.exists(fresh_id(Message(fresh=1)))


async def _let_when_idle(store: SlowStore) -> None:
    await trio.testing.wait_all_tasks_blocked()
    store.let.set()


class Deleting(DictStore):
    """Says when something is about to be deleted, and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = trio.Event(), trio.Event()

    async def delete(self, keys: Sequence[str]) -> None:
        self.begun.set()
        await self.go_on.wait()
        await super().delete(keys)


async def test_no_name_is_given_to_what_is_being_deleted() -> None:
    store = Deleting()
    cache = Cache(store)
    id = await cache.write(Message(garbage=1))
    refused = trio.Event()

    async def link() -> None:
        with pytest.raises(NecessaryMessageNotFound):
            await cache.link("name", id)
        refused.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, Collector(cache))
        await store.begun.wait()
        nursery.start_soon(link)
        await trio.testing.wait_all_tasks_blocked()
        store.go_on.set()
    assert refused.is_set()
    assert await cache.names() == []


async def test_no_name_is_given_to_an_id_that_was_read_a_moment_before_it_was_deleted() -> None:
    store = Deleting()
    cache = Cache(store)
    signed = await sign(Message(garbage=1))
    await cache.write(signed)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            await store.begun.wait()
            assert await cache.exists(signed_id(signed))
            store.go_on.set()

        nursery.start_soon(read)
        with Collector(cache) as collector:
            _ = [progress async for progress in collector.mark()]
            async with aclosing(collector.sweep()) as sweep:
                # The alias of the signed id goes before the message itself.
                assert (await anext(sweep)).keys == [f"alias/{signed_id(signed)}"]
                with pytest.raises(NecessaryMessageNotFound):
                    await cache.link("name", signed_id(signed))
    assert await cache.names() == []


async def test_a_name_that_was_given_before_a_sweep_goes_on_keeps_its_message() -> None:
    store = Deleting()
    cache = Cache(store)
    kept = await cache.write(Message(kept={"deep": LARGE}))
    with Collector(cache) as collector:
        _ = [progress async for progress in collector.mark()]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cache.link, "name", kept)
            await trio.testing.wait_all_tasks_blocked()
        store.go_on.set()
        _ = [swept async for swept in collector.sweep()]
    assert await cache.load_all(Link(kept)) == Message(kept={"deep": LARGE})
