"""Bundles and unsigned items of any size: stored once, indexed, each item verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

import httpx
import pytest
import trio

from hyperbeam_trio.cache.collect import Collector
from hyperbeam_trio.cache.streaming import load_verifiable
from hyperbeam_trio.cache.verify import Damage, verify
from hyperbeam_trio.codec.ans104 import read_item, write_item
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.bundle import FORMAT_TAGS, build_list, build_map
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import CorruptData, HyperbeamError, TooLarge
from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.http.upload import read_upload
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node, served
from tests.support.filled import collect, swept_keys

MIB = 1 << 20
ALICE, BOB = Ed25519Wallet(bytes(range(32))), Ed25519Wallet(bytes(range(1, 33)))
BINARY = (b"ao-type", b"binary")
FEW = {"join_bytes": MIB, "max_body": MIB}
"""A node that must not hold what the tests send."""


def data(size: int, seed: int = 0) -> bytes:
    return Random(seed).randbytes(size)


def item(size: int, name: str, wallet: Ed25519Wallet = BOB) -> DataItem:
    return DataItem.create(data(size, len(name)), [(b"name", name.encode())]).sign(wallet)


def bundled(*items: DataItem) -> DataItem:
    return DataItem.create(build_list(items), [*FORMAT_TAGS, (b"title", b"a list")])


SMALL, LARGE, HUGE = item(10, "s"), item(100_000, "large"), item(3 * MIB + 5, "huge one")
INNER = bundled(item(2 * MIB, "deep"), SMALL, DataItem.create(data(9000, 3), [BINARY])).sign(BOB)
OUTER = bundled(SMALL, LARGE, HUGE, INNER, DataItem.create(data(70_000, 5))).sign(ALICE)


async def send(
    url: str, raw: bytes, *, chunked: bool = False, path: str = "~meta@1.0/build/node"
) -> httpx.Response:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(raw), 300_001):
            yield raw[start : start + 300_001]

    headers = {"content-type": "application/ans104", "x-beside": "a header"}
    content = pieces() if chunked else raw
    return await trio.to_thread.run_sync(
        lambda: httpx.post(url + path, content=content, headers=headers, timeout=60)
    )


async def stored(node: Node, id: str) -> Message:
    found = await node.cache.read(id)
    assert isinstance(found, Message)
    return found


async def damages(node: Node) -> list[Damage]:
    return [found async for found in verify(node.store) if isinstance(found, Damage)]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_bundle_is_stored_once_and_its_items_are_messages_of_their_own(
    chunked: bool,
) -> None:
    async with running_node(**FEW) as node, served(node) as url:
        answer = await send(url, OUTER.to_bytes(), chunked=chunked)
        assert answer.status_code == 200, answer.text
        outer = await stored(node, OUTER.id)
        assert list(outer.signers) == [ALICE.address]
        huge = await stored(node, HUGE.id)
        assert huge["data"] == Link(hash_id(HUGE.data), "binary", 3 * MIB + 5)
        assert list(huge.signers) == [BOB.address]
        deep = await stored(node, INNER.id)
        assert deep["3"] == Link(hash_id(data(9000, 3)), "binary", 9000)
        sizes = [await node.store.view(key, len) or 0 for key in await node.store.list("data/")]
        assert sum(sizes) < len(OUTER.data) + 64 * 1024
        assert max(sizes) <= MIB
        assert await damages(node) == []


async def test_a_streamed_bundle_is_the_message_that_it_is_when_read_at_once() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        await send(url, OUTER.to_bytes())
        node.cache._join_bytes = 64 * MIB
        streamed = await node.cache.load_all(await stored(node, OUTER.id))
    expected = read_item(OUTER)
    assert isinstance(expected, Message)
    assert isinstance(streamed, Message)
    assert streamed == expected
    assert verify_message(streamed, committers="all")
    assert write_item(streamed).to_bytes() == OUTER.to_bytes()


async def test_all_that_an_item_is_made_of_is_kept_by_the_collector() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        await send(url, OUTER.to_bytes())
        swept = swept_keys(await collect(Collector(node.cache, [OUTER.id])))
        assert not {key for key in swept if key.startswith(("parts/", "data/"))}
        assert await damages(node) == []


async def test_a_map_is_read_by_its_manifest() -> None:
    children = {"a": DataItem.create(data(2 * MIB)), "b": DataItem.create(data(20), [BINARY])}
    manifest, content = build_map(children)
    tags = [*FORMAT_TAGS, (b"bundle-map", manifest.encode())]
    whole = DataItem.create(content, tags).sign(ALICE)
    async with running_node(**FEW) as node, served(node) as url:
        assert (await send(url, whole.to_bytes())).status_code == 200
        found = await stored(node, whole.id)
        assert found["b"] == data(20)
        assert isinstance(found["a"], Link)
        inner = await stored(node, found["a"].id)
        assert inner["data"] == Link(hash_id(data(2 * MIB)), "binary", 2 * MIB)


async def test_an_item_inside_whose_signature_is_false_is_not_its_signers() -> None:
    forged = bytearray(HUGE.to_bytes())
    forged[-1] ^= 1
    whole = bundled(LARGE, DataItem.parse(bytes(forged))).sign(ALICE)
    async with running_node(**FEW) as node, served(node) as url:
        assert (await send(url, whole.to_bytes())).status_code == 200
        assert await node.cache.read(HUGE.id) is None
        assert list((await stored(node, LARGE.id)).signers) == [BOB.address]


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
async def test_of_a_bundle_with_a_changed_byte_nothing_remains(at: float) -> None:
    raw = bytearray(OUTER.to_bytes())
    raw[int(at * len(raw))] ^= 1
    async with running_node(**FEW) as node, served(node) as url:
        before = await node.store.list()
        answer = await send(url, bytes(raw))
        assert answer.status_code == 400, answer.text
        assert await node.store.list() == before


async def test_a_bundle_that_is_cut_or_goes_on_is_refused() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        before = await node.store.list()
        for raw in (OUTER.to_bytes()[:-1], OUTER.to_bytes() + b"x"):
            answer = await send(url, raw, chunked=True)
            assert answer.status_code == 400, answer.text
        assert await node.store.list() == before


async def test_the_index_and_headers_of_a_bundle_are_bound_by_max_body() -> None:
    many = bundled(*(DataItem.create(b"x" * 4000) for _ in range(500)))
    async with running_node(**FEW) as node, served(node) as url:
        answer = await send(url, many.to_bytes())
        assert answer.status_code == 413, answer.text


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_unsigned_item_is_a_message_with_the_headers_beside_it(chunked: bool) -> None:
    raw = DataItem.create(data(2 * MIB), [(b"name", b"large")]).to_bytes()
    async with running_node(**FEW) as node, served(node) as url:
        path = "~message@1.0/set"
        assert (await send(url, raw, chunked=chunked, path="~message@1.0/x-beside")).text != ""
        answer = await send(url, raw, chunked=chunked, path=path)
        assert answer.content == data(2 * MIB)
        assert answer.headers["name"] == "large"
        assert answer.headers["x-beside"] == "a header"


async def test_a_chunked_signed_item_of_unknown_length_is_stored() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        assert (await send(url, HUGE.to_bytes(), chunked=True)).status_code == 200
        assert (await stored(node, HUGE.id))["name"] == b"huge one"
        bad = bytearray(HUGE.to_bytes())
        bad[MIB] ^= 1
        assert (await send(url, bytes(bad), chunked=True)).status_code == 400


async def test_a_binary_item_is_data() -> None:
    whole = DataItem.create(data(2 * MIB), [BINARY])
    async with running_node(**FEW) as node, served(node) as url:
        answer = await send(url, whole.to_bytes(), path="~message@1.0/set/data")
        assert answer.content == data(2 * MIB)
        forged = bytearray(whole.sign(BOB).to_bytes())
        forged[-1] ^= 1
        assert (await send(url, bytes(forged))).status_code == 400


async def verdict(url: str, id: str) -> httpx.Response:
    path = f"{url}{id}/verify&committers=all"
    return await trio.to_thread.run_sync(lambda: httpx.get(path, timeout=60))


async def test_a_stored_bundle_is_verified_over_the_very_bytes_that_were_signed() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        await send(url, OUTER.to_bytes())
        with pytest.raises(TooLarge):
            await node.cache.load_all(await stored(node, OUTER.id))
        for signed in (OUTER, INNER, HUGE, LARGE, SMALL):
            assert (await verdict(url, signed.id)).text == "true"
        await node.store.put({f"data/{hash_id(LARGE.data)}": b"else"})
        with pytest.raises(CorruptData, match="hash does not hold"):
            await load_verifiable(await stored(node, OUTER.id), node.cache)


async def test_an_item_that_can_not_be_built_anew_is_verified_as_it_came() -> None:
    tags = [(b"name", b"one"), (b"data", b"a tag"), (b"name", b"two")]
    whole = DataItem.create(data(2 * MIB), tags).sign(ALICE)
    async with running_node(**FEW) as node, served(node) as url:
        assert (await send(url, whole.to_bytes())).status_code == 200
        assert (await verdict(url, whole.id)).text == "true"


class Arriving:
    """A request's body that is there already, in chunks of some size."""

    def __init__(self, raw: bytes, size: int) -> None:
        self._raw = raw
        self._starts = range(0, len(raw), size)
        self._left = iter(self._starts)

    async def read(self, limit: int) -> bytes:
        return self._raw

    def chunks(self) -> Arriving:
        return self

    def __aiter__(self) -> Arriving:
        return self

    async def __anext__(self) -> bytes:
        for start in self._left:
            return self._raw[start : start + self._starts.step]
        raise StopAsyncIteration


