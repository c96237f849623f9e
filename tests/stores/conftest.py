"""Another node, and stores that are its cache."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.crypto.key_file import save_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store
from hyperbeam_trio.testing.node import running_node, served
from tests.http.client import RawClient
from tests.http.servers import scripted

SIGNER = Ed25519Wallet(b"s" * 32)
WRITER = Ed25519Wallet(b"w" * 32)


async def signed(message: Message) -> Message:
    return await commit_signed(message, SIGNER, limiter=trio.CapacityLimiter(1))


@pytest.fixture
async def peer():
    async with running_node(cache_writers=[WRITER.address], http_extra_opts={}) as node:
        yield node


@pytest.fixture
async def url(peer):
    async with served(peer) as url:
        yield url


@pytest.fixture
async def remote(url):
    store = await open_store(f"remote:{url}?miss=1000")
    yield store
    await store.close()


@pytest.fixture
async def writable(url, tmp_path):
    save_wallet(WRITER, tmp_path / "key.json")
    store = await open_store(f"remote:{url}?key={tmp_path}/key.json&names=yes")
    yield store
    await store.close()


class Counting:
    """Passes requests of several connections on to a node and counts them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.targets: list[str] = []
        self.gate = trio.Event()
        self.gate.set()

    async def __call__(self, peer: RawClient) -> None:
        while True:
            head = await peer.until(b"\r\n\r\n")
            self.targets.append(head.split(b" ")[1].decode())
            await self.gate.wait()
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as node:
                await node.send_all(head.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
                answer = b"".join([part async for part in node])
            await peer.send(answer)
            return


@pytest.fixture
async def counted(url):
    counting = Counting(int(url.rstrip("/").rpartition(":")[2]))
    async with scripted(counting) as port:
        store = await open_store(f"remote:http://127.0.0.1:{port}?miss=1000")
        yield store, counting
        await store.close()
