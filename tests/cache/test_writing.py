"""What a write leaves in the store, and what it never does."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.staging import HASH_INLINE_BYTES, entries
from hyperbeam_trio.codec.ids import fresh_id, message_id
from hyperbeam_trio.errors import BadRequest, NecessaryMessageNotFound, StoreError
from hyperbeam_trio.message import As, Atom, Link, Message, Resolve, same
from tests.support.dict_store import DictStore

LARGE = b"x" * 5000


async def test_a_message_with_all_that_is_in_it_is_one_batch(
    cache: Cache, store: DictStore
) -> None:
    id = await cache.write(Message(a={"b": [1]}, body=LARGE))
    assert store.puts == 1
    assert list(store.values)[-1] == f"message/{id}"
    assert {key.partition("/")[0] for key in store.values} == {"data", "message"}


async def test_what_is_known_to_be_stored_is_not_written_again(
    cache: Cache, store: DictStore
) -> None:
    module = Message(body=LARGE)
    await cache.write(Message(module=module, slot=1))
    before = set(store.values)
    id = await cache.write(Message(module=module, slot=2))
    assert set(store.values) - before == {f"message/{id}"}
    await cache.write(Message(module={"body": LARGE}, slot=2))
    assert store.puts == 2


async def test_several_values_share_a_batch(cache: Cache, store: DictStore) -> None:
    values = [Message(a=1), b"binary", [1, 2]]
    assert await cache.write_many(values) == [message_id(value) for value in values]
    assert store.puts == 1
    assert await cache.write_many([]) == []


async def test_private_and_regenerated_keys_are_never_written(
    cache: Cache, store: DictStore
) -> None:
    secret = Message.of(
        {
            "a": b"1",
            "private": b"SECRET",
            "priv_x": Message(b="SECRET"),
            "nested": Message({"c": "2", "priv": "SECRET"}).with_private(live="SECRET"),
            "content-digest": b"SECRET",
            "unsigned_id": b"SECRET",
            "signature": b"SECRET",
        }
    )
    id = await cache.write(secret.with_private(live=object()).with_hashpath("SECRET"))
    assert not any(b"SECRET" in value for value in store.values.values())
    assert id == fresh_id(Message(a="1", nested={"c": "2"}))
    assert await cache.load_all(Link(id)) == Message(a="1", nested={"c": "2"})


async def test_links_stay_links(cache: Cache) -> None:
    away = Link("B" * 43)
    id = await cache.write(Message(away=away))
    assert await cache.read_key(id, "away") == away
    assert id == fresh_id(Message(away=away))


async def test_an_unloaded_binary_is_written_as_the_link_it_is(
    cache: Cache, store: DictStore
) -> None:
    read = await cache.read(await cache.write(Message(body=LARGE)))
    assert isinstance(read, Message)
    changed = read.set(slot=2)
    id = await cache.write(Message(nested=changed, all=[read["body"]]))
    whole = Message(nested=Message(body=LARGE, slot=2), all=[LARGE])
    assert id == fresh_id(whole)
    assert await cache.load_all(Link(id)) == whole


async def test_an_unloaded_binary_that_is_gone_is_an_error(cache: Cache) -> None:
    gone = Link(message_id(LARGE), "binary", len(LARGE))
    with pytest.raises(NecessaryMessageNotFound):
        await cache.write(Message(body=gone))


async def test_binaries_too_large_for_the_loop_are_hashed_elsewhere(cache: Cache) -> None:
    huge = [bytes([number]) * (HASH_INLINE_BYTES + 1) for number in range(3)]
    message = Message(one=huge[0], nested={"two": huge[1]}, list=[huge[2], huge[0]])
    id = await cache.write(message)
    assert await cache.load_all(Link(id)) == message
    assert message_id(huge[2]) == await cache.write(huge[2])


async def test_sequences_to_resolve_are_part_of_their_message(cache: Cache) -> None:
    step = Message(path="inner")
    message = Message.of({"value": Resolve((b"start", step, Resolve((b"x", [1]))))})
    id = await cache.write(message)
    assert id == fresh_id(message)
    stored = Resolve((b"start", Link(fresh_id(step)), Resolve((b"x", Link(message_id([1]))))))
    assert await cache.read_key(id, "value") == stored
    assert await cache.load(Link(fresh_id(step))) == step


async def test_spelled_out_types_and_links_are_read_as_what_they_mean(cache: Cache) -> None:
    spelled = Message(
        {"n": "7", "ao-types": 'n="integer"', "child+link": "C" * 43, "own": {"a": 1}, "b": LARGE}
    )
    usual = Message.of(
        {"n": 7, "child": Link("C" * 43), "own": Message(a=1), "b": LARGE},
    )
    assert await cache.write(spelled) == fresh_id(usual)
    found = await cache.read(fresh_id(usual))
    assert isinstance(found, Message)
    assert found["n"] == 7
    assert found["child"] == Link("C" * 43)
    assert await cache.load(found["own"]) == Message(a=1)
    assert await cache.load(found["b"]) == LARGE


async def test_a_spelled_out_list_is_read_as_a_list(cache: Cache) -> None:
    spelled = Message({"1": "7", "2": "x", "ao-types": '.="list", 1="integer"'})
    id = await cache.write(Message(items=spelled))
    assert id == fresh_id(Message(items=[7, "x"]))
    assert await cache.load_all(Link(id)) == Message(items=[7, "x"])


async def test_atoms_that_name_booleans_are_booleans(cache: Cache) -> None:
    id = await cache.write(Message.of({"yes": Atom("true")}))
    assert id == fresh_id(Message(yes=True))
    assert same(await cache.read(id), Message(yes=True))


@pytest.mark.parametrize(
    "value", [7, None, Link("A" * 43), Message.of({"as": As(b"d", Message())})]
)
async def test_what_can_not_be_stored_is_refused(
    cache: Cache, store: DictStore, value: object
) -> None:
    with pytest.raises(BadRequest):
        await cache.write(value)  # type: ignore[arg-type]  # a wrong value is the point
    assert not store.values


async def test_names_can_be_given_in_the_same_batch(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(slot=1), names=["latest", "slot/1"])
    assert store.puts == 1
    assert await cache.lookup("latest") == await cache.lookup("slot/1") == id


async def test_a_failed_write_is_tried_in_full_again(cache: Cache, store: DictStore) -> None:
    message = Message(nested={"a": 1}, body=LARGE)
    store.stop_after = 1
    with pytest.raises(StoreError):
        await cache.write(message)
    store.stop_after = None
    id = await cache.write(message)
    assert await cache.load_all(Link(id)) == message


async def test_nothing_dangles_wherever_writing_stops() -> None:
    message = Message(a={"b": {"body": LARGE}}, list=[{"c": 1}, [2]], body=LARGE + b"y")
    whole = len(entries(message)[1])
    for items in range(whole + 1):
        store = DictStore()
        store.stop_after = items
        with pytest.raises(StoreError):
            await Cache(store).write(message, names=["name"])
        cache = Cache(store)
        for key in list(store.values):
            if key.startswith("message/"):
                await cache.load_all(Link(key.removeprefix("message/")))


async def test_a_cancelled_write_leaves_nothing_half_done(store: DictStore) -> None:
    cache = Cache(store)
    with trio.CancelScope() as scope:
        scope.cancel()
        await cache.write(Message(nested={"a": 1}))
    assert not store.values
    id = await cache.write(Message(nested={"a": 1}))
    assert await cache.load_all(Link(id)) == Message(nested={"a": 1})


async def test_writers_of_one_message_do_not_disturb_each_other(cache: Cache) -> None:
    message = Message(nested={"a": 1}, body=LARGE)
    ids = []

    async def write() -> None:
        ids.append(await cache.write(Message(dict(message))))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(write)
    assert ids == [fresh_id(message)] * 10


async def test_writes_wait_while_they_are_held_back(cache: Cache, store: DictStore) -> None:
    async with trio.open_nursery() as nursery, cache.pause.hold():
        nursery.start_soon(cache.write, b"late")
        await wait_all_tasks_blocked()
        assert not store.values
    assert store.values


def test_entries_say_what_a_store_has_to_hold() -> None:
    message = Message(nested={"a": 1}, body=LARGE, huge=b"h" * (HASH_INLINE_BYTES + 1))
    id, held = entries(message)
    assert id == fresh_id(message)
    assert [key.partition("/")[0] for key in held] == ["message", "data", "data", "message"]
    with pytest.raises(BadRequest, match="Load the binaries"):
        entries(Message(body=Link(message_id(LARGE), "binary", 5000)))


async def test_a_name_may_stand_for_nothing_again(cache: Cache, store: DictStore) -> None:
    id = await cache.write(Message(a=1), names=["one", "other"])
    await cache.unlink("one")
    assert await cache.lookup("one") is None
    assert await cache.names() == ["other"]
    assert await cache.read(id) == Message(a=1)
    await cache.link("one", id)
    assert await cache.lookup("one") == id
    await cache.unlink("other", "one", "nobody's")
    assert await cache.names() == []