def arriving(raw: bytes, size: int = 70_001) -> HttpRequest:
    return HttpRequest("POST", b"/", [], Arriving(raw, size))


@pytest.mark.parametrize("seed", range(8))
async def test_no_changed_or_missing_byte_of_index_or_header_gets_in(seed: int) -> None:
    raw, choice = OUTER.to_bytes(), Random(seed)
    async with running_node(**FEW) as node:
        before = await node.store.list()
        for _ in range(5):
            at = choice.randrange(len(OUTER.raw) + 2000)
            changed = bytearray(raw)
            changed[at] ^= 1 << choice.randrange(8)
            cut = raw[:at] + raw[at + 1 :]
            for damaged in (bytes(changed), cut):
                with pytest.raises(HyperbeamError) as refused:
                    await read_upload(arriving(damaged), node)
                assert refused.value.status in (400, 413)
        assert await node.store.list() == before


@pytest.mark.parametrize("size", [1000, MIB, 64 * MIB])
async def test_chunks_of_any_size_make_the_same_message(size: int) -> None:
    expected = read_item(OUTER)
    assert isinstance(expected, Message)
    async with running_node(**FEW) as node:
        message = await read_upload(arriving(OUTER.to_bytes(), size), node)
        assert isinstance(message, Message)
        assert verify_message(message, committers="all")
        assert await node.cache.write(message) == await node.cache.write(expected)


