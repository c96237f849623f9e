"""`whois@1.0`: how a node is seen from another one."""

from __future__ import annotations

import pytest

from hyperbeam_trio.devices.whois import WhoisDevice
from hyperbeam_trio.errors import BadRequest, RemoteError
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.support.in_memory import Client


class TestContract(DeviceContract):
    device = WhoisDevice


async def test_a_node_that_tells_its_port_is_told_its_address():
    async with running_node() as node:
        response = await Client(node).ask("/~whois@1.0/echo", headers=[(b"ao-peer-port", b"8734")])
        assert response.body == b"127.0.0.1:8734"
        assert (await Client(node).ask("/~whois@1.0/echo")).body == b"unknown"


async def test_a_node_may_know_its_own_host():
    async with running_node(node_host="node.example") as node:
        assert await node.resolve("/~whois@1.0/node") == b"node.example"


async def test_a_node_without_anybody_to_ask_says_so():
    async with running_node() as node:
        with pytest.raises(BadRequest, match="No bootstrap node configured"):
            await node.resolve("/~whois@1.0/node")


async def test_a_bootstrap_node_is_asked_once():
    async with (
        running_node() as seeing,
        served(seeing) as url,
        running_node(host_bootstrap_node=url, port_external=4321) as node,
    ):
        assert await node.resolve("/~whois@1.0/node") == b"127.0.0.1:4321"
        node.reconfigure({"host-bootstrap-node": "http://nobody.invalid"})
        assert await node.resolve("/~whois@1.0/node") == b"127.0.0.1:4321"


async def test_a_node_that_is_not_served_is_seen_by_nobody():
    async with (
        running_node() as seeing,
        served(seeing) as url,
        running_node(host_bootstrap_node=url) as node,
    ):
        with pytest.raises(RemoteError, match="does not see"):
            await node.resolve("/~whois@1.0/node")
