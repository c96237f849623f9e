"""What a node does before it serves: the `start` hook and `at-start` (spec/07 §1.2, §5)."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, ConfigError, HyperbeamError
from hyperbeam_trio.http.service import serve_node
from hyperbeam_trio.message import Message
from hyperbeam_trio.starting import answer_siblings, prepare
from hyperbeam_trio.testing.node import running_node, served
from tests.support.workers import workers


class StarterDevice(Device):
    """Has a say in how a node starts, and remembers who asked for it."""

    name = "starter@1.0"
    volatile = True
    seen: list[tuple[str, list[str]]] = []

    def _note(self, key_: str, request: Message) -> None:
        self.seen.append((key_, list(request.caller.signers)))

    @key
    async def start(self, base, request, context):
        self._note("start", request)
        body = request["body"]
        if "set" in base:
            body = body.set(**{base.text("set"): base["to"]})
        return request.uncommitted().set(body=body)

    @key
    async def refuse(self, base, request, context):
        raise BadRequest("Not today.")

    @key
    async def greet(self, base, request, context):
        self._note("greet", request)
        return b"hello"


DEVICES = {"starter@1.0": StarterDevice}
HANDLER = {"device": "starter@1.0"}


@pytest.fixture(autouse=True)
def nothing_seen():
    StarterDevice.seen = []


async def test_the_hook_runs_when_the_node_begins_to_serve():
    async with running_node(devices=DEVICES, on={"start": HANDLER}) as node:
        assert StarterDevice.seen == []
        async with served(node):
            assert StarterDevice.seen == [("start", [])]


async def test_the_options_that_it_returns_are_the_node_s():
    handler = {**HANDLER, "set": "push-max-depth", "to": 7}
    async with running_node(devices=DEVICES, on={"start": handler}) as node, served(node):
        assert node.config.push_max_depth == 7
        assert node.config.port == 0


async def test_an_option_that_can_not_be_is_refused():
    handler = {**HANDLER, "set": "push-max-depth", "to": -1}
    async with running_node(devices=DEVICES, on={"start": handler}) as node:
        with pytest.raises(ConfigError, match="push-max-depth"):
            await serve_node(node)


async def test_an_option_that_is_no_text_is_refused():
    handler = {**HANDLER, "set": "host", "to": b"\xff"}
    async with running_node(devices=DEVICES, on={"start": handler}) as node:
        with pytest.raises(BadRequest, match="UTF-8"):
            await serve_node(node)


async def test_a_node_whose_hook_refuses_does_not_start():
    handlers = [{**HANDLER, "path": "refuse", "hook": {"result": "ignore"}}]
    async with running_node(devices=DEVICES, on={"start": handlers}) as node:
        with pytest.raises(HyperbeamError, match="Not today"):
            await serve_node(node)
        assert node.urls == ()


async def test_the_node_signs_what_it_asks_if_the_handler_says_so():
    handler = {**HANDLER, "hook": {"commit-request": True, "result": "ignore"}}
    async with running_node(devices=DEVICES, on={"start": handler}) as node, served(node):
        assert StarterDevice.seen == [("start", [node.address])]


async def test_paths_are_resolved_and_a_bad_one_is_logged(caplog):
    paths = ["/~starter@1.0/refuse", "/~starter@1.0/greet"]
    async with running_node(devices=DEVICES, at_start=paths) as node, served(node):
        assert StarterDevice.seen == [("greet", [])]
    assert "/~starter@1.0/refuse failed: Not today." in caplog.text


async def test_a_start_hook_does_not_keep_answers_from_being_kept():
    async with running_node(devices=DEVICES, on={"start": HANDLER}) as node:
        assert not node.hooks.of_requests
        node.reconfigure({"on": {"response": HANDLER}})
        assert node.hooks.of_requests


# Several processes of one node: here they are nodes in one process.


@asynccontextmanager
async def beginning(place, *nodes):
    """The workers of a node, answering each other."""
    with workers(place, len(nodes)) as siblings:
        async with trio.open_nursery() as nursery:
            for node, its in zip(nodes, siblings, strict=True):
                await nursery.start(answer_siblings, node, its)
            yield
            nursery.cancel_scope.cancel()


async def test_of_several_processes_the_first_one_begins_for_all(tmp_path):
    handler = {**HANDLER, "set": "push-max-depth", "to": 7}
    options = {"devices": DEVICES, "on": {"start": handler}, "at_start": ["/~starter@1.0/greet"]}
    async with running_node(**options) as first, running_node(**options) as second:
        async with beginning(tmp_path, first, second), trio.open_nursery() as nursery:
            assert (first.leads, second.leads) == (True, False)
            nursery.start_soon(prepare, second)
            await trio.testing.wait_all_tasks_blocked()
            assert StarterDevice.seen == []
            await prepare(first)
        assert StarterDevice.seen == [("start", []), ("greet", [])]
        assert second.config.push_max_depth == 7


async def test_a_process_that_comes_later_does_as_the_others_do(tmp_path):
    handler = {**HANDLER, "set": "push-max-depth", "to": 7}
    options = {"devices": DEVICES, "on": {"start": handler}}
    async with running_node(**options) as first, running_node(**options) as second:
        async with beginning(tmp_path, first, second):
            await prepare(first)
            await prepare(second)
        assert StarterDevice.seen == [("start", [])]
        assert second.config.push_max_depth == 7


async def test_processes_without_a_hook_keep_their_options(tmp_path):
    async with running_node() as first, running_node() as second:
        before = second.config
        async with beginning(tmp_path, first, second):
            await prepare(first)
            await prepare(second)
        assert second.config is before


async def test_another_process_may_ask_for_what_a_path_gives(tmp_path):
    async with (
        running_node(devices=DEVICES) as first,
        running_node(devices=DEVICES) as second,
        beginning(tmp_path, first, second),
    ):
        page = await first.siblings.ask(1, "/~hyperbuddy@1.0/metrics&alone=true")
        assert b"process_uptime_seconds" in page
        assert await first.siblings.ask(1, "/~starter@1.0/refuse") == b""
