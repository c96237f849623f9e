"""local-name@1.0, name@1.0 and node-process@1.0 (spec/05 §9)."""

from __future__ import annotations

import httpx
import pytest
import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.devices.local_name import LocalNameDevice
from hyperbeam_trio.devices.name import NameDevice, label_of
from hyperbeam_trio.devices.node_process import NodeProcessDevice
from hyperbeam_trio.errors import BadRequest, ConfigError, Forbidden, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.devices.processes.conftest import Running, signed

COUNTER = {"execution-device": "test-device@1.0", "scheduler": "A" * 43}


async def _register(node, name, value):
    asked = Message({"path": "register", "key": name, "value": value})
    return await node.resolve(Message(device="local-name@1.0"), await node.sign(asked))


async def test_the_operator_registers_a_name_that_all_may_ask_for(node):
    assert await _register(node, "greeting", "hello") == b"Registered."
    assert await node.resolve("/~local-name@1.0/greeting") == b"hello"
    assert await node.resolve("/~local-name@1.0/lookup&key=greeting") == b"hello"
    await _register(node, "greeting", "good day")
    assert await node.resolve("/~local-name@1.0/greeting") == b"good day"


async def test_nobody_else_registers_names(node):
    asked = await signed(Message({"path": "register", "key": "mine", "value": "x"}))
    with pytest.raises(Forbidden):
        await node.resolve(Message(device="local-name@1.0"), asked)
    with pytest.raises(NotFound):
        await node.resolve("/~local-name@1.0/mine")


async def test_a_name_without_a_value_is_refused(node):
    with pytest.raises(BadRequest, match="value"):
        await _register(node, "empty", None)


async def test_names_that_the_configuration_gives():
    async with running_node(local_names={"home": "here"}) as node:
        assert await node.resolve("/~local-name@1.0/home") == b"here"


async def test_the_first_resolver_that_knows_a_name_answers():
    resolvers = ["/~local-name@1.0", {"home": "of the table", "other": "too"}]
    async with running_node(name_resolvers=resolvers) as node:
        assert await node.resolve("/~name@1.0/home") == b"of the table"
        await _register(node, "home", "local")
        assert await node.resolve("/~name@1.0/home") == b"local"
        assert await node.resolve("/~name@1.0/other") == b"too"
        with pytest.raises(NotFound, match="nowhere"):
            await node.resolve("/~name@1.0/nowhere")


async def test_a_name_of_an_id_is_what_the_id_names():
    async with running_node(name_resolvers=["/~local-name@1.0"]) as node:
        id = await node.cache.write(Message(colour="red"))
        await _register(node, "paint", id)
        assert await node.resolve("/~name@1.0/paint/colour") == b"red"
        assert await node.resolve("/~name@1.0/paint&load=false") == id.encode()


# Names as hosts.

HOSTS = {
    "on": {"request": {"device": "name@1.0"}},
    "name_resolvers": ["/~local-name@1.0", {"text": "plain words"}],
    "name_reserved_host_labels": ["www"],
}


async def _get(url: str, path: str, host: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url.rstrip("/") + path, headers={"host": host})


async def test_a_host_that_is_a_name_serves_what_the_name_stands_for():
    async with running_node(**HOSTS) as node, served(node) as url:
        id = await node.cache.write(Message(colour="red", pot={"size": 3}))
        await _register(node, "paint", id)
        assert (await _get(url, "/colour", "paint.example.org")).text == "red"
        assert (await _get(url, "/pot/size", "Paint.Example.org:8734")).text == "3"
        assert (await _get(url, "/", "paint.example.org")).headers["colour"] == "red"
        assert (await _get(url, f"/{id}/colour", "paint.example.org")).text == "red"
        answer = await _get(url, "/~json@1.0/serialize", "paint.example.org")
        assert answer.json()["colour"] == "red"
        assert (await _get(url, "/body", "text.example.org")).text == "plain words"


