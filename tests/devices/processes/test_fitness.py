"""States that a store can keep, and those that it can't."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.devices.processes.fitness import fit
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_store

ID = b"A" * 43

KEYS = ("a", "", "a/b", "x+link", "ao-types", "signature", "body", "content-digest", "é", "\n")
values = st.recursive(
    st.one_of(st.binary(max_size=8), st.integers(), st.booleans(), st.just(ID)),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


async def _write_and_read(state: Message) -> None:
    store = await open_store("memory:")
    cache = Cache(store)
    assert await cache.write(Message(dict(state)), names=["state"]) == unsigned_id(state)
    assert isinstance(await cache.read(await cache.lookup("state")), Message)
    await store.close()


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=4))
def test_what_is_fit_is_stored_under_its_id(items):
    try:
        state = fit(Message(items))
    except BadRequest:
        return
    trio.run(_write_and_read, state)


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        (Message({"ao-types": "x"}), "'ao-types'"),
        (Message({"x+link": "no id"}), "should be an id"),
        (Message({"results": {"outbox": [{"x+link": "no id"}]}}), "should be an id"),
        (Message.of({"results": Message.of({"output": [float("nan")]})}), "nan under results/outp"),
        (Message.of({"x": float("inf")}), "inf under x"),
    ],
)
def test_what_is_not_fit(state, complaint):
    with pytest.raises(BadRequest, match=complaint):
        fit(state)


def test_types_and_links_that_are_spelled_out_further_down_are_what_they_say():
    state = Message({"results": {"ao-types": 'a="integer"', "a": "1", "x+link": ID}, "b": "1"})
    assert fit(state) == Message.of(
        {"results": Message.of({"a": 1, "x": Link(ID.decode())}), "b": b"1"}
    )


def test_an_ordinary_state_stays_as_it_is():
    state = Message({"results": {"outbox": [{"a": 1.5}, [2]]}})
    assert fit(state) is state


def test_what_has_its_id_is_not_looked_at_again():
    nested = Message({"x+link": "no id"})
    unsigned_id(nested)
    state = Message.of({"kept": nested})
    assert fit(state) is state
