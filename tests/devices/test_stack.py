"""stack@1.0 and what is put into stacks: multipass, dedup, patch."""

from __future__ import annotations

import pytest

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.dedup import DedupDevice
from hyperbeam_trio.devices.multipass import MultipassDevice
from hyperbeam_trio.devices.patch import PatchDevice
from hyperbeam_trio.devices.stack import StackDevice
from hyperbeam_trio.errors import BadRequest, Halt, KeyNotFound
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node


class Append(Device):
    """Appends its name and the request's `bin`; may skip, or ask for another pass."""

    name = "append@1.0"

    @key
    async def append(self, base: Message, request: Message, context: Context) -> Value:
        """`result` with `+D<n><bin>` at its end."""
        entry, text = base.text("device-key"), request.text("bin", "")
        done = base.set(result=f"{base.text('result')}+D{entry}{text}")
        if request.text("halt-at", "") == entry:
            raise Halt(request.text("halt"), done)
        if request.int("passes", 1) > base.int("pass", 1):
            raise Halt("pass", done)
        return done

    @key
    async def fails(self, base: Message, request: Message, context: Context) -> Value:
        """An error of its own."""
        raise BadRequest("no such number")


@pytest.fixture
async def node():
    async with running_node(devices={"append@1.0": Append}) as running:
        yield running


def _stack(*entries: str, **keys) -> Message:
    return Message({"device": "stack@1.0", "device-stack": list(entries), "result": "INIT", **keys})


class TestStackContract(DeviceContract):
    device = StackDevice
    base = {"device-stack": ["message@1.0"]}
    requests = [{"path": "device-stack"}]


class TestMultipassContract(DeviceContract):
    device = MultipassDevice
    requests = [{"path": "anything"}]
    plain_keys = False


class TestDedupContract(DeviceContract):
    device = DedupDevice
    requests = [{"path": "compute", "body": {"a": "1"}}]
    plain_keys = False


class TestPatchContract(DeviceContract):
    device = PatchDevice
    base = {"outbox": {"1": {"method": "PATCH", "x": "1"}}}
    requests = [{"path": "patches", "patch-from": "/outbox"}]


async def test_a_fold_hands_each_result_to_the_next_device(node):
    result = await node.resolve(_stack("append@1.0", "append@1.0"), Message(path="append", bin="2"))
    assert result.text("result") == "INIT+D12+D22"
    assert result.text("device") == "stack@1.0"
    assert "device-key" not in result


async def test_skip_ends_the_pass_at_once(node):
    request = Message({"path": "append", "bin": "2", "halt": "skip", "halt-at": "1"})
    result = await node.resolve(_stack("append@1.0", "append@1.0"), request)
    assert result.text("result") == "INIT+D12"


async def test_pass_starts_again_from_the_first_device(node):
    request = Message(path="append", passes=3)
    result = await node.resolve(_stack("append@1.0"), request)
    assert result.text("result") == "INIT+D1+D1+D1"
    assert "pass" not in result


async def test_a_map_gives_every_device_the_original_base(node):
    request = Message(path="append", bin="/", mode="Map")
    result = await node.resolve(_stack("append@1.0", "append@1.0"), request)
    assert await node.resolve(result, "1/result") == b"INIT+D1/"
    assert await node.resolve(result, "2/result") == b"INIT+D2/"


async def test_a_device_that_does_not_know_the_key_is_passed_over(node):
    result = await node.resolve(
        _stack("message@1.0", "append@1.0"), Message(path="append", bin="!")
    )
    assert result.text("result") == "INIT+D2!"


async def test_stack_keys_limit_what_the_stack_answers(node):
    stack = _stack("append@1.0", **{"stack-keys": ["compute"], "append": "a plain key"})
    assert await node.resolve(stack, "append") == b"a plain key"


async def test_an_error_names_the_entry_that_raised_it(node):
    with pytest.raises(BadRequest, match="no such number") as caught:
        await node.resolve(_stack("message@1.0", "append@1.0"), "fails")
    assert caught.value.details["failed-device"] == "append@1.0"
    assert caught.value.details["device-key"] == "2"


async def test_a_stack_without_devices_is_refused(node):
    with pytest.raises(BadRequest, match="device-stack"):
        await node.resolve(Message(device="stack@1.0"), "compute")


async def test_multipass_asks_for_as_many_passes_as_it_is_told(node):
    stack = _stack("append@1.0", "multipass@1.0", passes=2)
    assert (await node.resolve(stack, "append")).text("result") == "INIT+D1+D1"


async def test_prefixes_of_an_entry_hold_while_it_runs(node):
    stack = _stack("message@1.0", **{"output-prefixes": ["out"], "output-prefix": "mine"})
    result = await node.resolve(stack, Message(path="set", new="1"))
    assert result.text("output-prefix") == "mine"


async def test_dedup_lets_a_body_through_once(node):
    stack = _stack("dedup@1.0", "append@1.0")
    request = Message(path="append", slot=4, body={"a": "1"})
    once = await node.resolve(stack, request)
    twice = await node.resolve(once, request)
    assert once.text("result") == twice.text("result") == "INIT+D2"
    other = await node.resolve(twice, Message(path="append", body={"a": "2"}))
    assert other.text("result") == "INIT+D2+D2"


async def test_dedup_reads_the_list_of_older_states(node):
    first = await node.resolve(_stack("dedup@1.0"), Message(path="x", body={"a": "1"}))
    (seen,) = [id for id in first["dedup"] if id != "device"]
    older = _stack("dedup@1.0", "append@1.0", dedup=[seen])
    assert (await node.resolve(older, Message(path="append", body={"a": "1"}))).text(
        "result"
    ) == "INIT"


async def test_patches_move_into_the_state_and_leave_the_rest(node):
    outbox = {
        "1": {"method": "PATCH", "prices": {"apple": 100}},
        "2": {"target": "someone"},
    }
    base = Message(
        {"device": "patch@1.0", "patch-from": "/results/outbox"}, results={"outbox": outbox}
    )
    result = await node.resolve(base, "compute")
    assert await node.resolve(result, "prices/apple") == 100
    assert list(await node.resolve(result, "results/outbox")) == ["2"]


async def test_patches_apply_in_byte_order_of_their_keys(node):
    outbox = {n: {"method": "PATCH", "v": n} for n in ("2", "10", "1")}
    base = Message({"device": "patch@1.0", "patch-from": "/outbox"}, outbox=outbox)
    assert await node.resolve(base, "patches/v") == b"2"


async def test_all_moves_everything_to_another_place(node):
    base = Message({"device": "patch@1.0", "from": "/a", "to": "/b/c"}, a={"x": "1"})
    result = await node.resolve(base, "all")
    assert "a" not in result
    assert await node.resolve(result, "b/c/x") == b"1"


async def test_a_patch_source_that_is_missing_is_not_found(node):
    with pytest.raises(KeyNotFound, match="/nowhere"):
        await node.resolve(Message({"device": "patch@1.0", "patch-from": "/nowhere"}), "patches")
