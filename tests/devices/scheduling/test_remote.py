"""A process whose scheduler is another node: posts are passed on, reads follow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import BadRequest, HyperbeamError, NotFound, RemoteError
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.scheduling.world import (
    SCHEDULER,
    current,
    definition,
    listed,
    ping,
    post,
    signed,
    spawn,
)

HERE = Ed25519Wallet(bytes([1]) * 32)
THERE = Ed25519Wallet(bytes([2]) * 32)
LOOPBACK = {"http-allow-private": ["127.0.0.1"], "scheduler-async-remote-cache": False}


@pytest.fixture
async def there() -> AsyncIterator[Node]:
    """The node that schedules."""
    async with running_node(wallet=THERE) as node, served(node):
        yield node


@pytest.fixture
async def here() -> AsyncIterator[Node]:
    """The node that is asked."""
    async with running_node(wallet=HERE, **LOOPBACK) as node:
        yield node


@pytest.fixture
async def process(here: Node, there: Node) -> str:
    """A process of the other node, which this one has met: its definition and location."""
    id = await spawn(there)
    found = await there.cache.read(id)
    assert isinstance(found, Message)
    await here.cache.write(found)
    record = await there.resolve("/~location@1.0/node")
    assert isinstance(record, Message)
    known = record.set(path="known", method="POST").with_commitments(record.commitments.values())
    await here.resolve(Message(device="location@1.0"), known)
    return id


async def test_a_message_is_passed_on_to_the_scheduler(here, there, process):
    message = await ping(process, nested=Message(x="1"))
    assignment = await post(here, message)
    assert assignment.int("slot") == 1
    assert assignment.signers == [there.address]
    assert signed_id(assignment.message("body")) == signed_id(message)
    assert await current(there, process) == 1
    assert here.schedulers.names() == []


async def test_a_body_that_only_the_request_signs_is_passed_on_with_it(here, there, process):
    body = Message(target=process, data="code")
    wrapper = await signed(Message(body=body))
    wrapper = wrapper.with_private(transport={}, signed=wrapper)
    request = wrapper.set(path="schedule", method="POST").with_private(singleton=wrapper)
    assignment = await here.resolve(SCHEDULER, request)
    assert assignment["slot"] == 1
    assert assignment.message("body").uncommitted() == body


async def test_a_message_that_does_not_verify_is_not_passed_on(here, there, process):
    message = await ping(process)
    forged = message.set(type="forged").with_commitments(message.commitments.values())
    with pytest.raises(BadRequest, match="not valid"):
        await post(here, forged)
    assert await current(there, process) == 0


async def test_the_newest_slot_is_that_of_the_scheduler(here, there, process):
    for slot in range(3):
        assert await current(here, process) == slot
        await post(there, await ping(process))


async def test_a_schedule_is_read_from_its_scheduler(here, there, process):
    for _ in range(3):
        await post(there, await ping(process))
    page = await listed(here, process, **{"from": 1, "to": 2})
    assert page["continues"] is False
    found = page.message("assignments")
    assert sorted(found) == ["1", "2"]
    for slot, assignment in found.items():
        assert assignment == await Slots(there.cache, process).read_whole(int(slot))
        assert assignment.signers == [there.address]
    json = await listed(here, process, accept="application/aos-2")
    assert json.text("content-type") == "application/json"


async def test_next_reads_from_the_scheduler_and_keeps_what_it_read(here, there, process):
    for _ in range(3):
        await post(there, await ping(process))
    state = SCHEDULER.set(process=await here.cache.read(process))
    found = await here.resolve(state, Message(path="next"))
    assert found.message("body").int("slot") == 0
    assert sorted(found.message("state").private["scheduler@1.0/assignments"]) == [1, 2, 3]
    assert await Slots(here.cache, process, copies=True).read_whole(3) is not None
    with pytest.raises(NotFound, match="not yet available"):
        await here.resolve(state.set({"at-slot": 3}), Message(path="next"))


async def test_what_was_read_once_needs_no_scheduler(here, process):
    async with running_node(wallet=THERE) as gone, served(gone):
        await gone.cache.write(await here.cache.read(process))
        await post(gone, await here.cache.read(process))
        copies = Slots(here.cache, process, copies=True)
        assignment = await Slots(gone.cache, process).read_whole(0)
        assert assignment is not None
        await copies.copy([assignment])
    state = SCHEDULER.set(process=await here.cache.read(process))
    found = await here.resolve(state, Message(path="next"))
    assert found.message("body") == assignment


async def test_reads_are_redirected_where_the_node_shall_not_follow(there, process, here):
    here.reconfigure({"scheduler-follow-redirects": False})
    for path in ("slot", "schedule"):
        answer = await here.resolve(SCHEDULER, Message(path=path, target=process))
        assert answer["status"] == 307
        assert answer.text("location") == there.urls[0].rstrip("/")
        assert answer.text("variant") == "ao.N.1"
    assert (await post(here, await ping(process))).int("slot") == 1


async def test_a_hint_leads_to_a_process_that_is_not_known_yet(there):
    process = await spawn(there)
    hinted = f"{process}?hint={there.urls[0]}"
    async with running_node(wallet=HERE, **LOOPBACK) as node:
        assert await current(node, hinted) == 0
        assert isinstance(await node.cache.read(process), Message)
        message = await signed(Message(target=hinted))
        assert (await post(node, message)).signers == [there.address]


async def test_a_hint_in_the_definition_says_where_its_scheduler_is(there, here):
    named = f"{there.address}?hint={there.urls[0]}"
    process = await definition(None, scheduler=named)
    assert (await post(here, process)).signers == [there.address]


async def test_hints_are_not_followed_where_the_operator_does_not_believe_them(there):
    process = await spawn(there)
    options = {**LOOPBACK, "scheduler-follow-hints": False}
    async with running_node(wallet=HERE, **options) as node:
        with pytest.raises(NotFound, match="is not known here"):
            await current(node, f"{process}?hint={there.urls[0]}")


async def test_a_private_address_in_a_hint_is_not_reached(there):
    process = await spawn(there)
    async with running_node(wallet=HERE) as node:
        with pytest.raises(HyperbeamError) as error:
            await current(node, f"{process}?hint={there.urls[0]}")
        assert error.value.status == 403


async def test_a_scheduler_without_a_location_is_not_found(here):
    process = await definition(None, scheduler=THERE.address)
    with pytest.raises(NotFound, match="No location found for the schedulers"):
        await post(here, process)


async def test_an_assignment_that_the_scheduler_did_not_sign_is_not_believed(here, there):
    """The hint leads to a node that the definition does not name."""
    stranger = Ed25519Wallet(bytes([3]) * 32)
    async with running_node(wallet=stranger) as node, served(node):
        identity = f"{THERE.address}?hint={node.urls[0]}"
        process = await definition(None, scheduler=identity)
        await node.cache.write(process)
        draft = Message({"process": signed_id(process), "slot": 0, "body": process})
        await Slots(node.cache, signed_id(process)).claim(0, [await signed(draft, stranger)])
        await here.cache.write(process)
        with pytest.raises(RemoteError, match=r"no scheduler of .* has signed"):
            await listed(here, signed_id(process))


async def test_a_scheduler_that_is_away_is_told_as_such(here):
    with trio.fail_after(5):
        hint = "http://127.0.0.1:1/"
        elsewhere = await definition(None, scheduler=f"{THERE.address}?hint={hint}")
        with pytest.raises(HyperbeamError) as error:
            await post(here, elsewhere)
    assert error.value.status in (502, 504)
