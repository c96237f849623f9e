"""Processes whose scheduler is one of legacynet: read, translated, and written to (spec/05 §4.10).

The stub does what such a scheduler does: it takes items, and gives slots as JSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from hyperbeam_trio.codec.ans104 import write_item
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.devices.scheduling.legacy import Untranslatable
from hyperbeam_trio.devices.scheduling.legacy_items import read_page
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.legacynet import DEFINITION, UNIT, Unit, item, sent
from tests.devices.scheduling.stub import answering
from tests.devices.scheduling.world import (
    OTHER,
    SCHEDULER,
    current,
    listed,
    ping,
    post,
    signed,
)

LOOPBACK = {"http-allow-private": ["127.0.0.1"], "scheduler-async-remote-cache": False}


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
