"""push@1.0 beyond this node and this outbox: resolve, policies, codecs, routes, hints, pins."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import load_or_create
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.message import Message, to_value
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.processes.conftest import Running, spawn

HERE, THERE = Ed25519Wallet(bytes([1]) * 32), Ed25519Wallet(bytes([2]) * 32)
LOOPBACK = {"http_allow_private": ["127.0.0.1"], "scheduler_async_remote_cache": False}


class PostDevice(Device):
    """Sends the entry in a message's `send`, or one message to each of the targets in `send-to`."""

    name = "post@1.0"

    @key
    async def compute(self, base, request, context):
        body = await context.load_all(await context.view(request, "body"))
        targets = [t for t in body.text("send-to", "").split(",") if t]
        outbox = {str(n): Message(target=t) for n, t in enumerate(targets, 1)}
        if "send" in body:
            outbox["1"] = body["send"]
        return base.set(results={"data": f"slot {request.int('slot')}", "outbox": outbox})


class OracleDevice(Device):
    """Knows the price of what it is asked for."""

    name = "oracle@1.0"
    volatile = True

    @key
    async def price(self, base, request, context):
        return Message(answer=f"{request.text('of')} costs 5")

    @key
    async def ponder(self, base, request, context):
        await trio.sleep_forever()


class FussyDevice(Device):
    """A scheduler that takes ANS-104 items only, and hands them to `scheduler@1.0`."""

    name = "fussy@1.0"
    volatile = True

    @default
    async def any(self, name, base, request, context):
        body = request.get("body")
        if isinstance(body, Message) and body.get("type") == b"Message":
            kinds = {c.device for c in body.commitments.values() if c.committer}
            if kinds != {"ans104@1.0"}:
                raise HyperbeamError("Message must be signed with ANS-104.", status=422)
        return await context.resolve(base.set(device="scheduler@1.0"), request)


DEVICES = {"post@1.0": PostDevice, "oracle@1.0": OracleDevice, "fussy@1.0": FussyDevice}


@pytest.fixture
async def node():
    async with running_node(devices=DEVICES) as running:
        yield running


async def _post(node, **keys) -> Running:
    return await spawn(node, execution_device="post@1.0", **keys)


async def _received(process: Running, slot: int) -> Message:
    return await process.node.cache.load_all(await process.ask(f"schedule/assignments/{slot}/body"))


# Entries that want something resolved.