async def test_who_hangs_up_leaves_nothing() -> None:
    raw = HUGE.to_bytes()
    async with running_node(**FEW) as node, served(node) as url:
        before = await node.store.list()
        stream = await trio.open_tcp_stream("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
        head = f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n"
        await stream.send_all(f"{head}content-type: application/ans104\r\n\r\n".encode())
        await stream.send_all(raw[: 5 * MIB // 2])
        await until(node, lambda keys: len(keys) > len(before))
        await stream.aclose()
        await until(node, lambda keys: keys == before)


async def until(node: Node, holds: Callable[[Sequence[str]], bool]) -> None:
    with trio.fail_after(10):
        while not holds(await node.store.list()):
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("size", [100, 20_000])
async def test_a_bundle_of_many_items_is_answered_and_read_back(size: int) -> None:
    items = [DataItem.create(data(size, n), [(b"n", b"%d" % n)]).sign(BOB) for n in range(100)]
    whole = bundled(*items).sign(ALICE)
    async with running_node(**FEW) as node, served(node) as url:
        answer = await send(url, whole.to_bytes())
        assert (answer.status_code, answer.text) == (200, "hyperbeam-trio")
        found = await stored(node, whole.id)
        assert list(found.signers) == [ALICE.address]
        assert len(found) == 101
        assert (await stored(node, items[99].id))["n"] == b"99"
