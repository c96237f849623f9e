"""ANS-104 items of any size over real HTTP: verified as they come, stored part by part."""

from __future__ import annotations

import resource
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.field import Tag
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
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


async def test_more_than_an_item_may_have_is_refused(door: str) -> None:
    options = {"http_server": door, "max_body": MIB, "max_item": 2 * MIB}
    async with running_node(**options) as node, served(node) as url:
        answer = await post(url, signed(bytes(3 * MIB)).to_bytes())
        assert answer.status_code == 413, answer.text


async def test_an_unsigned_item_is_bound_by_max_body() -> None:
    async with running_node(max_body=2 * MIB) as node, served(node) as url:
        answer = await post(url, DataItem.create(bytes(3 * MIB)).to_bytes())
        assert answer.status_code == 413, answer.text
        answer = await post(url, DataItem.create(bytes(MIB + 5)).to_bytes())
        assert answer.status_code == 200, answer.text


async def test_what_is_no_item_is_a_bad_request() -> None:
    async with running_node() as node, served(node) as url:
        answer = await post(url, b"\xff" * (2 * MIB))
        assert answer.status_code == 400


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