async def test_a_host_that_is_no_name_changes_nothing():
    async with running_node(**HOSTS, node_host="example.org") as node, served(node) as url:
        await _register(node, "paint", await node.cache.write(Message(node="red")))
        path = "/~meta@1.0/build/node"
        for host in ("example.org", "www.example.org", "paint.elsewhere", "nobody.example.org"):
            assert (await _get(url, path, host)).text == "hyperbeam-trio", host
        assert (await _get(url, "/", "example.org")).status_code == 302
        assert (await _get(url, "/", "nobody.example.org")).status_code == 404


@pytest.mark.parametrize(
    ("host", "own", "label"),
    [
        ("paint.example.org", "example.org", "paint"),
        ("PAINT.Example.org:80", "example.org", "paint"),
        ("paint.localhost:8734", None, "paint"),
        ("example.org", "example.org", None),
        ("paint.other.org", "example.org", None),
        ("badexample.org", "example.org", None),
        ("www.example.org", "example.org", None),
        ("localhost", None, None),
        ("127.0.0.1:8734", None, None),
        ("[::1]:8734", None, None),
        ("", None, None),
        (".org", None, None),
    ],
)
def test_the_name_in_a_host(host, own, label):
    config = NodeConfig(node_host=own, name_reserved_host_labels=["www"])
    assert label_of(host, config) == label


async def test_a_process_of_the_node_is_spawned_once():
    async with running_node(node_processes={"counter": COUNTER}) as node:
        asked = Message(device="node-process@1.0")
        with pytest.raises(NotFound):
            await node.resolve(asked, Message(path="counter", spawn="false"))
        found = []

        async def ask():
            found.append(await node.resolve(asked, "counter"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert len({signed_id(definition) for definition in found}) == 1
        definition = found[0]
        assert definition.signers == [node.address]
        assert verify_message(await node.cache.load_all(definition), commitment_ids="all")
        schedulers = await node.cache.load_all(definition["scheduler"])
        assert schedulers == [b"A" * 43, node.address.encode()]
        process = Running(node, signed_id(definition))
        assert await process.send() == 1
        assert (await process.state(1))["at-slot"] == 1


async def test_a_process_of_the_node_is_signed_by_the_codec_of_the_options():
    options = {"node_processes": {"counter": COUNTER}, "node_process_spawn_codec": "ans104@1.0"}
    async with running_node(**options) as node:
        definition = await node.resolve(Message(device="node-process@1.0"), "counter")
        assert {c.device for c in definition.commitments.values() if c.committer} == {"ans104@1.0"}
        assert definition.signers == [node.address]
        assert verify_message(await node.cache.load_all(definition), commitment_ids="all")
        process = Running(node, signed_id(definition))
        assert await process.send() == 1
        assert (await process.state(1))["at-slot"] == 1


async def test_a_codec_that_signs_nothing_is_told_of():
    options = {"node_processes": {"counter": COUNTER}, "node_process_spawn_codec": "json@1.0"}
    async with running_node(**options) as node:
        with pytest.raises(ConfigError, match=r"json@1\.0"):
            await node.resolve(Message(device="node-process@1.0"), "counter")


async def test_an_unknown_process_of_the_node(node):
    with pytest.raises(NotFound, match="no process"):
        await node.resolve("/~node-process@1.0/nothing")


class TestLocalName(DeviceContract):
    device = LocalNameDevice
    plain_keys = False


class TestName(DeviceContract):
    device = NameDevice
    plain_keys = False


class TestNodeProcess(DeviceContract):
    device = NodeProcessDevice
    plain_keys = False


@pytest.mark.parametrize("host", ["a&secret=b.node.test", "a~meta@1.0.node.test", "(a).node.test"])
def test_a_host_that_would_be_more_of_a_path_is_no_name(host):
    assert label_of(host, NodeConfig(node_host="node.test")) is None
    assert label_of("a.node.test", NodeConfig(node_host="node.test")) == "a"
