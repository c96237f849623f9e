"""Stores with something in them: filled, damaged, verified and collected."""

from __future__ import annotations

from types import MappingProxyType

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.collect import Collector, Swept
from hyperbeam_trio.cache.verify import verify
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import Message
from tests.support.dict_store import DictStore

ALICE, BOB = Ed25519Wallet.generate(), Ed25519Wallet.generate()
LARGE = b"x" * 5000
CHILD = Message(body=LARGE, n=1)


async def sign(message: Message, wallet: Ed25519Wallet = ALICE, *committed: str) -> Message:
    """`message` signed by `wallet` over `committed` or all keys; no unsigned commitment."""
    signed = await commit_signed(
        message, wallet, committed=committed or None, limiter=trio.CapacityLimiter(1)
    )
    return signed.with_commitments([c for c in signed.commitments.values() if c.committer])


async def fill(store: DictStore) -> Message:
    """A message of every sort, a result and a name; the signed message."""
    cache = Cache(store)
    signed = await sign(Message(child=CHILD, list=[1, [2, LARGE]]))
    await cache.write(signed, names=["name"])
    await cache.write_result("key", Message(result=1), inputs=[signed])
    return signed


async def report(store: DictStore, after: str = "") -> list[object]:
    """What verifying finds."""
    return [found async for found in verify(store, after=after) if not isinstance(found, Progress)]


def flip(store: DictStore, key: str) -> None:
    """Damage a value by one bit."""
    raw = bytearray(store.values[key])
    raw[len(raw) // 2] ^= 1
    store.values[key] = bytes(raw)


def committed(message: Message, item: bytes) -> Commitment:
    """A commitment of some other device whose evidence is a whole signed item."""
    return Commitment(
        id=hash_id(item),
        device="ans104@1.0",
        type="ed25519",
        signature=b"s" * 64,
        committed=tuple(message),
        keyid="publickey:abc",
        committer="address",
        bundle=True,
        extra=MappingProxyType({"original-tags": Message({"1": {"name": "A", "value": "b"}})}),
        evidence=Evidence(dict(message), item=item),
    )


async def collect(collector: Collector, dry_run: bool = False) -> list[Swept]:
    """Mark and sweep."""
    with collector:
        _ = [progress async for progress in collector.mark()]
        return [swept async for swept in collector.sweep(dry_run=dry_run)]


def swept_keys(found: list[Swept]) -> set[str]:
    """The keys that went."""
    return {key for swept in found for key in swept.keys}