async def test_what_an_entry_wants_resolved_is_sent_in_its_place(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    entry = {"target": receiver.id, "resolve": "/~oracle@1.0/price", "of": "tea"}
    answer = await sender.push(send=entry)
    assert answer["1"]["slot"] == 1
    got = await _received(receiver, 1)
    assert got["answer"] == b"tea costs 5"
    assert got["from-process"] == sender.id.encode()
    assert "of" not in got


async def test_a_value_that_is_no_message_becomes_the_body_of_one(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    await sender.push(send={"target": receiver.id, "resolve": "/~message@1.0&x=7/x"})
    assert (await _received(receiver, 1))["body"] == b"7"


async def test_the_sender_hears_of_what_could_not_be_resolved(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    entry = {"target": receiver.id, "resolve": "/~message@1.0/nothing", "mark": "m"}
    answer = await sender.push(send=entry)
    assert answer["1"]["target"] == sender.id.encode()
    assert answer["1"]["slot"] == 2
    heard = await _received(sender, 2)
    assert (heard["resolve"], heard["status"]) == (b"error", 400)
    assert heard["outbox-index"] == b"1"
    assert heard["source"]["mark"] == b"m"
    assert (await receiver.ask("slot"))["current"] == 0


async def test_what_is_resolved_can_not_push_in_its_turn(node):
    sender = await _post(node)
    entry = {"target": sender.id, "resolve": f"/{sender.id}~process@1.0/push&slot=1"}
    await sender.push(send=entry)
    assert b"can't push in its turn" in (await _received(sender, 2))["reason"]


async def test_a_policy_can_not_push_either(node):
    sender = await _post(node)
    loop = await _post(node, policy=f"/{sender.id}~process@1.0/push&slot=1")
    answer = await sender.push(**{"send-to": loop.id})
    assert b"can't push in its turn" in answer["1"]["reason"]


async def test_what_takes_too_long_to_resolve_is_told_to_the_sender(node, autojump_clock):
    node.reconfigure({"push-time-limit": 1000})
    sender = await _post(node)
    await sender.push(send={"target": sender.id, "resolve": "/~oracle@1.0/ponder"})
    assert b"more than 1 s" in (await _received(sender, 2))["reason"]


async def test_what_is_resolved_has_not_the_operator_s_rights(node):
    sender = await _post(node)
    before = node.config
    path = "/~meta@1.0/info"
    await sender.push(send={"target": sender.id, "resolve": path, "method": "POST", "port": "1"})
    assert (await _received(sender, 2))["resolve"] == b"error"
    assert node.config is before


# Who signs, and how.


@pytest.fixture
def trusted(tmp_path):
    """A further identity of the node: its address, and the option."""
    file = str(tmp_path / "trusted.json")
    return load_or_create(file, "ed25519").address, {"trusted": {"priv-wallet": file}}


async def test_a_policy_says_whose_signatures_a_process_accepts(node, trusted):
    address, identities = trusted
    node.reconfigure({"identities": identities})
    sender = await _post(node)
    policy = {"accept-committers": [address]}
    told = await _post(node, policy=policy, authority=node.address)
    asked = await _post(node, policy="rules", rules=policy, authority=node.address)
    answer = await sender.push(**{"send-to": f"{told.id},{asked.id}"})
    assert [answer[n]["slot"] for n in ("1", "2")] == [1, 1]
    assert (await _received(told, 1)).signers == [address]
    assert (await _received(asked, 1)).signers == [address]


async def test_a_policy_that_says_nothing_is_told_of(node):
    sender, receiver = await _post(node), await _post(node, policy="nowhere")
    answer = await sender.push(**{"send-to": receiver.id})
    assert answer["1"]["response"] == b"error"
    assert b"policy" in answer["1"]["reason"]


async def test_the_codec_of_the_options_signs(node):
    node.reconfigure({"scheduler-default-commitment-spec": "ans104@1.0"})
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    await sender.push(**{"send-to": receiver.id})
    got = await _received(receiver, 1)
    assert {c.device for c in got.commitments.values() if c.committer} == {"ans104@1.0"}
    assert got.signers == [node.address]


async def test_a_scheduler_that_wants_ans104_gets_it(node):
    sender = await _post(node)
    receiver = await _post(node, scheduler_device="fussy@1.0")
    answer = await sender.push(**{"send-to": receiver.id})
    assert answer["1"]["slot"] == 1
    got = await _received(receiver, 1)
    assert {c.device for c in got.commitments.values() if c.committer} == {"ans104@1.0"}
    assert signed_id(got) == answer["1"].text("id")


# Bounds.


async def test_a_push_sends_only_so_many_messages(node):
    node.reconfigure({"push-max-messages": 3})
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    answer = await sender.push(**{"send-to": ",".join([receiver.id] * 5)})
    assert [answer[str(n)].get("slot") for n in range(1, 6)] == [1, 2, 3, None, None]
    assert answer["5"]["status"] == 503
    assert b"push-max-messages" in answer["5"]["reason"]


async def test_a_process_may_say_that_nobody_waits(node):
    for keys in ({"async": "true"}, {"push-mode": "async"}):
        sender = await _post(node, **keys)
        slot = await sender.send()
        assert (await sender.ask("push", slot=slot))["status"] == 202


# Once.


async def test_what_was_pushed_once_is_not_sent_again(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": receiver.id})
    first = await sender.ask("push", slot=slot, once="true")
    again = await sender.ask("push", slot=slot, once="true")
    assert again["1"] == first["1"]
    assert (await receiver.ask("slot"))["current"] == 1
    await sender.ask("push", slot=slot)
    assert (await receiver.ask("slot"))["current"] == 2


async def test_many_who_push_a_slot_once_send_its_messages_once(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": ",".join([receiver.id] * 3)})
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: sender.ask("push", slot=slot, once="true"))
    assert (await receiver.ask("slot"))["current"] == 3


async def test_what_failed_is_tried_again_by_the_next_push(node):
    node.reconfigure({"push-max-messages": 1})
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": ",".join([receiver.id] * 2)})
    first = await sender.ask("push", slot=slot, once="true")
    assert first["2"]["status"] == 503
    second = await sender.ask("push", slot=slot, once="true")
    assert [second[n]["slot"] for n in ("1", "2")] == [1, 2]


# Other nodes.


@asynccontextmanager
async def _two(**options):
    """A node, another one that is served, and a process that the other one schedules."""
    async with (
        running_node(wallet=THERE, devices=DEVICES) as there,
        served(there) as url,
        running_node(wallet=HERE, devices=DEVICES, **LOOPBACK, **options) as here,
    ):
        yield here, there, url, await _post(there, random_seed="there")


async def _introduce(node, process: Running) -> None:
    """Let a node know a process of another one, and where that is."""
    await node.cache.write(await process.node.cache.read(process.id))
    record = await process.node.resolve("/~location@1.0/node")
    known = record.set(path="known", method="POST").with_commitments(record.commitments.values())
    await node.resolve(Message(device="location@1.0"), known)


async def test_a_target_at_another_scheduler_is_reached(node):
    async with _two() as (here, _, _, receiver):
        await _introduce(here, receiver)
        sender = await _post(here)
        answer = await sender.push(**{"send-to": receiver.id})
        assert answer["1"]["slot"] == 1
        assert answer["1"]["resulted-in"] == Message(process=receiver.id, slot=1)
        got = await _received(receiver, 1)
        assert got["from-process"] == sender.id.encode()
        assert got.signers == [here.address]


async def test_a_target_at_another_scheduler_is_reached_where_reads_are_not_redirected(node):
    async with _two(scheduler_follow_redirects=False) as (here, _, _, receiver):
        await _introduce(here, receiver)
        answer = await (await _post(here)).push(**{"send-to": receiver.id, "max-depth": "0"})
        assert answer["1"]["slot"] == 1
        assert (await receiver.ask("slot"))["current"] == 1


async def test_a_hint_says_where_an_unknown_target_is(node):
    async with _two() as (here, _, url, receiver):
        sender = await _post(here)
        answer = await sender.push(**{"send-to": f"{receiver.id}?hint={url}"})
        assert answer["1"]["target"] == receiver.id.encode()
        assert answer["1"]["slot"] == 1
        here.reconfigure({"scheduler-follow-hints": False})
        other = await _post(receiver.node, random_seed="other")
        answer = await sender.push(**{"send-to": f"{other.id}?hint={url}"})
        assert answer["1"]["reason"] == b"Could not access target process!"


async def test_the_routes_say_who_pushes_further(node):
    async with _two() as (here, there, url, receiver):
        await _introduce(here, receiver)
        here.reconfigure({"routes": [{"template": f"^/{receiver.id}/push", "node": url}]})
        third = await _post(there, random_seed="third")
        sender = await _post(here)
        entry = {"target": receiver.id, "send-to": third.id}
        answer = await sender.push(send=entry)
        there_answer = answer["1"]["resulted-in"]
        assert there_answer["process"] == receiver.id.encode()
        assert there_answer["1"]["target"] == third.id.encode()
        assert (await third.ask("slot"))["current"] == 1
        assert await here.cache.names(f"computed/{receiver.id}/") == []


async def test_once_is_once_at_the_other_node_too(node):
    async with _two() as (here, there, url, receiver):
        await _introduce(here, receiver)
        here.reconfigure({"routes": [{"template": f"^/{receiver.id}/push", "node": url}]})
        third = await _post(there, random_seed="third")
        sender = await _post(here)
        slot = await sender.send(send={"target": receiver.id, "send-to": third.id})
        for _ in range(2):
            await sender.ask("push", slot=slot, once="true")
        assert (await receiver.ask("slot"))["current"] == 1
        assert (await third.ask("slot"))["current"] == 1


async def test_a_depth_goes_on_at_the_other_node(node):
    async with _two() as (here, there, url, receiver):
        await _introduce(here, receiver)
        here.reconfigure({"routes": [{"template": "/push", "node": url}]})
        third = await _post(there, random_seed="third")
        sender = await _post(here)
        slot = await sender.send(send={"target": receiver.id, "send-to": third.id})
        answer = await here.cache.load_all(
            await sender.ask("push", **{"slot": slot, "max-depth": 1})
        )
        assert answer["1"]["resulted-in"]["1"]["resulted-in"] == b"skipped"


async def test_a_node_that_the_routes_name_and_that_is_away_is_told_of(node):
    node.reconfigure({"routes": [{"template": "/push", "node": "http://127.0.0.1:1"}]})
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    answer = await sender.push(**{"send-to": receiver.id})
    assert answer["1"]["slot"] == 1
    assert answer["1"]["resulted-in"]["status"] == 502


async def test_a_route_that_leads_to_the_node_itself_is_no_detour(node):
    async with served(node) as url:
        node.reconfigure({"routes": [{"template": "/push", "node": url}]})
        sender, receiver = await _post(node), await _post(node, random_seed="b")
        answer = await sender.push(**{"send-to": receiver.id})
        assert answer["1"]["resulted-in"] == Message(process=receiver.id, slot=1)


# Push on compute.


async def _idle() -> None:
    await trio.testing.wait_all_tasks_blocked(0.05)


async def test_slots_that_a_compute_adds_are_pushed_if_it_says_so(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    for _ in range(3):
        await sender.send(**{"send-to": receiver.id})
    await sender.ask("compute", slot=1)
    await _idle()
    assert (await receiver.ask("slot"))["current"] == 0
    await sender.ask("compute", slot=3, push="true")
    await _idle()
    assert (await receiver.ask("slot"))["current"] == 2
    await sender.ask("compute", slot=3, push="true")
    await sender.ask("now", push=0)
    await _idle()
    assert (await receiver.ask("slot"))["current"] == 2


async def test_many_who_wait_for_one_slot_push_it_once(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    await sender.send(**{"send-to": receiver.id})
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: sender.ask("now", push="true"))
    await _idle()
    assert (await receiver.ask("slot"))["current"] == 1


async def test_the_number_is_how_far_it_goes(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    third = await _post(node, random_seed="c")
    await sender.send(send=to_value({"target": receiver.id, "send-to": third.id}))
    await sender.ask("now", push=0)
    await _idle()
    assert (await receiver.ask("slot"))["current"] == 1
    assert (await third.ask("slot"))["current"] == 0


async def test_a_timer_keeps_a_process_going(node, autojump_clock):
    node.reconfigure({"cron-access": "anyone"})
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    timer = {"interval": "5-seconds", "cron-path": f"/{sender.id}/now", "push": "0"}
    await node.resolve(Message(device="cron@1.0"), Message({"path": "every", **timer}))
    for slot in (1, 2):
        await sender.send(**{"send-to": receiver.id})
        await trio.sleep(6)
        assert (await receiver.ask("slot"))["current"] == slot
