"""Messages whose body is too large to be held, on their way from one node to another."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from hyperbeam_trio.cache.streaming import streamed
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import CorruptData, TooLarge
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node, served

MIB = 1 << 20
WALLET = Ed25519Wallet(bytes(range(32)))
LARGE = b"".join(bytes([n]) * MIB for n in range(5)) + b"the end"
FEW = {"join_bytes": 2 * MIB, "max_body": 2 * MIB, "http_allow_private": ["127.0.0.1"]}
"""A node that neither puts together nor takes in one go more than a fraction of `LARGE`."""
BUILD = "/~meta@1.0/build/node"


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[Node, str, Node, str]]:
    """A node and its URL, a peer and its URL."""
    async with (
        running_node(**FEW) as node,
        served(node) as url,
        running_node(**FEW) as peer,
        served(peer) as door,
    ):
        yield node, url, peer, door


def item(data: bytes, *tags: Tag) -> DataItem:
    return DataItem.create(data, [(b"Name", b"large"), *tags]).sign(WALLET)


async def uploaded(signed: DataItem, node: Node, url: str) -> Message:
    """The message of an item that was uploaded to a node, as it lies in its store."""
    raw, headers = signed.to_bytes(), {"content-type": "application/ans104"}
    answer = await trio.to_thread.run_sync(
        lambda: httpx.post(f"{url}~meta@1.0/build/node", content=raw, headers=headers, timeout=60)
    )
    assert answer.status_code == 200, answer.text
    stored = await node.cache.read(signed.id)
    assert isinstance(stored, Message)
    return stored


async def pieces_of(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), MIB):
        yield data[start : start + MIB]


async def signed_message(node: Node, link: Link) -> Message:
    """A message with a linked body, signed as HTTP messages are, without the body in memory."""
    found = streamed(Message.of({"body": link, "name": b"large"}), node.cache)
    assert found is not None
    limiter = trio.CapacityLimiter(1)
    return found.restored(await commit_signed(found.message, WALLET, limiter=limiter))


@pytest.mark.parametrize(
    "tags",
    [
        [],
        [(b"Name", b"again"), (b"b", b"2"), (b"a", b"1")],
        [(b"ao-data-key", b"body"), (b"ao-types", b'n="integer"'), (b"n", b"1")],
    ],
    ids=["plain", "odd tags", "as a body"],
)
async def test_a_large_item_arrives_as_it_was_signed(tags: list[Tag]) -> None:
    large = item(LARGE, *tags)
    async with two_nodes() as (node, url, peer, door):
        message = await uploaded(large, node, url)
        with pytest.raises(TooLarge):
            await node.cache.load_all(message)
        sent = message.set(path=BUILD, method="POST")
        reply = await ask(node, door, sent, allow_private=True)
        assert reply.result == b"hyperbeam-trio"
        stored = await peer.cache.read(large.id)
        assert isinstance(stored, Message)
        assert Link(hash_id(LARGE), "binary", len(LARGE)) in stored.values()
        assert stored.signers == [WALLET.address]


async def test_what_is_relayed_as_it_comes_is_still_said_by_its_signer() -> None:
    large = item(LARGE)
    async with two_nodes() as (_node, url, peer, door):
        query = f"relay-path={door.rstrip('/')}{BUILD}&relay-method=POST"
        answer = await trio.to_thread.run_sync(
            lambda: httpx.post(
                f"{url}~relay@1.0/call?{query}",
                content=large.to_bytes(),
                headers={"content-type": "application/ans104"},
                timeout=60,
            )
        )
        assert answer.text == "hyperbeam-trio"
        stored = await peer.cache.read(large.id)
        assert isinstance(stored, Message)
        assert stored.signers == [WALLET.address]


class Witness(Device):
    """Tells who signed a request, and the hash of its body."""

    name = "witness@1.0"
    volatile = True

    @key
    async def see(self, base: Message, request: Message, context: Context) -> Message:
        said = request.caller
        return Message({"by": ",".join(said.signers), "hash": hash_id(said.binary("body"))})


async def test_a_large_body_that_was_signed_for_http_arrives_so() -> None:
    async with (
        running_node(**FEW) as node,
        running_node(devices={"witness@1.0": Witness}, max_body=64 * MIB) as peer,
        served(peer) as door,
    ):
        message = await signed_message(node, await node.cache.write_pieces(pieces_of(LARGE)))
        await node.cache.write(message)
        stored = await node.cache.read(signed_id(message))
        assert isinstance(stored, Message)
        for given in (message, stored):
            sent = given.set(path="/~witness@1.0/see", method="POST")
            reply = await ask(node, door, sent, allow_private=True)
            assert reply.message["by"] == WALLET.address.encode()
            assert reply.message["hash"] == hash_id(LARGE).encode()


async def test_the_node_signs_a_large_body_that_it_relays_if_it_may() -> None:
    options = {**FEW, "relay_allow_commit_request": True}
    async with (
        running_node(**options) as node,
        running_node(devices={"witness@1.0": Witness}, max_body=64 * MIB) as peer,
        served(peer) as door,
    ):
        link = await node.cache.write_pieces(pieces_of(LARGE))
        call = {"path": "/~relay@1.0/call", "peer": door, "relay-path": "/~witness@1.0/see"}
        order = Message({**call, "relay-method": "POST", "commit-request": True})
        found = await node.resolve(order.set_values({"body": link}))
        assert found["by"] == node.address.encode()
        assert found["hash"] == hash_id(LARGE).encode()


async def _at_rest(peer: Node) -> None:
    """Return when a node has done with all requests: it hears late that a sender gave up."""
    with trio.fail_after(30):
        while peer.metrics.doors()["requests"]:
            await trio.lowlevel.checkpoint()


async def test_damage_in_the_middle_ends_the_request() -> None:
    large = item(LARGE)
    async with two_nodes() as (node, url, peer, door):
        message = await uploaded(large, node, url)
        await node.store.put({f"data/{hash_id(LARGE[2 * MIB :][:MIB])}": LARGE[:MIB]})
        before = await peer.store.list()
        with pytest.raises(CorruptData):
            await ask(node, door, message.set(path=BUILD, method="POST"), allow_private=True)
        await _at_rest(peer)
        assert await peer.cache.read(large.id) is None
        assert await peer.store.list() == before


@pytest.mark.parametrize("wrong", [-MIB, MIB], ids=["too little", "too much"])
async def test_no_more_and_no_less_is_sent_than_was_announced(wrong: int) -> None:
    # What comes behind the announced end would be a request of its own to who reads it.
    async with running_node(**FEW) as node, sink() as (place, received):
        link = await node.cache.write_pieces(pieces_of(LARGE))
        said = Link(link.id, link.kind, link.size + wrong)
        message = Message({"path": "/x", "method": "POST"}).set_values({"body": said})
        with pytest.raises(CorruptData):
            await ask(node, place, message, allow_private=True, deadline=20)
        assert received[0] <= said.size


@pytest.mark.parametrize("form", ["item", "http"])
async def test_memory_is_constant(tmp_path: Path, form: str) -> None:
    size = 48 * MIB
    async with (
        running_node(store=[f"fs:{tmp_path / 'a'}"], **FEW) as node,
        served(node) as url,
        sink() as (place, received),
    ):
        if form == "item":
            message = await uploaded(item(bytes(size)), node, url)
        else:
            pieces = pieces_of(bytes(size))
            message = await signed_message(node, await node.cache.write_pieces(pieces))
        sent = message.set(path="/x", method="POST")
        with peak() as grown:
            await ask(node, place, sent, allow_private=True)
        assert received[0] >= size
        assert grown[0] < 8 * MIB


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most memory that is held inside over what was held before, in bytes, once it ends."""
    grown = [0]
    tracemalloc.start()
    try:
        yield grown
        grown[0] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that counts what comes, and answers when a whole request was there."""
    received = [0]

    async def serve(stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(65536)
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0])
        received[0] = len(head.partition(b"\r\n\r\n")[2])
        while received[0] < length:
            chunk = await stream.receive_some(65536)
            received[0] += len(chunk)
            if not chunk:
                return
        await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}", received
        nursery.cancel_scope.cancel()
