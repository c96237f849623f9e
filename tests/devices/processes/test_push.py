"""push@1.0: what one process sends, another gets (spec/05 §7)."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.push import PushDevice
from hyperbeam_trio.errors import NotCached, NotFound, RemoteError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, signed, spawn


class PostDevice(Device):
    """Sends what a message asks for: `send-to` names targets, `again` says whether to answer."""

    name = "post@1.0"

    @key
    async def compute(self, base, request, context):
        body = await context.view(request, "body")
        targets = [t for t in body.text("send-to", "").split(",") if t]
        if "from-process" in body and base.get("answers") == b"yes":
            targets.append(body.text("from-process"))
        outbox = {
            str(n): {"Target": t, "number": n} if t != "nobody" else {"number": n}
            for n, t in enumerate(targets, 1)
        }
        return base.set(results={"data": f"slot {request.int('slot')}", "outbox": outbox})


@pytest.fixture
async def node():
    async with running_node(devices={"post@1.0": PostDevice}) as running:
        yield running


async def _post(node, **keys) -> Running:
    return await spawn(node, execution_device="post@1.0", **keys)


async def test_a_message_is_scheduled_computed_and_answered_with_its_results(node):
    process = await _post(node)
    message = await signed(Message(type="Message", target=process.id))
    asked = Message({"path": "push", "method": "POST"}, body=message)
    answer = await node.resolve(Link(process.id), asked)
    assert answer["slot"] == 1
    assert answer["process"] == process.id.encode()
    assert answer["data"] == b"slot 1"
    assert answer["id"] == signed_id(message).encode()
    assert (await process.state(1))["at-slot"] == 1


async def test_a_definition_gives_its_assignment(node):
    message = await signed(
        Message({"device": "process@1.0", "type": "Process", "scheduler": node.address})
    )
    answer = await node.resolve(message, Message(path="push", method="POST", body=message))
    assert answer["slot"] == 0
    assert answer["process"] == signed_id(message).encode()


async def test_what_the_outbox_holds_reaches_its_target(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    answer = await sender.push(**{"send-to": receiver.id})
    entry = answer["1"]
    assert entry["target"] == receiver.id.encode()
    assert entry["slot"] == 1
    assert entry["resulted-in"] == Message(process=receiver.id, slot=1)
    assignment = await receiver.ask("schedule/assignments/1")
    got = await node.cache.load_all(await node.resolve(assignment, "body"))
    assert signed_id(got) == entry.text("id")
    assert got["from-process"] == sender.id.encode()
    assert got["type"] == b"Message"
    assert got.signers == [node.address]
    assert verify_message(got, commitment_ids="all")


async def test_a_program_can_not_say_that_somebody_else_sent_it(node):
    class Liar(Device):
        """Claims to be another."""

        name = "liar@1.0"

        @key
        async def compute(self, base, request, context):
            target = base.text("victim", "")
            message = {"target": target, "from-process": "X" * 43, "From-Process": "Y" * 43}
            return base.set(results={"outbox": {"1": message}})

    async with running_node(devices={"liar@1.0": Liar}) as node:
        victim = await spawn(node)
        liar = await spawn(node, execution_device="liar@1.0", victim=victim.id)
        await liar.push()
        got = await victim.ask("schedule/assignments/1/body")
        assert got["from-process"] == liar.id.encode()


async def test_an_answer_comes_back(node):
    asking, answering = await _post(node), await _post(node, answers="yes")
    answer = await asking.push(**{"send-to": answering.id})
    there = answer["1"]["resulted-in"]
    back = there["1"]
    assert back["target"] == asking.id.encode()
    assert back["slot"] == 2
    assert back["resulted-in"] == Message(process=asking.id, slot=2)


async def test_entries_keep_their_order_at_a_common_target(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    answer = await sender.push(**{"send-to": ",".join([receiver.id] * 12)})
    assert [answer[str(n)]["slot"] for n in range(1, 13)] == list(range(1, 13))


async def test_entries_that_can_not_be_sent_say_so_beside_the_others(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    answer = await sender.push(**{"send-to": f"nobody,{'A' * 43},{receiver.id}"})
    assert answer["1"]["response"] == b"error"
    assert answer["1"]["reason"] == b"Target process not available."
    assert answer["2"]["reason"] == b"Could not access target process!"
    assert answer["3"]["slot"] == 1


async def test_two_that_answer_each_other_end_at_the_greatest_depth(node):
    node.reconfigure({"push-max-depth": 4})
    one, other = await _post(node, answers="yes"), await _post(node, answers="yes", seed="b")
    answer = await one.push(**{"send-to": other.id})
    depth = 0
    while isinstance(answer, Message):
        answer, depth = answer["1"]["resulted-in"], depth + 1
    assert answer == b"skipped"
    assert depth == 5


async def test_depth_zero_schedules_and_computes_nothing_further(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": receiver.id})
    answer = await sender.ask("push", **{"slot": slot, "max-depth": 0})
    assert answer["1"]["resulted-in"] == b"skipped"
    assert (await receiver.ask("slot"))["current"] == 1


async def test_results_at_as_many_levels_as_asked_for(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": receiver.id})
    none = await sender.ask("push", **{"slot": slot, "result-depth": 0})
    assert "data" not in none
    both = await sender.ask("push", **{"slot": slot, "result-depth": 2})
    assert both["1"]["resulted-in"]["data"] == b"slot 2"


async def test_the_answer_does_not_wait_if_it_is_not_to(node):
    sender, receiver = await _post(node), await _post(node, random_seed="b")
    slot = await sender.send(**{"send-to": receiver.id})
    answer = await sender.ask("push", **{"slot": slot, "async": "true"})
    assert answer["status"] == 202
    assert answer["slot"] == slot


async def test_a_slot_that_does_not_exist(node):
    process = await _post(node)
    with pytest.raises(NotFound) as error:
        await process.ask("push", slot=9)
    reason = "Requested slot not yet available in schedule."
    said = f"Pushing slot 9 failed on process `{process.id}` with error: {reason}"
    assert error.value.text == said
    assert error.value.details["class"] == "error"
    assert error.value.details["reason"] == reason


class OutOfReachDevice(Device):
    """Needs something from elsewhere that it does not get."""

    name = "out-of-reach@1.0"

    @key
    async def compute(self, base, request, context):
        raise RemoteError("Nobody answered.")


async def test_a_push_that_fails_on_its_way_says_where():
    devices = {"post@1.0": PostDevice, "out-of-reach@1.0": OutOfReachDevice}
    async with running_node(devices=devices) as node:
        sender, other = await _post(node), await _post(node, random_seed="b")
        stuck = await spawn(node, execution_device="out-of-reach@1.0")
        answer = await sender.push(**{"send-to": f"{stuck.id},{other.id}"})
        said = f"Pushing slot 1 failed on process `{stuck.id}` with error: Nobody answered."
        assert answer["1"]["slot"] == 1
        assert answer["1"]["resulted-in"]["status"] == 502
        assert answer["1"]["resulted-in"]["reason"] == said.encode()
        assert answer["2"]["resulted-in"] == Message(process=other.id, slot=1)


async def test_two_pushes_of_a_slot_that_fails_say_it_once_each():
    async with running_node(devices={"out-of-reach@1.0": OutOfReachDevice}) as node:
        stuck = await spawn(node, execution_device="out-of-reach@1.0")
        said = []

        async def push():
            with pytest.raises(RemoteError) as error:
                await stuck.ask("push", slot=0)
            said.append(error.value.text)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push)
            nursery.start_soon(push)
        text = f"Pushing slot 0 failed on process `{stuck.id}` with error: Nobody answered."
        assert said == [text, text]


class NothingKeptDevice(Device):
    """Wants what was computed before, or nothing."""

    name = "nothing-kept@1.0"

    @key
    async def compute(self, base, request, context):
        raise NotCached


async def test_an_error_that_is_made_without_a_text_gets_one_too():
    async with running_node(devices={"nothing-kept@1.0": NothingKeptDevice}) as node:
        stuck = await spawn(node, execution_device="nothing-kept@1.0")
        with pytest.raises(NotCached, match="Pushing slot 0 failed") as error:
            await stuck.ask("push", slot=0)
        assert error.value.status == 504
        assert error.value.details["cache-status"] == "miss"


async def test_without_a_trusted_identity_nothing_is_sent_if_the_option_says_so(node):
    node.reconfigure({"push-always-sign": False})
    sender, receiver = await _post(node), await _post(node, authority="B" * 43)
    answer = await sender.push(**{"send-to": receiver.id})
    assert b"No identities matching authority" in answer["1"]["reason"]


class TestContract(DeviceContract):
    device = PushDevice
