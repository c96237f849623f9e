"""Messages come back from a store as they went in: whole, by key, through links."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given

from hyperbeam_trio.cache import MISSING, Cache
from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.ids import fresh_id, message_id
from hyperbeam_trio.errors import NecessaryMessageNotFound, TooLarge
from hyperbeam_trio.message import Atom, Link, Message, Resolve, Value, same
from tests.cache.values import messages
from tests.support.dict_store import DictStore, RemoteDictStore

LARGE = b"x" * 5000
ABSENT = "A" * 43


async def test_a_message_is_read_by_its_id(cache: Cache) -> None:
    message = Message(device="test@1.0", slot=7, ok=True, state=Atom("done"), none=None)
    id = await cache.write(message)
    assert id == fresh_id(message)
    assert await cache.read(id) == message


async def test_nested_values_come_as_links_and_load_in_turn(cache: Cache) -> None:
    nested = Message(deep={"er": "y"})
    id = await cache.write(Message(nested=nested, steps=[1, "two"]))
    found = await cache.read(id)
    assert isinstance(found, Message)
    assert found["nested"] == Link(fresh_id(nested))
    assert await cache.load(found["steps"]) == [1, b"two"]
    assert await cache.load_all(found) == Message(nested=nested, steps=[1, "two"])


async def test_large_binaries_come_as_links_with_their_size(cache: Cache) -> None:
    id = await cache.write(Message(body=LARGE, small=b"s"))
    found = await cache.read(id)
    assert isinstance(found, Message)
    link = found["body"]
    assert link == Link(message_id(LARGE), "binary", 5000)
    assert await cache.load(link) == LARGE
    assert await cache.load_binaries(found) == Message(body=LARGE, small=b"s")


async def test_a_message_that_was_read_knows_its_id(cache: Cache) -> None:
    id = await cache.write(Message(body=LARGE, nested={"a": 1}))
    found = await cache.read(id)
    assert isinstance(found, Message)
    assert fresh_id(found) == id
    assert fresh_id(await cache.load_binaries(found)) == id


async def test_binaries_and_lists_are_values_of_their_own(cache: Cache) -> None:
    for value in (b"small", LARGE, [1, 2, [3]], [], Message()):
        id = await cache.write(value)
        assert id == message_id(value)
        assert await cache.load_all(await cache.read(id)) == value


async def test_what_is_not_stored_is_none(cache: Cache) -> None:
    for id in (ABSENT, "", "short", "../" * 14 + "x", "\0" * 43):
        assert await cache.read(id) is None
        assert await cache.keys(id) is None
        assert await cache.read_key(id, "key") is MISSING
        assert not await cache.exists(id)


async def test_a_link_that_leads_nowhere_says_where(cache: Cache) -> None:
    for link in (Link(ABSENT), Link(ABSENT, "binary", 9)):
        with pytest.raises(NecessaryMessageNotFound, match=ABSENT):
            await cache.load(link)
        with pytest.raises(NecessaryMessageNotFound, match=ABSENT):
            await cache.load_all(Message.of({"a": [link]}))


async def test_one_key_is_read_alone(cache: Cache) -> None:
    id = await cache.write(Message(a="1", null=None, nested={"b": 2}, body=LARGE))
    assert await cache.read_key(id, "a") == b"1"
    assert await cache.read_key(id, "null", b"default") is None
    assert await cache.read_key(id, "absent") is MISSING
    assert await cache.read_key(id, "absent", None) is None
    assert await cache.read_key(id, "nested") == Link(fresh_id(Message(b=2)))
    assert await cache.read_key(id, "body") == Link(message_id(LARGE), "binary", 5000)


async def test_keys_and_existence_cost_no_values(cache: Cache) -> None:
    id = await cache.write(Message(b=1, a=[7, 8]))
    assert await cache.keys(id) == ["a", "b"]
    assert await cache.keys(message_id([7, 8])) == ["1", "2"]
    assert await cache.read_key(message_id([7, 8]), "2") == 8
    assert await cache.exists(id)


async def test_keys_of_large_messages_are_found_again_and_again(cache: Cache) -> None:
    large = {f"key {number}": b"%d" % number for number in range(20_000)}
    id = await cache.write(Message(large))
    for number in (0, 777, 19_999, 3):
        assert await cache.read_key(id, f"key {number}") == b"%d" % number
    assert await cache.read_key(id, "key 20000") is MISSING
    assert await cache.read(id) == Message(large)


async def test_keys_may_be_any_text_of_any_length(cache: Cache) -> None:
    odd = {"a/b": "1", "../..": "2", "k" * 10_000: "3", "é\n=": "4", "": "5"}
    id = await cache.write(Message(odd))
    assert await cache.read(id) == Message(odd)
    for key, value in odd.items():
        assert await cache.read_key(id, key) == value.encode()


@given(messages)
def test_any_message_comes_back_with_its_id(message: Message) -> None:
    async def round_trip() -> None:
        cache = Cache(DictStore())
        id = await cache.write(message)
        found = await Cache(cache.store).load_all(Link(id))
        assert same(found, message)
        assert isinstance(found, Message)
        assert fresh_id(Message.of(dict(found))) == id
        for key, value in message.items():
            assert same(await cache.load_all(await cache.read_key(id, key)), value)

    trio.run(round_trip)


async def test_equal_parts_are_read_once_and_shared(cache: Cache, store: DictStore) -> None:
    part: Value = b"leaf"
    for _ in range(60):
        part = Message.of({"left": part, "right": part})
    id = await cache.write(part)
    store.reads.clear()
    found = await Cache(store).load_all(Link(id))
    assert store.reads.count(f"message/{id}") == 1
    assert len([key for key in store.reads if key.startswith("message/")]) == 60
    assert isinstance(found, Message)
    assert found["left"] is found["right"]


async def test_what_holds_no_link_is_loaded_already(cache: Cache) -> None:
    whole = Message(nested={"list": [1, {"deep": "er"}], "data": LARGE})
    assert await cache.load_all(whole) is whole
    nested: Value = [Link(await cache.write(whole))]
    assert await cache.load_all(Message.of({"a": nested})) == Message(a=[whole])


async def test_too_much_nesting_is_refused_both_ways(cache: Cache) -> None:
    deep = Message(leaf=1)
    for _ in range(250):
        deep = Message(down=deep)
    id = await cache.write(deep)
    assert await cache.load_all(Link(id)) == deep
    for _ in range(10):
        id = await cache.write(Message.of({"down": Link(id)}))
    with pytest.raises(TooLarge, match="nested"):
        await cache.load_all(Link(id))
    for _ in range(10):
        deep = Message(down=deep)
    with pytest.raises(TooLarge, match="nested"):
        await Cache(DictStore()).write(deep)


async def test_deep_in_the_stack_less_nesting_is_too_much(cache: Cache) -> None:
    deep = Message(leaf=1)
    for _ in range(200):
        deep = Message(down=deep)
    id = await cache.write(deep)

    async def go_down(frames: int) -> None:
        if frames:
            await go_down(frames - 1)
            return
        with pytest.raises(TooLarge, match="nested"):
            await cache.load_all(Link(id))
        with pytest.raises(TooLarge, match="nested"):
            await Cache(DictStore()).write(deep)

    await go_down(800)


async def test_deep_lists_and_sequences_load_as_deep_messages_do(cache: Cache) -> None:
    lists: list[Value] = [1]
    for _ in range(250):
        lists = [lists]
    assert await cache.load_all(Link(await cache.write(lists))) == lists
    sequence = Message.of({"value": Resolve((b"base", Message(a=[1]), [Message(b=2)]))})
    assert await cache.load_all(Link(await cache.write(sequence))) == sequence


async def test_a_remote_store_is_asked_for_many_things_at_once(autojump_clock: object) -> None:
    store = RemoteDictStore()
    cache = Cache(store)
    message = Message({f"part-{number}": {"number": number} for number in range(64)})
    id = await cache.write(message)
    begun = trio.current_time()
    assert await cache.load_all(Link(id)) == message
    assert 16 <= store.most <= 32
    assert trio.current_time() - begun < 12


async def test_concurrent_loads_from_a_remote_store_share_a_read(autojump_clock: object) -> None:
    store = RemoteDictStore()
    cache = Cache(store)
    id = await cache.write(Message(a=1))
    found = []

    async def load() -> None:
        found.append(await cache.load(Link(id)))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(load)
    assert found == [Message(a=1)] * 10
    assert store.reads.count(f"message/{id}") == 1


async def test_a_missing_part_of_a_remote_message_ends_the_load(autojump_clock: object) -> None:
    cache = Cache(RemoteDictStore())
    links = [Link(ABSENT), Link(await cache.write(Message(a=1)))]
    with pytest.raises(NecessaryMessageNotFound, match=ABSENT):
        await cache.load_all(links)


async def test_a_commitment_that_is_not_there_is_asked_for_once(autojump_clock: object) -> None:
    store = RemoteDictStore()
    cache = Cache(store)
    id = await cache.write(Message(a=1))
    key = f"commitments/{id}/{id}"
    for _ in range(3):
        assert await cache.read(id) == Message(a=1)
    assert store.reads.count(key) == 1
    committed = commit_unsigned(Message(a=1))
    assert committed.commitments.keys() == {id}
    await cache.write(committed)
    found = await cache.read(id)
    assert isinstance(found, Message)
    assert found.commitments == committed.commitments


async def test_a_commitment_that_is_written_during_a_read_is_seen_after(
    autojump_clock: object,
) -> None:
    cache = Cache(RemoteDictStore())
    id = await cache.write(Message(a=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cache.read, id)
        await trio.sleep(1.5)
        await cache.write(commit_unsigned(Message(a=1)))
    found = await cache.read(id)
    assert isinstance(found, Message)
    assert found.commitments.keys() == {id}
