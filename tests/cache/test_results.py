"""Results of computations and names lie apart from messages."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache, StoredResult
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.errors import BadRequest, NecessaryMessageNotFound
from hyperbeam_trio.message import As, Atom, Link, Message, Value, same
from tests.support.dict_store import DictStore

BASE, REQUEST = Message(device="test@1.0", k="v"), Message(path="test-func")
HASHPATH = f"{fresh_id(BASE)}/{fresh_id(REQUEST)}"


@pytest.mark.parametrize(
    "value",
    [b"small", b"x" * 5000, b"", 7, 1.5, True, None, Atom("ok"), [1, 2], Message(a=1), Message()],
    ids=repr,
)
async def test_a_result_comes_back_as_it_was(cache: Cache, value: Value) -> None:
    await cache.write_result(HASHPATH, value)
    found = await cache.read_result(HASHPATH)
    assert found == StoredResult(value, 1000.0)
    assert same(found.value, value)


async def test_there_is_no_result_before_it_is_computed(cache: Cache) -> None:
    assert await cache.read_result(HASHPATH) is None


async def test_a_result_and_its_inputs_are_one_batch(cache: Cache, store: DictStore) -> None:
    await cache.write_result(HASHPATH, Message(a=1), inputs=[BASE, REQUEST])
    assert store.puts == 1
    assert list(store.values)[-1] == f"result/{HASHPATH}"
    assert await cache.read(fresh_id(BASE)) == BASE
    assert await cache.read(fresh_id(REQUEST)) == REQUEST


async def test_results_never_show_in_the_message_they_belong_to(cache: Cache) -> None:
    id = await cache.write(BASE)
    await cache.write_result(f"{id}/test-func", b"poison")
    assert await cache.keys(id) == ["device", "k"]
    assert await cache.read(id) == BASE


async def test_results_keep_what_no_id_covers(cache: Cache, store: DictStore) -> None:
    """Ids leave signatures out, so commitments, asked for as messages, would be mixed up."""
    for number in (1, 2):
        commitment = Message(type="hmac", signature=f"signature {number}", priv="SECRET")
        await cache.write_result(f"{number}", Message(a=commitment, b=[commitment]))
    for number in (1, 2):
        shown = Message(type="hmac", signature=f"signature {number}")
        found = await cache.read_result(f"{number}")
        assert found == StoredResult(Message(a=shown, b=[shown]), 1000.0)
    assert not any(b"SECRET" in value for value in store.values.values())


async def test_a_newer_result_replaces_an_older_one(cache: Cache) -> None:
    await cache.write_result("key", b"old")
    await cache.write_result("key", Message(new=1))
    found = await cache.read_result("key")
    assert found == StoredResult(Message(new=1), 1000.0)


async def test_a_result_whose_content_is_gone_is_no_result(cache: Cache, store: DictStore) -> None:
    await cache.write_result("message", Message(a=1))
    await cache.write_result("binary", b"x" * 5000)
    for key in [key for key in store.values if not key.startswith("result/")]:
        del store.values[key]
    assert await cache.read_result("message") is None
    assert await cache.read_result("binary") is None


async def test_a_result_that_can_not_be_stored_is_refused(cache: Cache) -> None:
    with pytest.raises(BadRequest):
        await cache.write_result("key", As(b"device@1.0", Message()))
    assert await cache.read_result("key") is None


async def test_a_name_stands_for_an_id_until_it_gets_another(cache: Cache) -> None:
    first, second = await cache.write(Message(slot=1)), await cache.write(Message(slot=2))
    await cache.link("latest", first)
    assert await cache.lookup("latest") == first
    await cache.link("latest", second)
    assert await cache.lookup("latest") == second
    assert await cache.lookup("absent") is None


async def test_no_name_ever_leads_nowhere(cache: Cache, store: DictStore) -> None:
    with pytest.raises(NecessaryMessageNotFound):
        await cache.link("name", "A" * 43)
    assert not store.values


async def test_names_are_listed_by_their_beginning(cache: Cache) -> None:
    given_names = ["slot/1", "slot/2", "slot", "other", "slot/" + "9" * 500, "slots/a b"]
    await cache.write(Message(), names=given_names)
    assert await cache.names() == sorted(given_names)
    assert await cache.names("slot/") == ["slot/1", "slot/2", "slot/" + "9" * 500]
    assert await cache.names("slots/a ") == ["slots/a b"]
    assert await cache.names("nothing") == []


@given(st.lists(st.text(st.characters() | st.sampled_from("/.%"), max_size=9), max_size=6))
def test_any_text_can_be_a_name(texts: list[str]) -> None:
    async def name_them() -> None:
        cache = Cache(DictStore())
        id = await cache.write(Message(), names=texts)
        assert await cache.names() == sorted(set(texts))
        for text in texts:
            assert await cache.lookup(text) == id
            assert text in await cache.names(text[: len(text) // 2])

    trio.run(name_them)


async def test_an_id_that_is_linked_may_be_a_link_in_a_message(cache: Cache) -> None:
    id = await cache.write(Message(child={"a": 1}))
    child = await cache.read_key(id, "child")
    assert isinstance(child, Link)
    await cache.link("child", child.id)
    assert await cache.read(child.id) == Message(a=1)
