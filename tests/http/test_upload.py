"""ANS-104 items of any size over real HTTP: verified as they come, stored part by part."""

from __future__ import annotations

import resource
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from hyperbeam_trio.cache.streaming import load_verifiable
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.bundle import FORMAT_TAGS, build_list
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.signature_base import content_digest
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import TooLarge
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.node import running_node, served

MIB = 1 << 20
SIZE = 64 * MIB
WALLET = Ed25519Wallet(bytes(range(32)))
HEADERS = {"content-type": "application/ans104"}


def signed(data: bytes, *tags: Tag) -> DataItem:
    return DataItem.create(data, [(b"Name", b"large"), *tags]).sign(WALLET)


async def post(url: str, raw: bytes, path: str = "~meta@1.0/build/node") -> httpx.Response:
    return await trio.to_thread.run_sync(
        lambda: httpx.post(url + path, content=raw, headers=HEADERS, timeout=60)
    )


@pytest.fixture(params=["trio", "hypercorn"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_large_item_is_stored_in_parts_and_verifies(door: str) -> None:
    item = signed(bytes(range(256)) * (5 * MIB // 256))
    async with running_node(http_server=door, max_body=2 * MIB) as node, served(node) as url:
        answer = await post(url, item.to_bytes())
        assert answer.status_code == 200, answer.text
        stored = await node.cache.read(item.id)
        assert isinstance(stored, Message)
        assert stored["data"] == Link(hash_id(item.data), "binary", 5 * MIB)
        assert stored["name"] == b"large"
        assert list(stored.signers) == [WALLET.address]
        loaded = await node.cache.load_all(stored)
        assert isinstance(loaded, Message)
        assert verify_message(loaded, committers="all")
        assert not verify_message(
            loaded.set_values({"data": b"else"}).with_commitments(loaded.commitments.values()),
            committers="all",
        )


async def test_a_changed_byte_is_refused_and_names_the_item(door: str) -> None:
    raw = bytearray(signed(bytes(3 * MIB)).to_bytes())
    raw[len(raw) // 2] ^= 1
    async with running_node(http_server=door) as node, served(node) as url:
        before = await node.store.list()
        answer = await post(url, bytes(raw))
        assert answer.status_code == 400
        assert "does not hold" in answer.text
        assert await node.store.list() == before


async def test_a_node_that_is_not_set_up_yet_stores_nothing(door: str) -> None:
    options = {"http_server": door, "initialized": "false"}
    async with running_node(**options) as node, served(node) as url:
        before = await node.store.list()
        answer = await post(url, signed(bytes(3 * MIB)).to_bytes())
        assert answer.status_code == 400
        assert "initialized" in answer.text
        assert await node.store.list() == before


async def test_more_than_an_item_may_have_is_refused(door: str) -> None:
    options = {"http_server": door, "max_body": MIB, "max_item": 2 * MIB}
    async with running_node(**options) as node, served(node) as url:
        answer = await post(url, signed(bytes(3 * MIB)).to_bytes())
        assert answer.status_code == 413, answer.text


async def test_an_unsigned_item_is_bound_by_max_item() -> None:
    async with running_node(max_body=MIB, max_item=3 * MIB) as node, served(node) as url:
        answer = await post(url, DataItem.create(bytes(3 * MIB)).to_bytes())
        assert answer.status_code == 413, answer.text
        answer = await post(url, DataItem.create(bytes(2 * MIB + 5)).to_bytes())
        assert answer.status_code == 200, answer.text


async def test_what_is_no_item_is_a_bad_request() -> None:
    async with running_node() as node, served(node) as url:
        answer = await post(url, b"\xff" * (2 * MIB))
        assert answer.status_code == 400


def two_binaries(size: int) -> DataItem:
    items = [DataItem.create(bytes([n]) * size, [(b"ao-type", b"binary")]) for n in range(2)]
    return DataItem.create(build_list(items), FORMAT_TAGS).sign(WALLET)


@pytest.mark.parametrize(
    ("item", "keys"),
    [
        (signed(bytes(3 * MIB), (b"ao-data-key", b"other")), ["other"]),
        (two_binaries(2 * MIB), ["1", "2"]),
    ],
    ids=["of another key", "of several keys"],
)
async def test_data_beside_the_body_is_put_together(
    door: str, item: DataItem, keys: list[str]
) -> None:
    async with running_node(http_server=door, max_body=5 * MIB) as node, served(node) as url:
        answer = await chunked(url, item.to_bytes())
        assert answer.status_code == 200, answer.text
        stored = await node.cache.read(item.id)
        assert isinstance(stored, Message)
        assert all(stored[key].size >= 2 * MIB for key in keys)
        assert verify_message(await load_verifiable(stored, node.cache), committers="all")


async def test_of_more_data_beside_the_body_than_can_be_put_together_nothing_is_kept() -> None:
    item = signed(bytes(3 * MIB), (b"ao-data-key", b"other"))
    async with running_node(max_body=2 * MIB) as node, served(node) as url:
        before = await node.store.list()
        answer = await chunked(url, item.to_bytes())
        assert answer.status_code == 413
        assert "neither 'data' nor 'body'" in answer.text
        assert await node.store.list() == before


async def chunked(url: str, raw: bytes) -> httpx.Response:
    """Upload without a word of how much will come."""
    pieces = (raw[start : start + MIB] for start in range(0, len(raw), MIB))
    return await trio.to_thread.run_sync(
        lambda: httpx.post(
            f"{url}~meta@1.0/build/node", content=pieces, headers=HEADERS, timeout=60
        )
    )


async def test_64_mib_take_little_memory(tmp_path: object) -> None:
    item = signed(bytes(SIZE))
    raw = item.to_bytes()
    options = {"store": [f"fs:{tmp_path}"], "max_body": 2 * MIB}
    async with running_node(**options) as node, served(node) as url:
        await post(url, signed(bytes(4 * MIB)).to_bytes())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        status = await trio.to_thread.run_sync(send, url, raw)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert b" 200 " in status
        assert grown * 1024 < SIZE * 3 // 4
        link = Link(hash_id(item.data), "binary", SIZE)
        assert await size_of(node.cache.read_pieces(link)) == SIZE


def send(url: str, raw: bytes) -> bytes:
    """Upload without a copy, and give back the status line of the answer."""
    port = int(url.rstrip("/").rpartition(":")[2])
    head = f"POST /~meta@1.0/build/node HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(f"{head}content-type: application/ans104\r\n\r\n".encode())
        connection.sendall(raw)
        return connection.recv(65536).partition(b"\r\n")[0]


async def size_of(pieces: AsyncIterator[bytes]) -> int:
    size = 0
    async for piece in pieces:
        size += len(piece)
        await trio.lowlevel.checkpoint()
    return size


LARGE = b"".join(bytes([n]) * MIB for n in range(5)) + b"the end"
FEW = {"join_bytes": 2 * MIB, "max_body": 2 * MIB}
"""A node that puts no more together than a fraction of `LARGE`."""


async def get(url: str, **headers: str) -> httpx.Response:
    return await trio.to_thread.run_sync(lambda: httpx.get(url, headers=headers, timeout=60))


async def test_what_is_too_large_to_be_put_together_is_verified_and_sent_in_pieces(
    door: str,
) -> None:
    item = signed(LARGE)
    async with running_node(http_server=door, **FEW) as node, served(node) as url:
        assert (await post(url, item.to_bytes())).status_code == 200
        with pytest.raises(TooLarge):
            await node.cache.load_all(await node.cache.read(item.id))
        assert (await get(f"{url}{item.id}/data")).content == LARGE
        whole = await get(f"{url}{item.id}")
        assert whole.content == LARGE
        assert whole.headers["content-digest"] == content_digest(LARGE)
        assert whole.headers["name"] == "large"
        answer = await get(f"{url}{item.id}/verify&committers=all")
        assert answer.text == "true", answer.text
        assert (await get(f"{url}{item.id}/id")).text == fresh_id(Message(data=LARGE, name="large"))


async def test_a_stored_item_is_given_back_to_the_byte(door: str) -> None:
    item = signed(LARGE)
    async with running_node(http_server=door, **FEW) as node, served(node) as url:
        await post(url, item.to_bytes())
        answer = await get(f"{url}{item.id}", **{"require-codec": "application/ans104"})
        assert answer.content == item.to_bytes()


async def test_a_large_answer_that_the_node_signs_verifies() -> None:
    async with running_node(force_signed=True, **FEW) as node, served(node) as url:
        await post(url, signed(LARGE).to_bytes())
        answer = await get(f"{url}{signed(LARGE).id}/data")
        received = [(name.decode().lower(), value) for name, value in answer.headers.raw]
        message = HTTPSIG.decode(received, answer.content)
        assert list(message.signers) == [node.address]
        assert verify_message(message, committers="all")
        assert message["body"] == LARGE


async def test_damage_in_the_middle_of_a_stored_item_is_not_verified() -> None:
    item = signed(LARGE)
    async with running_node(**FEW) as node, served(node) as url:
        await post(url, item.to_bytes())
        part = f"data/{hash_id(LARGE[2 * MIB :][:MIB])}"
        await node.store.put({part: LARGE[:MIB]})
        answer = await get(f"{url}{item.id}/verify&committers=all")
        assert answer.status_code >= 500
        assert "hash does not hold" in answer.text


async def test_a_large_item_does_not_verify_with_other_keys() -> None:
    item = signed(LARGE)
    async with running_node(**FEW) as node, served(node) as url:
        await post(url, item.to_bytes())
        stored = await node.cache.read(item.id)
        assert isinstance(stored, Message)
        assert verify_message(await load_verifiable(stored, node.cache), committers="all")
        changed = stored.set_values({"name": b"else"})
        changed = changed.with_commitments(stored.commitments.values())
        assert not verify_message(await load_verifiable(changed, node.cache), committers="all")
