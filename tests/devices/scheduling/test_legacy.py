"""Processes whose scheduler is one of legacynet: read, translated, and written to (spec/05 §4.10).

The stub does what such a scheduler does: it takes items, and gives slots as JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from hyperbeam_trio.codec.ans104 import read_item, write_item
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling.legacy import Untranslatable
from hyperbeam_trio.devices.scheduling.legacy_items import read_page
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.stub import Asked, answering
from tests.devices.scheduling.world import (
    OTHER,
    SCHEDULER,
    USER,
    current,
    listed,
    ping,
    post,
    signed,
)

UNIT = Ed25519Wallet(bytes([5]) * 32)
LOOPBACK = {"http-allow-private": ["127.0.0.1"], "scheduler-async-remote-cache": False}


def as_json(item: DataItem) -> dict[str, object]:
    """An item in the words of such schedulers."""
    return {
        "id": item.id,
        "signature": to_base64url(item.signature),
        "owner": {"key": to_base64url(item.owner), "address": item.address},
        "target": to_base64url(item.target),
        "anchor": "",
        "tags": [{"name": name.decode(), "value": value.decode()} for name, value in item.tags],
        "data": bytes(item.data).decode(),
    }


class Unit:
    """A scheduler of legacynet for one process; `size` slots a page."""

    def __init__(self, process: str, size: int = 3) -> None:
        self.process = process
        self.wallet = UNIT
        self.size = size
        self.slots: list[tuple[DataItem, DataItem]] = []

    def take(self, item: DataItem) -> DataItem:
        nonce = len(self.slots)
        tags = {
            "Process": self.process,
            "Epoch": "0",
            "Nonce": str(nonce),
            "Message": item.id,
            "Block-Height": str(1000 + nonce),
            "Timestamp": str(1_700_000_000_000 + nonce),
        }
        pairs = [(name.encode(), value.encode()) for name, value in tags.items()]
        assignment = DataItem.create(b"", pairs).sign(self.wallet)
        self.slots.append((item, assignment))
        return assignment

    def __call__(self, asked: Asked) -> HttpResponse:
        if asked.method == "POST":
            id = self.take(DataItem.parse(asked.body)).id
            return HttpResponse(200, body=orjson.dumps({"id": id, "timestamp": 0}))
        url = urlsplit(asked.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert query["process-id"] == self.process
        return HttpResponse(200, body=orjson.dumps(self._answer(url.path.strip("/"), query)))

    def _answer(self, path: str, query: dict[str, str]) -> object:
        if path == f"{self.process}/latest":
            return self._node(len(self.slots) - 1)
        if path != self.process:
            return self._node([assignment.id for _, assignment in self.slots].index(path))
        last = min(int(query.get("to-nonce", len(self.slots))), len(self.slots) - 1)
        wanted = range(int(query.get("from-nonce", -1)) + 1, last + 1)
        edges = [{"cursor": str(n), "node": self._node(n)} for n in wanted[: self.size]]
        return {"page_info": {"has_next_page": len(wanted) > self.size}, "edges": edges}

    def _node(self, nonce: int) -> dict[str, object]:
        message, assignment = self.slots[nonce]
        return {"message": as_json(message), "assignment": as_json(assignment)}


def item(process: str, data: str, **tags: str) -> DataItem:
    pairs = [(name.encode(), value.encode()) for name, value in tags.items()]
    return DataItem.create(data.encode(), [*pairs, (b"target", process.encode())]).sign(USER)


def sent(item: DataItem) -> Message:
    message = read_item(item)
    assert isinstance(message, Message)
    return message


DEFINITION = DataItem.create(
    b"",
    [
        (b"Data-Protocol", b"ao"),
        (b"Variant", b"ao.TN.1"),
        (b"Type", b"Process"),
        (b"Scheduler", UNIT.address.encode()),
        (b"device", b"process@1.0"),
    ],
).sign(USER)


@pytest.fixture
def unit() -> Unit:
    unit = Unit(DEFINITION.id)
    unit.take(DEFINITION)
    return unit


@pytest.fixture
async def node(unit: Unit) -> AsyncIterator[Node]:
    """A node that knows the process, and where its scheduler is."""
    async with answering(unit) as stub, running_node(**LOOPBACK) as node:
        await node.cache.write(sent(DEFINITION))
        keys = {"type": "location", "url": stub.url, "variant": "ao.TN.1", "nonce": 1}
        record = await signed(Message({**keys, "time-to-live": 10**9}), UNIT)
        told = record.set(path="known", method="POST")
        told = told.with_commitments(record.commitments.values())
        await node.resolve(Message(device="location@1.0"), told)
        yield node


async def test_the_newest_slot_and_its_block_are_told(node, unit):
    unit.take(item(unit.process, "1"))
    assert await current(node, unit.process) == 1
    slot = await node.resolve(SCHEDULER, Message(path="slot", target=unit.process))
    assert slot["block-height"] == 1001
    assert slot["addresses"] == [UNIT.address.encode()]


async def test_a_schedule_is_read_page_by_page_and_translated(node, unit):
    items = [item(unit.process, str(number), Action="Eval") for number in range(7)]
    for one in items:
        unit.take(one)
    page = await listed(node, unit.process)
    assert page["continues"] is False
    assert page["block-height"] == 1007
    found = page.message("assignments")
    assert list(found) == [str(slot) for slot in range(8)]
    third = found.message("3")
    assert third["slot"] == 3
    assert third["epoch"] == 0
    assert third["timestamp"] == 1_700_000_000_003
    assert third["block-hash"] == b"A" * 43
    assert signed_id(third.message("body")) == items[2].id
    assert third.message("body")["action"] == b"Eval"


async def test_a_range_of_a_schedule_is_just_that(node, unit):
    for number in range(9):
        unit.take(item(unit.process, str(number)))
    page = await listed(node, unit.process, **{"from": 2, "to": 6})
    assert list(page.message("assignments")) == ["2", "3", "4", "5", "6"]


async def test_a_message_is_posted_as_the_item_that_its_sender_signed(node, unit):
    one = item(unit.process, "1 + 1", Action="Eval")
    assignment = await post(node, sent(one))
    assert assignment["slot"] == 1
    assert signed_id(assignment.message("body")) == one.id
    assert unit.slots[1][0].to_bytes() == write_item(sent(one)).to_bytes()


async def test_the_assignments_go_into_the_computation(node, unit):
    unit.take(item(unit.process, "first"))
    state = SCHEDULER.set(process=sent(DEFINITION))
    found = await node.resolve(state.set({"at-slot": 0}), Message(path="next"))
    assert found.message("body").message("body")["data"] == b"first"


async def test_a_message_that_nobody_signed_as_an_item_can_not_be_posted(node, unit):
    with pytest.raises(Untranslatable, match=r"Message must be signed with ANS-104\.") as error:
        await post(node, await ping(unit.process))
    assert error.value.status == 422
    assert len(unit.slots) == 1


async def test_what_another_has_assigned_is_not_believed(node, unit):
    unit.wallet = OTHER
    unit.take(item(unit.process, "1"))
    with pytest.raises(RemoteError, match=r"No scheduler of .* has signed"):
        await listed(node, unit.process)


async def test_an_item_that_does_not_verify_is_not_believed_unless_the_operator_trusts(node, unit):
    changed = item(unit.process, "1")
    changed = DataItem.parse(changed.to_bytes()[:-1] + b"2")
    unit.take(changed)
    with pytest.raises(RemoteError, match="does not verify"):
        await listed(node, unit.process)
    node.reconfigure({"ans104-trust-gql": True})
    page = await listed(node, unit.process)
    body = page.message("assignments").message("1").message("body")
    assert body["data"] == b"2"
    assert body.signers == []


async def test_a_process_of_another_is_not_taken_for_ours(node, unit):
    unit.take(item(unit.process, "1"))
    unit.process, asked = "B" * 43, unit.process
    unit.take(item(asked, "2"))
    unit.process = asked
    with pytest.raises(RemoteError, match="of another process"):
        await listed(node, asked)


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"edges": [{}]}', b'{"assignment": 1}'])
def test_what_is_no_page_is_told_as_such(body):
    with pytest.raises(RemoteError, match="no slots that can be read"):
        read_page(body)
