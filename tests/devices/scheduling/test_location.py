"""`location@1.0`: signed records of where a node answers; newer ones win."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.location import OPEN_LIFETIME, LocationDevice
from hyperbeam_trio.devices.scheduling.locations import find_location, is_stale, lifetime
from hyperbeam_trio.errors import BadRequest, ConfigError, Forbidden, InvalidCommitment, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.scheduling.world import OTHER, USER, signed

RECORDS = Message(device="location@1.0")


class TestContract(DeviceContract):
    device = LocationDevice
    requests = ({"path": "all"},)  # type: ignore[assignment]
    plain_keys = False


async def record(wallet: Wallet = USER, **keys: Any) -> Message:
    fields = {"type": "location", "url": "https://user.example", "nonce": 7, "time-to-live": 10**9}
    return await signed(Message({**fields, **keys}), wallet)


def to(key: str, message: Message) -> Message:
    asked = message.set(path=key, method="POST")
    return asked.with_commitments(message.commitments.values())


async def tell(node: Node, message: Message) -> Any:
    return await node.resolve(RECORDS, to("known", message))


@pytest.fixture
async def operated() -> AsyncIterator[Node]:
    async with running_node(wallet=USER, **{"location-url": "https://node.example"}) as node:
        yield node


async def test_a_record_that_is_told_is_found_by_its_address(node):
    told = await record()
    await tell(node, told)
    found = await node.resolve(RECORDS, USER.address)
    assert found == told
    assert found.signers == [USER.address]
    assert await node.resolve(RECORDS, "known") == [USER.address.encode()]
    assert await node.resolve(RECORDS, "all") == [USER.address.encode()]


async def test_an_address_that_nobody_told_of_is_not_found(node):
    with pytest.raises(NotFound, match=f"No location found for address: {USER.address}"):
        await node.resolve(RECORDS, USER.address)


async def test_a_newer_record_wins_and_an_older_one_is_refused(node):
    await tell(node, await record(nonce=7))
    with pytest.raises(BadRequest, match="Known nonce"):
        await tell(node, await record(nonce=7, url="https://old.example"))
    await tell(node, newer := await record(nonce=8, url="https://new.example"))
    assert await node.resolve(RECORDS, USER.address) == newer


async def test_several_signers_are_all_found_by_one_record(node):
    both = await signed(await record(), OTHER)
    await tell(node, both)
    for wallet in (USER, OTHER):
        assert (await node.resolve(RECORDS, wallet.address)).text("url") == "https://user.example"


async def test_records_that_do_not_hold_are_refused(node):
    good = await record()
    forged = good.set(url="https://thief.example").with_commitments(good.commitments.values())
    with pytest.raises(InvalidCommitment):
        await tell(node, forged)
    with pytest.raises(BadRequest, match="has to be signed"):
        await tell(node, good.uncommitted())
    with pytest.raises(BadRequest, match="'type'"):
        await tell(node, await record(type="elsewhere"))
    with pytest.raises(BadRequest, match="'url'"):
        await tell(node, await signed(Message({"type": "location", "nonce": 1})))
    assert await node.resolve(RECORDS, "all") == []


async def test_older_records_are_of_another_type(node):
    await tell(node, await record(type="Scheduler-Location"))
    assert (await node.resolve(RECORDS, USER.address)).text("type") == "Scheduler-Location"


async def test_anybody_may_ask_for_the_nodes_own_record(operated):
    own = await operated.resolve(RECORDS, "node")
    assert own.text("url") == "https://node.example"
    assert own.text("type") == "location"
    assert own.int("time-to-live") == OPEN_LIFETIME
    assert own.signers == [operated.address]
    assert await operated.resolve(RECORDS, "node") == own
    assert await operated.resolve(RECORDS, operated.address) == own


async def test_where_only_the_operator_may_make_a_record_others_get_none():
    async with running_node(**{"location-open-generation": False}) as node:
        with pytest.raises(Forbidden, match="only its operator"):
            await node.resolve(RECORDS, "node")


async def test_the_operator_gives_url_and_lifetime(operated):
    asked = await signed(Message({"url": "https://moved.example", "time-to-live": 5 * 10**8}))
    own = await operated.resolve(RECORDS, to("node", asked))
    assert own.text("url") == "https://moved.example"
    assert own.int("time-to-live") == 5 * 10**8
    assert await operated.resolve(RECORDS, "node") == own


async def test_the_operators_nonce_has_to_be_new(operated):
    asked = await signed(Message(nonce=10))
    assert (await operated.resolve(RECORDS, to("node", asked))).int("nonce") == 10
    with pytest.raises(BadRequest, match="Known nonce higher") as error:
        await operated.resolve(RECORDS, to("node", asked))
    assert error.value.details["existing-nonce"] == 10


async def test_nobody_else_may_give_a_nonce(operated):
    with pytest.raises(Forbidden, match="Only the operator"):
        await operated.resolve(RECORDS, to("node", await signed(Message(nonce=10), OTHER)))


async def test_other_nodes_are_told_of_a_new_record():
    async with (
        running_node(wallet=OTHER) as peer,
        served(peer),
        running_node(wallet=USER, **{"location-notify": [peer.urls[0]]}) as node,
    ):
        own = await node.resolve(RECORDS, "node")
        with trio.fail_after(5):
            while await find_location(USER.address, peer.context()) is None:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert await peer.resolve(RECORDS, USER.address) == own


async def test_an_old_record_is_used_and_asked_for_anew():
    async with (
        running_node(wallet=USER) as peer,
        served(peer),
        running_node(wallet=OTHER, **{"http-allow-private": ["127.0.0.1"]}) as node,
    ):
        await tell(node, old := await record(url=peer.urls[0], **{"time-to-live": 1}))
        assert await node.resolve(RECORDS, USER.address) == old
        with trio.fail_after(5):
            while await find_location(USER.address, node.context()) == old:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert await node.resolve(RECORDS, USER.address) == await peer.resolve(RECORDS, "node")


@pytest.mark.parametrize(
    ("given", "milliseconds"), [(604_800, 604_800_000), (604_800_000, 604_800_000), (0, 0)]
)
def test_a_short_lifetime_is_meant_in_seconds(given, milliseconds):
    assert lifetime(Message({"time-to-live": given})) == milliseconds


def test_a_record_is_old_after_its_lifetime():
    kept = Message({"nonce": 1000, "time-to-live": 10**9})
    assert not is_stale(kept, 1000 + 10**9)
    assert is_stale(kept, 1001 + 10**9)


async def test_the_older_name_of_the_device_still_answers(node):
    scheduler = Message(device="scheduler@1.0")
    await node.resolve(scheduler, to("location", await record()))
    found = await node.resolve(scheduler, Message(path="location", address=USER.address))
    assert found.message("body") == await node.resolve(RECORDS, USER.address)


async def test_the_operator_chooses_the_codec_of_the_record():
    async with running_node(wallet=USER, **{"location-codec": "ans104@1.0"}) as node:
        own = await node.resolve(RECORDS, "node")
        assert [c.device for c in own.commitments.values()] == ["ans104@1.0"]
        assert own.signers == [USER.address]
        assert verify_message(own, commitment_ids="all")
        assert await node.resolve(RECORDS, USER.address) == own
    with pytest.raises(ConfigError, match="location-codec"):
        NodeConfig().with_options({"location-codec": "json@1.0"})
