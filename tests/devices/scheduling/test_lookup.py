"""Locations from permanent storage: found through a gateway, and verified."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import hash_id, to_base64url
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.devices.scheduling.locations import find_location
from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.stub import Asked, Stub, answering
from tests.devices.scheduling.world import OTHER, USER

RECORDS = Message(device="location@1.0")
LEGACY = [
    (b"Data-Protocol", b"ao"),
    (b"Variant", b"ao.TN.1"),
    (b"Type", b"Scheduler-Location"),
    (b"Url", b"https://su.example"),
    (b"Time-To-Live", b"3600000"),
]
NEW = [(b"type", b"location"), (b"url", b"https://new.example"), (b"nonce", b"7")]


def item(tags: Sequence[tuple[bytes, bytes]], wallet: Wallet = USER) -> DataItem:
    return DataItem.create(b"", tags).sign(wallet)


class Gateway:
    """What a gateway says of some items, for each owner and name of the tag that tells their kind.

    `says` may name an item for an owner who has not signed it.
    """

    def __init__(self, **says: DataItem) -> None:
        self._says = says

    def __call__(self, asked: Asked) -> HttpResponse:
        if asked.target != "/graphql":
            return HttpResponse(200)
        variables = orjson.loads(asked.body)["variables"]
        if "owners" in variables:
            found = self._says.get(variables["name"])
            nodes = [] if found is None else [{"id": found.id}]
        else:
            ids = variables["transactionIds"]
            nodes = [described(one) for one in self._says.values() if one.id in ids]
        edges = [{"node": node, "cursor": ""} for node in nodes]
        return HttpResponse(200, [], orjson.dumps({"data": {"transactions": {"edges": edges}}}))


def described(one: DataItem) -> dict[str, object]:
    return {
        "id": one.id,
        "bundledIn": {"id": hash_id(b"some bundle")},
        "anchor": "",
        "signature": to_base64url(one.signature),
        "recipient": "",
        "owner": {"key": to_base64url(one.owner)},
        "tags": [{"name": n.decode(), "value": v.decode()} for n, v in one.tags],
        "data": {"size": "0"},
    }


def asking(gateway: Stub, **options: object):
    return running_node(**{"mode": "prod", "gateway": gateway.url, **options})


def owners(gateway: Stub) -> list[str]:
    """The owners that the gateway's index was asked for, in turn."""
    variables = [orjson.loads(a.body)["variables"] for a in gateway.asked if a.body]
    return [owner for each in variables for owner in each.get("owners", [])]


async def test_a_location_that_nobody_told_of_is_found_through_the_gateway_and_kept():
    async with answering(Gateway(type=item(NEW))) as gateway, asking(gateway) as node:
        found = await node.resolve(RECORDS, USER.address)
        assert found["url"] == b"https://new.example"
        assert found.signers == [USER.address]
        kept = await find_location(USER.address, node.context())
        assert kept is not None
        assert signed_id(kept) == signed_id(found)
        await node.resolve(RECORDS, USER.address)
    assert owners(gateway) == [USER.address]


async def test_a_record_of_legacynet_leads_to_its_scheduler():
    async with answering(Gateway(Type=item(LEGACY))) as gateway, asking(gateway) as node:
        found = await node.resolve(RECORDS, USER.address)
        assert found["url"] == b"https://su.example"
        assert found["variant"] == b"ao.TN.1"


async def test_records_of_legacynet_are_not_asked_for_where_the_operator_says_so():
    off = {"scheduler-legacy-locations": False}
    async with answering(Gateway(Type=item(LEGACY))) as gateway, asking(gateway, **off) as node:
        with pytest.raises(NotFound, match="No location found"):
            await node.resolve(RECORDS, USER.address)


async def test_what_is_not_there_is_not_asked_for_again_at_once():
    async with answering(Gateway()) as gateway, asking(gateway) as node:
        for _ in range(3):
            with pytest.raises(NotFound, match="No location found"):
                await node.resolve(RECORDS, USER.address)
    assert owners(gateway) == [USER.address] * 2


async def test_a_record_of_somebody_else_is_not_taken():
    async with answering(Gateway(type=item(NEW, OTHER))) as gateway, asking(gateway) as node:
        with pytest.raises(NotFound, match="No location found"):
            await node.resolve(RECORDS, USER.address)


@pytest.mark.parametrize("answer", [HttpResponse(500), HttpResponse(200, body=b"{}")])
async def test_a_gateway_in_trouble_is_as_good_as_none(answer):
    async with answering(lambda asked: answer) as gateway, asking(gateway) as node:
        with pytest.raises(NotFound, match="No location found"):
            await node.resolve(RECORDS, USER.address)


async def test_in_debug_mode_nobody_is_asked():
    async with (
        answering(Gateway(type=item(NEW))) as gateway,
        asking(gateway, mode="debug") as node,
    ):
        with pytest.raises(NotFound, match="No location found"):
            await node.resolve(RECORDS, USER.address)
    assert gateway.asked == []


async def test_our_own_record_is_uploaded_to_the_bundler():
    async with answering(lambda asked: HttpResponse(200)) as bundler:
        options = {"bundler-httpsig": bundler.url, "location-url": "https://here.example"}
        async with running_node(**options) as node:
            await node.resolve("/~location@1.0/node")
            await bundler.until(1)
    assert bundler.asked[0].headers["url"] == b"https://here.example"
