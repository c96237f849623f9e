"""apply@1.0, hook@1.0, test-device@1.0 and the codecs as devices."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.apply import ApplyDevice
from hyperbeam_trio.devices.hook import HookDevice
from hyperbeam_trio.devices.json import JsonDevice
from hyperbeam_trio.devices.test_device import TestDevice as FixtureDevice
from hyperbeam_trio.errors import BadRequest, HyperbeamError, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node


class TestApplyContract(DeviceContract):
    device = ApplyDevice
    base = {"where": "/~message@1.0&z=9/z"}
    requests = [{"path": "where"}]
    plain_keys = False


class TestHookContract(DeviceContract):
    device = HookDevice
    requests = [{"path": "find", "target": "request"}]


class TestFixtureContract(DeviceContract):
    device = FixtureDevice
    requests = [{"path": "test-func"}, {"path": "compute", "slot": 3}, {"path": "init"}]


class TestJsonContract(DeviceContract):
    device = JsonDevice
    base = {"a": "1", "n": 2}
    requests = [{"path": "serialize"}, {"path": "content-type"}]


async def test_apply_resolves_the_path_under_a_key(node):
    base = Message({"device": "apply@1.0", "route": "/~message@1.0&z=9/z"})
    assert await node.resolve(base, "route") == b"9"


async def test_apply_looks_in_the_source_it_is_told(node):
    base = Message({"device": "apply@1.0", "config": {"route": "a"}, "a": "1"})
    request = Message(path="route", source="base:config")
    assert await node.resolve(base.set({"config": {"route": "x", "x": "7"}}), request) == b"7"


async def test_apply_says_which_path_was_not_found(node):
    with pytest.raises(NotFound, match="Path `nowhere` to execute not found"):
        await node.resolve(Message(device="apply@1.0"), "nowhere")


async def test_pair_asks_one_message_of_another(node):
    request = Message(path="pair", base="request:left", request="request:right")
    request = request.set(left={"a": "1"}, right={"path": "a"})
    assert await node.resolve(Message(device="apply@1.0"), request) == b"1"


async def test_hooks_can_be_listed():
    async with running_node(on={"request": {"device": "message@1.0"}}) as node:
        handlers = await node.resolve(
            Message(device="hook@1.0"), Message(path="find", target="request")
        )
        assert handlers == [Message(device="message@1.0")]
        assert (
            await node.resolve(Message(device="hook@1.0"), Message(path="find", target="no")) == []
        )


async def test_the_fixture_device_counts_slots(node):
    state = await node.resolve(Message(device="test-device@1.0"), "init")
    for slot in (0, 1):
        state = await node.resolve(state, Message(path="compute", slot=slot))
    assert state["already-seen"] == [1, 0]
    assert await node.resolve(state, "results/assignment-slot") == 1


async def test_the_fixture_device_has_nothing_to_restore_at_first(node):
    with pytest.raises(HyperbeamError, match="No viable state"):
        await node.resolve(Message(device="test-device@1.0"), "restore")


async def test_delay_waits_on_trios_clock(node, autojump_clock):
    result = await node.resolve(
        Message(device="test-device@1.0"), Message(path="delay", duration=5000)
    )
    assert result == Message(result="slept")


async def test_json_serializes_with_nested_messages_inside(node):
    base = Message({"device": "json@1.0"}, a="1", nested={"b": 2})
    answer = await node.resolve(base, "serialize")
    assert answer.text("content-type") == "application/json"
    again = await node.resolve(Message(device="json@1.0", body=answer["body"]), "deserialize")
    assert again["nested"] == Message(b=2)


async def test_deserialize_without_a_payload_is_404(node):
    with pytest.raises(HyperbeamError, match="Searched for: elsewhere") as caught:
        await node.resolve(
            Message(device="json@1.0"), Message(path="deserialize", target="elsewhere")
        )
    assert caught.value.status == 404


async def test_rubbish_is_no_json(node):
    with pytest.raises(BadRequest):
        await node.resolve(Message(device="json@1.0", body="{"), "deserialize")


@pytest.mark.parametrize("name", ["flat@1.0", "httpsig@1.0"])
async def test_every_codec_reads_what_it_writes(node, name):
    base = Message({"device": name}, a="1", n=2)
    text = await node.resolve(base, "serialize/body")
    assert await node.resolve(Message(device=name, body=text), "deserialize/n") == 2
