"""A process that HyperBEAM scheduled goes on here, once its store was imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperbeam_trio.codec.ids import link_id, signed_id
from hyperbeam_trio.crypto.key_file import save_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling.chain import extend_chain
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.world import current, ping, post, spawn
from tests.support.older_messages import add_signed
from tests.support.older_store import WRITERS, Layout, To, taken_over


@pytest.mark.parametrize("kind", ["fs", "lmdb"])
@pytest.mark.parametrize("names", ["~scheduler@1.0/assignments", "assignments"])
async def test_the_next_slot_follows_the_last_of_the_other_node(
    tmp_path: Path, kind: str, names: str
) -> None:
    wallet = tmp_path / "wallet.json"
    save_wallet(Ed25519Wallet(bytes([6]) * 32), wallet)
    process, schedule = await _scheduled(wallet)
    layout: Layout = {}
    for slot, assignment in enumerate(schedule):
        add_signed(layout, assignment, link_id)
        layout[f"{names}/{process}/{slot}"] = To(signed_id(assignment))
    await taken_over(WRITERS[kind](tmp_path / "older", layout), f"lmdb:{tmp_path}/data")
    async with running_node(store=f"lmdb:{tmp_path}/data", priv_key_location=str(wallet)) as node:
        assert await current(node, process) == 3
        message = await ping(process, n=4)
        assignment = await post(node, message)
        assert assignment.int("slot") == 4
        last = schedule[-1].text("hash-chain")
        assert assignment.text("hash-chain") == extend_chain(last, signed_id(message))


async def _scheduled(wallet: Path) -> tuple[str, list[Message]]:
    """A process of four slots and its assignments, whole."""
    async with running_node(store="memory:", priv_key_location=str(wallet)) as node:
        process = await spawn(node)
        for n in range(1, 4):
            await post(node, await ping(process, n=n))
        return process, await Slots(node.cache, process).read_many(range(4))
