"""genesis-wasm@1.0 and delegated-compute@1.0 with a compute unit of the test's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.delegated_compute import DelegatedComputeDevice
from hyperbeam_trio.devices.genesis_wasm import GenesisWasmDevice
from hyperbeam_trio.errors import (
    BadRequest,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    RemoteError,
)
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.server import serve
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.processes.conftest import Running, signed, spawn

AUTHORITY = Ed25519Wallet(b"a" * 32)
JSON = [(b"content-type", b"application/json")]


@dataclass
class Asked:
    """One request that the unit got."""

    path: str
    process: str | None
    headers: dict[bytes, bytes]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Unit:
    """Counts the messages of a process; `answers` replace its answers to paths that begin so."""

    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, HttpResponse] = field(default_factory=dict)
    port: int = 0

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        parts = urlsplit(request.target.decode())
        process = parse_qs(parts.query).get("process-id", [None])[0]
        body = await request.body.read(1 << 20)
        self.asked.append(Asked(parts.path, process, dict(request.headers), body))
        for prefix, answer in self.answers.items():
            if parts.path.startswith(prefix):
                return answer
        return self._answer(parts.path)

    def _answer(self, path: str) -> HttpResponse:
        if path.startswith("/result/"):
            return answer(Output={"data": f"counted {len(self.of('/result'))}"})
        if path == "/dry-run":
            return answer(Output={"data": "asked"}, Messages=[])
        return HttpResponse(404, JSON, b'{"error": "nothing here"}')

    def of(self, prefix: str) -> list[Asked]:
        return [one for one in self.asked if one.path.startswith(prefix)]


def answer(**results) -> HttpResponse:
    return HttpResponse(200, JSON, json.dumps(results).encode())


@asynccontextmanager
async def serving(handler: Callable) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        limits = Limits(grace_seconds=0)
        start = partial(serve, handler, "127.0.0.1", 0, limits=limits)
        addresses = await nursery.start(start)
        yield addresses[0][1]
        nursery.cancel_scope.cancel()


@pytest.fixture
async def unit() -> AsyncIterator[Unit]:
    stub = Unit()
    async with serving(stub) as port:
        stub.port = port
        yield stub


@pytest.fixture
async def node(unit):
    async with running_node(genesis_wasm_port=unit.port) as running:
        yield running


async def _legacy(node, **keys) -> Running:
    return await spawn(node, execution_device="genesis-wasm@1.0", module="M" * 43, **keys)


async def test_a_process_without_an_execution_device_is_given_to_the_unit(node, unit):
    definition = {"device": "process@1.0", "type": "Process", "scheduler": node.address}
    asked = Message(path="schedule", method="POST", body=await signed(Message(definition)))
    answered = await node.resolve(Message(device="process@1.0"), asked)
    process = Running(node, answered.text("process"))
    await process.send(action="Inc")
    assert await process.result(1, "data") == b"counted 2"
    assert [one.path for one in unit.of("/result")] == ["/result/0", "/result/1"]
    assert {one.process for one in unit.of("/result")} == {process.id}


async def test_an_assignment_is_sent_as_the_listing_of_its_slot(node, unit):
    process = await _legacy(node)
    await process.send(action="Inc", data="x")
    await process.state(1)
    (edge,) = unit.of("/result/1")[0].json()["edges"]
    assert edge["cursor"] == 1
    message, assignment = edge["node"]["message"], edge["node"]["assignment"]
    assert message["Target"] == process.id
    assert message["Data"] == "x"
    assert {"name": "Action", "value": "Inc"} in message["Tags"]
    assert message["Signature"]
    assert {"name": "Slot", "value": "1"} in assignment["Tags"]
    assert assignment["Owner"] == node.address
    assert assignment["Signature"]
    listed = await process.ask("schedule/assignments/1")
    assert assignment["Id"] == signed_id(listed)


async def test_the_answer_of_the_unit_is_the_result_and_raw_is_what_it_said(node, unit):
    said = {
        "Output": {"data": "done"},
        "Messages": [{"Target": "T" * 43, "Data": "hi", "Tags": [{"name": "A", "value": "b"}]}],
        "GasUsed": 7,
    }
    unit.answers["/result/1"] = answer(**said)
    process = await _legacy(node)
    await process.send()
    results = await process.result(1)
    assert results["data"] == b"done"
    sent = results["outbox"]["1"]
    assert (sent["target"], sent["data"], sent["A"]) == (b"T" * 43, b"hi", b"b")
    assert sent["from-process"] == process.id.encode()
    assert results["raw"]["GasUsed"] == 7
    assert results["raw"]["Messages"][0]["Target"] == b"T" * 43


async def test_what_a_program_did_wrong_is_the_outcome_of_its_slot(node, unit):
    unit.answers["/result/1"] = answer(Error="attempt to index a nil value")
    process = await _legacy(node)
    await process.send()
    assert await process.result(1, "data") == b"attempt to index a nil value"
    assert (await process.state(1))["at-slot"] == 1


async def test_patches_in_the_outbox_change_the_state(node, unit):
    patch = {
        "Target": "",
        "Tags": [{"name": "method", "value": "PATCH"}, {"name": "x", "value": "5"}],
    }
    unit.answers["/result/1"] = answer(Output={}, Messages=[patch])
    process = await _legacy(node)
    await process.send()
    state = await node.cache.load_all(await process.state(1))
    assert state["x"] == b"5"
    assert "1" not in state["results"]["outbox"]


async def test_a_message_that_comes_twice_counts_once(node, unit):
    process = await _legacy(node)
    message = await signed(Message({"type": "Message", "target": process.id, "action": "Inc"}))
    for _ in range(2):
        await process.post(message)
    first = await node.cache.load_all(await process.state(1))
    second = await node.cache.load_all(await process.state(2))
    assert second.without("at-slot", "results") == first.without("at-slot", "results")
    assert "results" not in second
    (told,) = unit.of("/result/2")
    tags = told.json()["edges"][0]["node"]["assignment"]["Tags"]
    assert {"name": "Skip", "value": "true"} in tags
    assignment = await process.ask("schedule/assignments/2")
    assert {"name": "Original-Assignment-Id", "value": signed_id(assignment)} in tags


# Dry runs.


async def test_a_dry_run_asks_the_unit_and_leaves_no_trace(node, unit):
    process = await _legacy(node)
    before = await process.ask("slot")
    asked = await signed(Message(target=process.id, data="1984"))
    path = f"/{process.id}~process@1.0/as=execution/compute&Action=Info"
    answered = await node.resolve(asked.set(path=path))
    assert (await node.cache.load_all(answered))["raw"]["Output"]["data"] == b"asked"
    (question,) = unit.of("/dry-run")
    assert question.process == process.id
    item = question.json()
    assert (item["Target"], item["Data"]) == (process.id, "1984")
    assert {"name": "Action", "value": "Info"} in item["Tags"]
    assert await process.ask("slot") == before


# What goes wrong.


FAULTS = {
    "status": (HttpResponse(500, JSON, b'{"error": "out of memory"}'), "status 500.*out of memory"),
    "not found": (HttpResponse(404, JSON, b"?"), "status 404"),
    "no JSON": (HttpResponse(200, JSON, b"<html>"), "no JSON.*<html>"),
    "nothing": (HttpResponse(200, JSON, b""), "no JSON|no results"),
    "a list": (HttpResponse(200, JSON, b"[1]"), "no results"),
    "another object": (HttpResponse(200, JSON, b'{"error": "oops"}'), "no results.*oops"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_unit_that_fails_fails_the_request_and_not_the_slot(node, unit, fault):
    given, text = FAULTS[fault]
    process = await _legacy(node)
    await process.send()
    unit.answers["/result/1"] = given
    with pytest.raises(RemoteError, match=f"(?s){text}") as raised:
        await process.state(1)
    assert raised.value.status == 502
    assert raised.value.details["phase"] == "compute"
    assert raised.value.details["attempted-slot"] == 1
    unit.answers.clear()
    assert (await process.result(1, "data")).startswith(b"counted")


async def test_a_unit_that_does_not_answer_is_waited_for_only_so_long():
    async def silent(request: HttpRequest) -> HttpResponse:
        await trio.sleep_forever()
        raise AssertionError

    async with serving(silent) as port:
        options = {"genesis_wasm_port": port, "http_client_send_timeout": 50}
        async with running_node(**options) as node:
            process = await _legacy(node)
            with pytest.raises(DeadlineExceeded, match="/result/0"):
                await process.state(0)
            assert await node.cache.names(f"computed/{process.id}/") == []


async def test_without_a_unit_it_is_said_that_there_is_none():
    async with serving(Unit()) as free:
        pass
    async with running_node(genesis_wasm_port=free) as node, served(node) as url:
        process = await _legacy(node)
        async with httpx.AsyncClient() as client:
            answered = await client.get(f"{url}{process.id}/compute&slot=0")
        assert answered.status_code == 503
        assert f"port {free}" in answered.text
        stub = Unit()
        async with serving(stub) as port:
            node.reconfigure({"genesis-wasm-port": port})
            assert await process.result(0, "data") == b"counted 1"


async def test_routes_of_the_operator_come_before_the_port(unit):
    route = {"template": "/result/.*", "node": f"http://127.0.0.1:{unit.port}/units/7"}
    async with running_node(routes=[route], genesis_wasm_port=1) as node:
        unit.answers["/units/7/result"] = answer(Output={"data": "seven"})
        process = await _legacy(node)
        assert await process.result(0, "data") == b"seven"


# Checkpoints.


CHECKPOINT = HttpResponse(
    200,
    [(b"type", b"Checkpoint"), (b"nonce", b"1"), (b"content-type", b"application/octet-stream")],
    b"\x00memory\xff",
)


async def test_the_unit_s_checkpoint_is_kept_and_given_back_after_a_restart(tmp_path, unit):
    unit.answers["/snapshot"] = CHECKPOINT
    unit.answers["/state"] = HttpResponse(200, JSON, b"{}")
    options = {"store": [f"fs://{tmp_path}/data"], "genesis_wasm_port": unit.port}
    async with running_node(**options) as node:
        process = await _legacy(node)
        await process.send()
        await process.state(1)
        assert (await process.ask("snapshot"))["data"] == b"\x00memory\xff"
        assert unit.of("/snapshot")[0].path == f"/snapshot/{process.id}"
    async with running_node(**options) as node:
        process = Running(node, process.id)
        await process.send()
        await process.state(2)
    (given,) = unit.of("/state")
    assert given.body == b"\x00memory\xff"
    assert given.headers[b"type"] == b"Checkpoint"
    assert given.headers[b"nonce"] == b"1"
    assert [one.path for one in unit.of("/result")] == ["/result/0", "/result/1", "/result/2"]


async def test_a_unit_without_checkpoints_goes_on_from_what_it_has(tmp_path, unit):
    options = {"store": [f"fs://{tmp_path}/data"], "genesis_wasm_port": unit.port}
    async with running_node(**options) as node:
        process = await _legacy(node)
        await process.state(0)
        snapshot = await process.ask("snapshot")
        assert snapshot["error"] == b"No checkpoint produced."
        assert b"status 404" in snapshot["error-details"]
    async with running_node(**options) as node:
        process = Running(node, process.id)
        await process.send()
        assert (await process.state(1))["at-slot"] == 1
    assert not unit.of("/state")


async def _checkpoint(node, process: Running, wallet=AUTHORITY, **keys) -> str:
    fields = {"type": "Checkpoint", "process": process.id, "nonce": "3", "data": "memory", **keys}
    limiter = trio.CapacityLimiter(1)
    made = await commit_signed(Message(fields), wallet, limiter=limiter)
    await node.cache.write(made)
    return signed_id(made)


def _import(process: Running, id: str | None) -> str:
    return f"/~genesis-wasm@1.0/import{f'={id}' if id else ''}&process-id={process.id}"


async def test_a_checkpoint_of_an_authority_is_where_a_process_begins(node, unit):
    node.reconfigure({"genesis-wasm-import-authorities": [AUTHORITY.address]})
    unit.answers["/state"] = HttpResponse(200, JSON, b"{}")
    process = await _legacy(node)
    for _ in range(4):
        await process.send()
    id = await _checkpoint(node, process)
    state = await node.resolve(_import(process, id))
    assert state["at-slot"] == 3
    assert await process.result(4, "data") == b"counted 1"
    assert [one.path for one in unit.of("/result")] == ["/result/4"]
    (given,) = unit.of("/state")
    assert given.body == b"memory"
    assert given.headers[b"process"] == process.id.encode()


async def test_the_newest_checkpoint_is_looked_for_at_a_gateway(node, unit):
    node.reconfigure(
        {
            "genesis-wasm-import-authorities": [AUTHORITY.address],
            "routes": [{"template": "/graphql", "node": f"http://127.0.0.1:{unit.port}"}],
        }
    )
    process = await _legacy(node)
    edges = [{"node": {"id": await _checkpoint(node, process)}}]
    unit.answers["/graphql"] = answer(data={"transactions": {"edges": edges}})
    assert (await node.resolve(_import(process, None)))["at-slot"] == 3
    variables = unit.of("/graphql")[0].json()["variables"]
    assert variables == {"owners": [AUTHORITY.address], "process": process.id}
    unit.answers["/graphql"] = answer(data={"transactions": {"edges": []}})
    with pytest.raises(NotFound, match="No gateway knows"):
        await node.resolve(_import(process, None))


async def test_a_checkpoint_is_believed_of_authorities_only(node):
    process, other = await _legacy(node), await _legacy(node, random_seed="b")
    strangers = await _checkpoint(node, process)
    with pytest.raises(Forbidden, match="genesis-wasm-import-authorities"):
        await node.resolve(_import(process, strangers))
    node.reconfigure({"genesis-wasm-import-authorities": [AUTHORITY.address]})
    with pytest.raises(BadRequest, match="no checkpoint of process"):
        await node.resolve(_import(process, await _checkpoint(node, other)))
    with pytest.raises(BadRequest, match="no checkpoint of process"):
        await node.resolve(_import(process, await _checkpoint(node, process, type="Message")))
    with pytest.raises(NotFound, match="in none of"):
        await node.resolve(_import(process, "C" * 43))
    with pytest.raises(BadRequest, match="id of a checkpoint"):
        await node.resolve(_import(process, "newest"))


class TestGenesisWasm(DeviceContract):
    device = GenesisWasmDevice


class TestDelegatedCompute(DeviceContract):
    device = DelegatedComputeDevice
