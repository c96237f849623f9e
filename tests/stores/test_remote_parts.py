"""Large binaries at another node, part by part."""

import pytest

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.copying import copy
from hyperbeam_trio.cache.parts import listed_parts, parts_record
from hyperbeam_trio.cache.repairing import Repair, repair
from hyperbeam_trio.cache.streaming import load_verifiable
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.codec.ans104 import linked_message
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import CorruptData, StoreError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.store import open_store
from tests.stores.conftest import SIGNER

WHOLE = b"".join(bytes([n]) * (1 << 20) for n in range(9)) + b"the end"
"""More than is ever put together without need."""
ITEM = DataItem.create(WHOLE, [(b"name", b"large")]).sign(SIGNER)


async def once(data: bytes):
    yield data


async def test_a_large_binary_is_read_part_by_part(peer, counted):
    store, counting = counted
    link = await peer.cache.write_pieces(once(WHOLE))
    pieces = [piece async for piece in Cache(store).read_pieces(link)]
    assert max(map(len, pieces)) <= 1 << 20
    assert b"".join(pieces) == WHOLE
    assert len(counting.targets) == 1 + len(pieces)


async def test_a_list_of_other_parts_is_found_out(peer, remote):
    link = await peer.cache.write_pieces(once(WHOLE))
    other = await peer.cache.write_pieces(once(WHOLE[1 << 20 :]))
    listed = [await peer.store.get(f"parts/{id}") for id in (other.id, link.id)]
    links = listed_parts(other.id, listed[0])
    await peer.store.put(parts_record(link.id, links))
    with pytest.raises(CorruptData, match="not the whole"):
        async for _ in Cache(remote).read_pieces(link):
            pass


async def test_a_large_item_is_written_part_by_part(peer, writable):
    cache = Cache(writable)
    link = await cache.write_pieces(once(WHOLE))
    id = await cache.write(linked_message(ITEM, link))
    assert await peer.cache.read_key(id, "data") == link
    stored = await peer.cache.read(ITEM.id)
    assert list(stored.signers) == [SIGNER.address]
    checked = await load_verifiable(stored, peer.cache)
    assert verify_message(checked, committers="all")


async def test_an_item_whose_signature_is_false_is_not_taken(peer, writable):
    cache = Cache(writable)
    link = await cache.write_pieces(once(WHOLE[1:]))
    with pytest.raises(StoreError, match="does not hold"):
        await cache.write(linked_message(ITEM, link))
    assert await peer.cache.read(ITEM.id) is None


async def test_parts_that_are_not_the_whole_are_not_taken(peer, writable):
    link = await Cache(writable).write_pieces(once(WHOLE))
    parts = listed_parts(link.id, await peer.store.get(f"parts/{link.id}"))
    with pytest.raises(StoreError, match="a binary with the hash"):
        await writable.put(parts_record(link.id, parts[1:]))


async def test_a_large_message_without_commitments_is_written_but_for_its_body(peer, writable):
    cache = Cache(writable)
    link = await cache.write_pieces(once(WHOLE))
    id = await cache.write(Message(data=link, n=5, inner={"a": 1}, text="x"))
    assert await peer.cache.load_all(Link(id)) == Message(data=WHOLE, n=5, inner={"a": 1}, text="x")


async def test_what_has_more_than_a_large_body_can_not_be_sent(writable):
    cache = Cache(writable)
    link = await cache.write_pieces(once(WHOLE))
    with pytest.raises(StoreError, match="only as the data of items"):
        await cache.write(Message(data=link, more=b"m" * 5000))


async def test_a_store_is_copied_to_another_node_and_repaired_from_it(peer, writable):
    near = await open_store("memory:")
    cache = Cache(near)
    link = await cache.write_pieces(once(WHOLE))
    await cache.write(linked_message(ITEM, link))
    assert not [done async for done in copy(near, writable) if isinstance(done, Damage)]
    assert await peer.cache.exists(ITEM.id)
    part = f"data/{hash_id(WHOLE[: 1 << 20])}"
    for lost in (part, f"parts/{link.id}"):
        await near.delete([lost])
        done = [found async for found in repair(near, writable) if isinstance(found, Repair)]
        assert {found.outcome for found in done} == {"replaced"}
        assert await cache.load(link) == WHOLE
