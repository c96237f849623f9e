"""Who asks: the connection, a proxy that is believed, and the port that a node announces."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.http.peer import client_address
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.testing.node import running_node
from tests.support.in_memory import Body, Client


class Mirror(Device):
    """Tells what a request says of who asks; as if it would never change."""

    name = "mirror@1.0"

    @key
    async def peer(self, base: Message, request: Message, context: Context) -> Value:
        """The key `ao-peer`, or `nobody`."""
        return request.text("ao-peer", "nobody").encode()

    @key
    async def port(self, base: Message, request: Message, context: Context) -> Value:
        """The key `ao-peer-port`, or `none`."""
        return request.text("ao-peer-port", "none").encode()

    @key(volatile=True)
    async def address(self, base: Message, request: Message, context: Context) -> Value:
        """The address that the request's private data has."""
        return request.private["transport"]["ip"]


@pytest.fixture
async def node():
    async with running_node(devices={"mirror@1.0": Mirror}) as running:
        yield running


def asked(told: bytes | None, peer: str = "10.0.0.1") -> HttpRequest:
    headers = [] if told is None else [(b"x-real-ip", told)]
    return HttpRequest("GET", b"/", headers, Body(b""), (peer, 9))


@pytest.mark.parametrize(
    ("told", "peer", "expected"),
    [
        (None, "10.0.0.1", "10.0.0.1"),
        (b"1.2.3.4", "10.0.0.1", "1.2.3.4"),
        (b" 2001:DB8::1", "10.0.0.1", "2001:db8::1"),
        (b"1.2.3.4", "10.0.0.2", "10.0.0.2"),
        (b"rubbish", "10.0.0.1", "10.0.0.1"),
        (b"1.2.3.4, 5.6.7.8", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_may_say_for_whom_it_asks(told, peer, expected):
    assert client_address(asked(told, peer), ("10.0.0.1",)) == expected


async def test_the_address_is_private_data_of_the_request():
    async with running_node(devices={"mirror@1.0": Mirror}, trusted_proxies=["127.0.0.1"]) as node:
        told = [(b"x-real-ip", b"1.2.3.4")]
        answer = await Client(node).ask("/~mirror@1.0/address", headers=told)
        assert answer.body == b"1.2.3.4"


@pytest.mark.parametrize(
    ("port", "peer"),
    [(b"8734", b"127.0.0.1:8734"), (b"0", b"nobody"), (b"65536", b"nobody"), (b"x", b"nobody")],
)
async def test_a_port_makes_a_peer_of_who_asks(node, port, peer):
    headers = [(b"ao-peer-port", port)]
    assert (await Client(node).ask("/~mirror@1.0/peer", headers=headers)).body == peer
    assert (await Client(node).ask("/~mirror@1.0/port", headers=headers)).body == b"none"


async def test_nobody_can_pass_for_another_peer(node):
    headers = [(b"ao-peer", b"6.6.6.6:1")]
    assert (await Client(node).ask("/~mirror@1.0/peer", headers=headers)).body == b"nobody"


async def test_what_a_signer_says_of_its_peer_stays(node):
    message = Message({"path": "/~mirror@1.0/peer", "ao-peer": "6.6.6.6:1"})
    wallet = generate_wallet("ed25519")
    signed = await commit_signed(message, wallet, limiter=node.crypto_limiter)
    headers = [(n.encode(), v) for n, v in HTTPSIG.encode(signed, bundle=False).headers]
    answer = await Client(node).ask("/x", headers=[*headers, (b"ao-peer-port", b"1234")])
    assert answer.body == b"6.6.6.6:1"


async def test_a_commitment_that_anybody_can_make_names_no_peer(node):
    message = commit_unsigned(Message({"path": "/~mirror@1.0/peer", "ao-peer": "6.6.6.6:1"}))
    headers = [(n.encode(), v) for n, v in HTTPSIG.encode(message, bundle=False).headers]
    answer = await Client(node).ask("/x", headers=[*headers, (b"ao-peer-port", b"1234")])
    assert answer.body == b"127.0.0.1:1234"


async def test_a_kept_answer_is_for_the_same_peer_only(node):
    client, headers = Client(node), [(b"host", b"node.test"), (b"ao-peer-port", b"1")]
    bodies = []
    for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        request = HttpRequest("GET", b"/~mirror@1.0/peer", headers, Body(b""), (address, 9))
        bodies.append((await client.handler(request)).body)
    assert bodies == [b"10.0.0.1:1", b"10.0.0.1:1", b"10.0.0.2:1"]


async def test_headers_may_be_kept_out_of_messages():
    async with running_node(http_inbound_filter_keys=["X-Trace"]) as node:
        client, headers = Client(node), [(b"x-trace", b"1"), (b"x-other", b"2")]
        assert (await client.ask("/~message@1.0/x-trace", headers=headers)).status == 404
        assert (await client.ask("/~message@1.0/x-other", headers=headers)).body == b"2"
