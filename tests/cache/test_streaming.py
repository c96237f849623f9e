"""Verifying messages whose signed items are stored, in records that anybody may have written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from random import Random

import pytest

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.staging import commitment_key
from hyperbeam_trio.cache.streaming import load_verifiable
from hyperbeam_trio.cache.vouching import note_of
from hyperbeam_trio.codec.commit import commit_unsigned
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.bundle import FORMAT_TAGS, build_list
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import TooLarge
from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.http.upload import read_upload
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests.http.test_bundle_upload import arriving

MIB = 1 << 20
ALICE = Ed25519Wallet(bytes(range(32)))
FEW = {"join_bytes": MIB, "max_body": MIB}
TAGS = [(b"Name", b"real"), (b"name", b"twice")]
"""Tags that no message has in just this form, so that only the item itself can be checked."""
DATA = Random(0).randbytes(3 * MIB)
OTHER = Random(1).randbytes(3 * MIB)
LARGE = DataItem.create(DATA, TAGS).sign(ALICE)
SMALL = DataItem.create(b"hello", TAGS).sign(ALICE)
INNER = DataItem.create(DATA, [(b"name", b"inner")]).sign(ALICE)
BUNDLE = DataItem.create(build_list([INNER, SMALL]), [*FORMAT_TAGS, *TAGS]).sign(ALICE)


async def stored(node: Node, item: DataItem) -> Message:
    """The message of an item that a node has stored, as it is read again."""
    request: HttpRequest = arriving(item.to_bytes())
    found = await read_upload(request, node)
    if isinstance(found, bytes):
        found = node.devices.get("ans104@1.0").codec.from_bytes(found)
    await node.cache.write(found)
    read = await node.cache.read(item.id)
    assert isinstance(read, Message)
    return read


async def forged(
    node: Node, real: Message, changes: Mapping[str, Value], fields: Mapping[str, Value] = {}
) -> Message:
    """Another message in the store, with the record of the real one's signature put beside it."""
    (commitment,) = [c for c in real.commitments.values() if c.committer is not None]
    kept = {key: value for key, value in real.items() if changes.get(key, value) is not None}
    other = Message.of({**kept, **{k: v for k, v in changes.items() if v is not None}})
    await node.cache.write(other)
    source = commitment_key(fresh_id(real), commitment.id)
    target = commitment_key(fresh_id(other), commitment.id)
    held = await node.store.get(source)
    assert held is not None
    items = note_of(source, held)
    said = items["commitment"]
    assert isinstance(said, Message)
    items["commitment"] = said.set_values(fields).uncommitted()
    await node.store.put({target: record.encode(target, items)})
    node.cache.forget()
    read = await node.cache.read(fresh_id(other), commitments="all")
    assert isinstance(read, Message)
    assert commitment.id in read.commitments
    return read


async def holds(node: Node, message: Message) -> bool:
    """Whether all signatures hold; what is only known in pieces does not without its item."""
    try:
        verifiable = await load_verifiable(message, node.cache)
    except TooLarge:
        return False
    return verify_message(verifiable, committers="all")


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running_node(**FEW) as node:
        yield node


@pytest.mark.parametrize("item", [SMALL, LARGE, BUNDLE], ids=["small", "large", "bundle"])
async def test_a_stored_item_vouches_for_what_it_says(node: Node, item: DataItem) -> None:
    assert await holds(node, await stored(node, item))


@pytest.mark.parametrize("item", [SMALL, LARGE, BUNDLE], ids=["small", "large", "bundle"])
@pytest.mark.parametrize("name", [b"forged", None], ids=["changed", "gone"])
async def test_a_stored_item_does_not_vouch_for_another_message(
    node: Node, item: DataItem, name: Value
) -> None:
    real = await stored(node, item)
    assert not await holds(node, await forged(node, real, {"name": name}))
    assert await holds(node, await stored(node, item))


async def test_nor_for_other_data_that_is_stored_as_well(node: Node) -> None:
    real = await stored(node, LARGE)
    await stored(node, DataItem.create(OTHER).sign(ALICE))
    other = Link(hash_id(OTHER), "binary", len(OTHER))
    assert not await holds(node, await forged(node, real, {"data": other}))


async def test_nor_for_a_bundle_of_other_items(node: Node) -> None:
    real = await stored(node, BUNDLE)
    inner = await stored(node, DataItem.create(OTHER).sign(ALICE))
    assert not await holds(node, await forged(node, real, {"1": inner}))
    assert not await holds(node, await forged(node, real, {"1": real["2"], "2": real["1"]}))


@pytest.mark.parametrize("item", [SMALL, LARGE, BUNDLE], ids=["small", "large", "bundle"])
async def test_nor_for_keys_that_it_does_not_have(node: Node, item: DataItem) -> None:
    real = await stored(node, item)
    (signed,) = [c for c in real.commitments.values() if c.committer is not None]
    more: list[Value] = [key.encode() for key in (*signed.committed, "added")]
    message = await forged(node, real, {"added": b"x"}, {"committed": more})
    assert not await holds(node, message)


@pytest.mark.parametrize("join", [1, 4], ids=["streamed", "put together"])
async def test_an_item_vouches_beside_another_commitment(join: int) -> None:
    async with running_node(join_bytes=join * MIB) as node:
        read = await stored(node, LARGE)
        (signed,) = read.commitments.values()
        beside = commit_unsigned(read.without("data"), committed=["name"])
        await node.cache.write(read.with_commitments([signed, *beside.commitments.values()]))
        both = await node.cache.read(fresh_id(read), commitments="all")
        assert isinstance(both, Message)
        assert len(both.commitments) == 2
        assert await holds(node, both)
