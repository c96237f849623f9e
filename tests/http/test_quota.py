"""What strangers may bring in an hour, and what the operator may beside it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import trio
import trio.testing

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.errors import QuotaExceeded, TooLarge
from hyperbeam_trio.http.quota import Quota
from hyperbeam_trio.testing.node import running_node, served

MIB = 1 << 20
OPERATOR, WRITER, STRANGER = (Ed25519Wallet(bytes([n]) * 32) for n in (1, 2, 3))
FEW = {
    "upload_quota": 5 * MIB,
    "operator": OPERATOR.address,
    "cache_writers": [WRITER.address],
}


async def test_room_comes_back_after_an_hour(autojump_clock: trio.testing.MockClock) -> None:
    quota = Quota()
    quota.take(60, 100)
    await trio.sleep(30 * 60)
    quota.take(40, 100)
    with pytest.raises(QuotaExceeded) as refused:
        quota.take(50, 100)
    assert refused.value.status == 429
    await trio.sleep(refused.value.details["retry-after"])
    quota.take(50, 100)
    assert quota.used == 90
    await trio.sleep(2 * 60 * 60)
    assert quota.used == 0


async def test_what_never_has_room_is_too_large() -> None:
    with pytest.raises(TooLarge):
        Quota().take(101, 100)


async def test_without_a_limit_all_is_taken(autojump_clock: trio.testing.MockClock) -> None:
    quota = Quota()
    for _ in range(300):
        quota.take(1 << 40, 0)
        await trio.sleep(60)
    assert 59 <= quota.used >> 40 <= 61


async def upload(url: str, wallet: Ed25519Wallet, *, known: bool, spoilt: bool) -> httpx.Response:
    raw = bytearray(DataItem.create(bytes(2 * MIB)).sign(wallet).to_bytes())
    raw[-1] ^= spoilt

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(raw), MIB):
            yield bytes(raw[start : start + MIB])

    content = bytes(raw) if known else pieces()
    headers = {"content-type": "application/ans104"}
    return await trio.to_thread.run_sync(
        lambda: httpx.post(f"{url}~meta@1.0/build/node", content=content, headers=headers)
    )


@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
async def test_strangers_are_refused_beyond_the_quota_and_writers_are_not(*, known: bool) -> None:
    async with running_node(**FEW) as node, served(node) as url:
        for status in (200, 200, 429):
            answer = await upload(url, STRANGER, known=known, spoilt=False)
            assert answer.status_code == status, answer.text
        assert 0 < int(answer.headers["retry-after"]) <= 3660
        for wallet in (OPERATOR, WRITER):
            assert (await upload(url, wallet, known=known, spoilt=False)).status_code == 200
        node.reconfigure({"upload_quota": 0})
        assert (await upload(url, STRANGER, known=known, spoilt=False)).status_code == 200


async def test_who_only_pretends_to_be_the_operator_is_counted() -> None:
    async with running_node(**FEW) as node, served(node) as url:
        for _ in range(3):
            answer = await upload(url, OPERATOR, known=True, spoilt=True)
            assert answer.status_code == 400
        assert node.uploads.used > 6 * MIB
        assert (await upload(url, STRANGER, known=True, spoilt=False)).status_code == 429
        assert (await upload(url, OPERATOR, known=True, spoilt=False)).status_code == 200


async def test_what_is_announced_and_does_not_come_takes_no_room() -> None:
    item = DataItem.create(bytes(4 * MIB)).sign(STRANGER).to_bytes()
    head = f"POST /~meta@1.0/build/node HTTP/1.1\r\nhost: x\r\ncontent-length: {len(item)}\r\n"
    async with running_node(**FEW) as node, served(node) as url:
        for _ in range(2):
            port = int(url.rstrip("/").rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(f"{head}content-type: application/ans104\r\n\r\n".encode())
                await stream.send_all(item[: MIB + MIB // 4])
                await stream.send_eof()
                await stream.receive_some()
        assert 0 < node.uploads.used < 3 * MIB
        assert (await upload(url, STRANGER, known=True, spoilt=False)).status_code == 200


async def test_a_refused_upload_leaves_nothing() -> None:
    async with running_node(upload_quota=MIB + MIB // 2) as node, served(node) as url:
        before = await node.store.list()
        assert (await upload(url, STRANGER, known=True, spoilt=False)).status_code == 413
        assert (await upload(url, STRANGER, known=False, spoilt=False)).status_code == 429
        assert await node.store.list() == before
