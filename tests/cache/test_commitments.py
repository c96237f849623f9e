"""Commitments are stored beside their message; a signed id shows what it vouches for, no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.ids import fresh_id, link_id, signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.encoding import combine_ids, hash_id
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.message import Link, Message
from tests.support.dict_store import DictStore
from tests.support.filled import ALICE, BOB, committed, sign

LARGE = b"x" * 5000


def holds(message: object) -> bool:
    assert isinstance(message, Message)
    return verify_message(message, commitment_ids="all")


async def test_a_signed_message_is_read_by_its_signed_id(cache: Cache) -> None:
    signed = await sign(Message(a=1, nested={"b": 2}))
    id = await cache.write(signed)
    found = await cache.read(signed_id(signed))
    assert isinstance(found, Message)
    assert found.commitments == signed.commitments
    assert holds(found)
    assert fresh_id(found) == id
    assert await cache.read_key(signed_id(signed), "a") == 1
    assert await cache.keys(signed_id(signed)) == ["a", "nested"]
    assert await cache.exists(signed_id(signed))


async def test_by_its_unsigned_id_a_message_shows_no_signatures(cache: Cache) -> None:
    signed = await sign(Message(a=1))
    found = await cache.read(await cache.write(signed))
    assert isinstance(found, Message)
    assert not found.commitments


async def test_the_unsigned_commitment_shows_where_one_was_stored(cache: Cache) -> None:
    both = commit_unsigned(await sign(Message(a=1)))
    unsigned = next(c for c in both.commitments.values() if c.committer is None)
    id = await cache.write(both)
    for asked, expected in (
        (id, {unsigned.id}),
        (signed_id(both), {unsigned.id, signed_id(both)}),
    ):
        found = await cache.read(asked)
        assert isinstance(found, Message)
        assert set(found.commitments) == expected
        assert holds(found)


async def test_all_commitments_show_on_demand_whoever_wrote_them(cache: Cache) -> None:
    id = await cache.write(await sign(Message(a=1), ALICE))
    assert await cache.write(await sign(Message(a=1), BOB)) == id
    found = await cache.read(id, commitments="all")
    assert isinstance(found, Message)
    assert set(found.signers) == {ALICE.address, BOB.address}
    assert holds(found)
    bare = await cache.read(signed_id(found.with_commitments(list(found.commitments.values())[:1])))
    assert isinstance(bare, Message)
    assert len(bare.signers) == 1


async def test_commitments_can_be_left_out(cache: Cache) -> None:
    signed = await sign(Message(a=1))
    await cache.write(signed)
    found = await cache.read(signed_id(signed), commitments="none")
    assert isinstance(found, Message)
    assert not found.commitments


async def test_several_signatures_have_a_combined_id(cache: Cache) -> None:
    twice = await sign(Message(a=1), ALICE)
    other = await sign(Message(a=1), BOB)
    twice = twice.with_commitments([*twice.commitments.values(), *other.commitments.values()])
    await cache.write(twice)
    combined = combine_ids(sorted(twice.commitments))
    found = await cache.read(combined)
    assert isinstance(found, Message)
    assert found.commitments == twice.commitments
    alone = await cache.read(signed_id(other))
    assert isinstance(alone, Message)
    assert alone.signers == [BOB.address]


async def test_a_nested_signed_message_is_linked_by_its_signed_id(cache: Cache) -> None:
    child = await sign(Message(a=1))
    id = await cache.write(Message(child=child))
    assert await cache.read_key(id, "child") == Link(link_id(child))
    loaded = await cache.load_all(Link(id))
    assert isinstance(loaded, Message)
    found = loaded.message("child")
    assert isinstance(found, Message)
    assert found.commitments == child.commitments
    assert holds(found)


async def test_a_signed_id_shows_only_the_keys_that_were_signed(cache: Cache) -> None:
    signed = await sign(Message(a=1, b=2))
    forged = Message(dict(signed) | {"evil": "yes"}).with_commitments(signed.commitments.values())
    id = await cache.write(forged)
    assert await cache.read(id, commitments="none") == forged
    found = await cache.read(signed_id(signed))
    assert found == Message(a=1, b=2)
    assert holds(found)
    assert await cache.keys(signed_id(signed)) == ["a", "b"]
    whole = await cache.read(id, commitments="all")
    assert isinstance(whole, Message)
    assert whole.commitments.keys() == signed.commitments.keys()


async def test_signatures_over_different_keys_share_only_common_ones(cache: Cache) -> None:
    message = Message(a="1", b="2", c="3")
    first, second = await sign(message, ALICE, "a", "b"), await sign(message, BOB, "b", "c")
    both = message.with_commitments([*first.commitments.values(), *second.commitments.values()])
    await cache.write(both)
    assert await cache.read(signed_id(first)) == Message(a="1", b="2")
    assert await cache.read(signed_id(second)) == Message(b="2", c="3")
    assert await cache.read(signed_id(both)) == Message(b="2")


async def test_a_result_keeps_all_its_keys_and_signatures(cache: Cache) -> None:
    signed = await sign(Message(a="1", b="2"), ALICE, "a")
    await cache.write_result("key", signed)
    found = await cache.read_result("key")
    assert found is not None
    assert found.value == signed
    assert isinstance(found.value, Message)
    assert found.value.commitments == signed.commitments


async def test_what_was_signed_comes_back_to_the_byte(cache: Cache) -> None:
    signed = await sign(Message(a=1, nested={"b": 2}, body=LARGE))
    await cache.write(signed)
    found = await cache.read(signed_id(signed))
    assert isinstance(found, Message)
    (commitment,) = found.commitments.values()
    (original,) = signed.commitments.values()
    assert commitment.evidence is not None
    assert original.evidence is not None
    assert commitment.evidence.base == original.evidence.base
    assert commitment.evidence.covers(found)
    loaded = await cache.load_all(found)
    assert isinstance(loaded, Message)
    (after,) = loaded.commitments.values()
    assert after.evidence is not None
    assert after.evidence.covers(loaded)
    assert not after.evidence.covers(loaded.set_values({"a": 2}).with_commitments([after]))


async def test_a_signed_item_is_not_stored_twice(cache: Cache, store: DictStore) -> None:
    message = Message(data=LARGE, tag="b")
    item = b"signature and tags" + LARGE
    await cache.write(message.with_commitments([committed(message, item)]))
    assert sum(LARGE in value for value in store.values.values()) == 1
    found = await cache.read(hash_id(item))
    assert isinstance(found, Message)
    assert found.commitments[hash_id(item)] == committed(message, item)
    assert found.commitments[hash_id(item)].evidence is None
    loaded = await cache.load_evidence(await cache.load_binaries(found))
    evidence = loaded.commitments[hash_id(item)].evidence
    assert evidence is not None
    assert evidence.item == item
    assert evidence.covers(loaded)


async def test_evidence_is_not_lost_when_a_message_is_written_without_it(store: DictStore) -> None:
    signed = await sign(Message(a=1))
    await Cache(store).write(signed)
    bare = signed.with_commitments(
        [replace(commitment, evidence=None) for commitment in signed.commitments.values()]
    )
    await Cache(store).write(bare)
    found = await Cache(store).read(signed_id(signed))
    assert isinstance(found, Message)
    assert found.commitments[signed_id(signed)].evidence is not None


async def test_evidence_about_other_values_is_not_stored(cache: Cache) -> None:
    signed = await sign(Message(a=1))
    wrong = Message(a=2).with_commitments(signed.commitments.values())
    await cache.write(wrong)
    found = await cache.read(signed_id(signed))
    assert isinstance(found, Message)
    assert found.commitments[signed_id(signed)].evidence is None
    assert not holds(found)


async def test_a_commitment_that_is_gone_is_reported(cache: Cache, store: DictStore) -> None:
    signed = await sign(Message(a=1))
    await cache.write(signed)
    for key in [key for key in store.values if key.startswith("commitments/")]:
        del store.values[key]
    with pytest.raises(CorruptData, match="alias"):
        await cache.read(signed_id(signed))
