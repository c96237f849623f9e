"""cron@1.0: what the node does by itself (spec/05 §8). The clock of these tests jumps."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest
import trio
import trio.testing

from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.cron import CronDevice
from hyperbeam_trio.errors import BadRequest, Busy, Forbidden, RemoteError
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.processes.conftest import signed


class BellDevice(Device):
    """Remembers when it rang, and with what."""

    name = "bell@1.0"
    volatile = True
    rung: list[tuple[float, str]] = []
    broken = False

    @key
    async def ring(self, base, request, context):
        self.rung.append((trio.current_time(), request.text("tone", "none")))
        if self.broken:
            raise RemoteError("The clapper is lost.")
        return b"ding"

    @key
    async def swing(self, base, request, context):
        await trio.sleep_forever()


@pytest.fixture
async def node():
    BellDevice.rung, BellDevice.broken = [], False
    async with running_node(devices={"bell@1.0": BellDevice}, cron_access="anyone") as running:
        yield running


def _ask(path: str, **keys) -> Message:
    return Message({"path": path, "cron-path": "/~bell@1.0/ring", **keys})


async def _cron(node, request):
    return await node.resolve(Message(device="cron@1.0"), request)


def _times() -> list[float]:
    first = BellDevice.rung[0][0]
    return [round(time - first, 3) for time, _ in BellDevice.rung]


async def test_once_is_once(node, autojump_clock):
    answer = await _cron(node, _ask("once", tone="high"))
    assert answer["status"] == 200
    assert answer["cache-control"] == [b"no-store"]
    await trio.sleep(100)
    assert [tone for _, tone in BellDevice.rung] == ["high"]


async def test_every_so_often_until_it_is_stopped(node, autojump_clock):
    answer = await _cron(node, _ask("every", interval="5-seconds"))
    await trio.sleep(12)
    assert _times() == [0, 5, 10]
    stopped = await _cron(node, Message(path="stop", task=answer["body"]))
    assert stopped["body"]["message"] == b"Task stopped successfully"
    await trio.sleep(100)
    assert len(BellDevice.rung) == 3
    with pytest.raises(BadRequest, match="Task not found"):
        await _cron(node, Message(path="stop", task=answer["body"]))


async def test_the_interval_as_a_key(node, autojump_clock):
    await node.resolve('/~cron@1.0/2-minutes="/~bell@1.0/ring"')
    await trio.sleep(250)
    assert _times() == [0, 120, 240]


async def test_the_same_request_is_the_same_task(node, autojump_clock):
    first = await _cron(node, _ask("every", interval="1-hour"))
    again = await _cron(node, _ask("every", interval="1-hour"))
    await trio.sleep(1)
    assert first["body"] == again["body"]
    assert len(BellDevice.rung) == 1


async def test_pauses_grow_while_it_fails(node, autojump_clock):
    BellDevice.broken = True
    await _cron(node, _ask("every", interval="1-second"))
    await trio.sleep(20)
    assert _times() == [0, 2, 6, 14]


async def test_no_interval_is_shorter_than_the_operator_allows(node, autojump_clock):
    await _cron(node, _ask("every", interval="1-millisecond"))
    await trio.sleep(2.5)
    assert _times() == [0, 1, 2]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (Message(path="once"), "No cron path found"),
        (_ask("every"), "No interval found"),
        (_ask("every", interval="5-fortnights"), "Invalid time unit: fortnights"),
        (_ask("every", interval="0-seconds"), "Invalid interval value"),
        (_ask("every", interval="soon"), "Error parsing interval"),
        (Message(path="stop"), "No task ID found"),
    ],
)
async def test_requests_that_make_no_sense(node, request_, text, autojump_clock):
    with pytest.raises(BadRequest, match=text):
        await _cron(node, request_)


async def test_by_default_only_the_operator_sets_timers(node, autojump_clock):
    node.reconfigure({"cron-access": "operator"})
    for request in (_ask("once"), await signed(_ask("once"))):
        with pytest.raises(Forbidden):
            await _cron(node, request)
    await _cron(node, await node.sign(_ask("once")))
    await trio.sleep(1)
    assert len(BellDevice.rung) == 1


async def test_there_are_only_so_many_tasks(node, autojump_clock):
    node.reconfigure({"cron-max-tasks": 1})
    await _cron(node, _ask("every", interval="1-hour"))
    with pytest.raises(Busy):
        await _cron(node, _ask("every", interval="2-hours"))
    assert (await _cron(node, Message(path="resume")))["body"] == []


async def test_a_task_that_is_over_makes_room(node, autojump_clock):
    node.reconfigure({"cron-max-tasks": 1})
    await _cron(node, _ask("once", tone="a"))
    await trio.sleep(1)
    await _cron(node, _ask("once", tone="b"))
    await trio.sleep(1)
    assert [tone for _, tone in BellDevice.rung] == ["a", "b"]
    assert await node.cache.names("cron@1.0/") == []


async def test_a_run_ends_when_its_time_is_up(node, autojump_clock, caplog):
    node.reconfigure({"cron-time-limit": 2000})
    await _cron(node, Message({"path": "once", "cron-path": "/~bell@1.0/swing"}))
    await trio.sleep(5)
    assert "more than 2 s" in caplog.text
    assert await node.cache.names("cron@1.0/") == []


async def test_tasks_go_on_after_a_restart(tmp_path, autojump_clock):
    BellDevice.rung, BellDevice.broken = [], False
    options = {"store": [f"fs://{tmp_path}/data"], "cron_access": "anyone"}
    async with running_node(devices={"bell@1.0": BellDevice}, **options) as node:
        task = (await _cron(node, _ask("every", interval="1-hour", tone="deep")))["body"]
        gone = (await _cron(node, _ask("every", interval="2-hours")))["body"]
        await _cron(node, Message(path="stop", task=gone))
        await trio.testing.wait_all_tasks_blocked()
    BellDevice.rung.clear()
    async with running_node(devices={"bell@1.0": BellDevice}, **options) as node:
        assert (await _cron(node, Message(path="resume")))["body"] == [task]
        await trio.sleep(3601)
        assert [tone for _, tone in BellDevice.rung] == ["deep", "deep"]


async def test_a_node_that_starts_to_serve_goes_on_with_its_tasks(tmp_path):
    BellDevice.rung, BellDevice.broken = [], False
    options = {"store": [f"fs://{tmp_path}/data"], "devices": {"bell@1.0": BellDevice}}
    async with running_node(**options) as node:
        await _cron(node, await node.sign(_ask("every", interval="1-hour")))
        await trio.testing.wait_all_tasks_blocked(0.05)
    BellDevice.rung.clear()
    async with running_node(**options) as node, served(node):
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert len(BellDevice.rung) == 1


async def test_of_several_processes_the_first_one_runs_the_tasks(tmp_path, monkeypatch):
    """Two nodes on one store stand for two processes of one node."""
    monkeypatch.setattr("hyperbeam_trio.devices.timers.LOOK_SECONDS", 0.01)
    BellDevice.rung, BellDevice.broken = [], False
    options = {"store": [f"fs://{tmp_path}/data"], "cron_access": "anyone", "processes": 2}
    devices = {"bell@1.0": BellDevice}
    async with (
        running_node(devices=devices, **options) as first,
        running_node(devices=devices, **options) as second,
    ):
        monkeypatch.setattr(second, "siblings", SimpleNamespace(number=1))
        for node in (first, second):
            await _cron(node, Message(path="resume"))
        task = (await _cron(second, _ask("every", interval="1-hour")))["body"]
        with trio.fail_after(20):
            while not BellDevice.rung:
                await trio.lowlevel.checkpoint()
        await _cron(second, Message(path="stop", task=task))
        assert await first.cache.names("cron@1.0/") == []
        assert len(BellDevice.rung) == 1


async def test_a_visitor_can_not_even_resume():
    async with running_node() as node, served(node) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}~cron@1.0/resume")).status_code == 403


async def test_nodes_on_one_store_have_tasks_of_their_own(tmp_path):
    BellDevice.rung, BellDevice.broken = [], False
    options = {"store": [f"fs://{tmp_path}/data"], "devices": {"bell@1.0": BellDevice}}
    async with running_node(**options) as node:
        await _cron(node, await node.sign(_ask("every", interval="1-hour")))
    async with running_node(**options, wallet=Ed25519Wallet(b"o" * 32)) as other:
        assert (await _cron(other, Message(path="resume")))["body"] == []


async def test_it_says_what_it_can_do(node):
    body = await node.resolve("/~cron@1.0/info/body")
    assert body["version"] == b"1.0"
    assert set(body["paths"]) == {"once", "every", "stop", "resume"}


class TestContract(DeviceContract):
    device = CronDevice
    plain_keys = False
