"""relay@1.0: asking others in the caller's name, and refusing to reach inside."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.relay import RelayDevice
from hyperbeam_trio.errors import BadRequest, Busy, Forbidden, RemoteError
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served
from tests.http.client import RawClient
from tests.http.servers import Names, scripted

SIGNER = Ed25519Wallet(b"s" * 32)
HERE = {"http-allow-private": ["127.0.0.1"]}


class Witness(Device):
    """Tells what a request says and who signed it."""

    name = "witness@1.0"
    volatile = True

    @key
    async def see(self, base: Message, request: Message, context: Context) -> Message:
        caller = request.caller
        said = {k: v for k, v in caller.items() if isinstance(v, bytes | int)}
        return Message.of(
            {"said": Message.of(said), "by": [signer.encode() for signer in caller.signers]}
        )


WITNESS = {"witness@1.0": Witness}


class TestRelayContract(DeviceContract):
    device = RelayDevice


async def signed(**keys) -> Message:
    limiter = trio.CapacityLimiter(1)
    return await commit_signed(Message(keys), SIGNER, limiter=limiter)


def call(**keys) -> Message:
    return Message({"path": "/~relay@1.0/call", "method": "GET", **keys})


async def test_a_call_gives_the_answer_of_another_node():
    async with running_node() as peer, served(peer) as url, running_node(**HERE) as node:
        found = await node.resolve(call(**{"relay-path": f"{url}~meta@1.0/build/node"}))
    assert found["body"] == b"hyperbeam-trio"
    assert found["status"] == 200
    assert found.signers == [peer.address]


async def test_the_first_signer_is_seen_at_the_end_of_the_relay():
    async with (
        running_node(devices=WITNESS) as peer,
        served(peer) as url,
        running_node(**HERE) as middle,
        served(middle) as door,
        running_node() as client,
    ):
        own = await signed(**{"x": "1", "n": 5, "relay-path": f"{url}~witness@1.0/see"})
        asked = own.set(path="/~relay@1.0/call", method="POST")
        reply = await ask(client, door, asked, allow_private=True)
    assert reply.message["by"] == [SIGNER.address.encode()]
    assert reply.message["said"]["n"] == 5
    assert reply.message.signers == [peer.address]


async def test_a_signed_message_inside_of_a_request_is_relayed_as_it_is():
    async with running_node(devices=WITNESS) as peer, served(peer) as url:
        inner = await signed(x="1", n=5, path="/~witness@1.0/see")
        async with running_node(**HERE) as node:
            found = await node.resolve(call(target="inner", inner=inner, peer=url))
    assert found["by"] == [SIGNER.address.encode()]


async def test_what_is_changed_on_the_way_is_not_said_by_its_signer():
    async with running_node(devices=WITNESS) as peer, served(peer) as url:
        inner = await signed(x="1", body="mine")
        keys = {"target": "inner", "inner": inner, "peer": url, "relay-path": "~witness@1.0/see"}
        async with running_node(**HERE) as node:
            base = Message({"device": "relay@1.0", "body": "yours"})
            found = await node.resolve(base, Message({**keys, "path": "call"}))
    assert found["by"] == []
    assert found["said"]["body"] == b"yours"


# Where the values come from (spec/07 §8).


async def seen(base: dict, **keys) -> Message:
    """What the witness is told when base and request say this."""
    async with (
        running_node(devices=WITNESS) as peer,
        served(peer) as url,
        running_node(**HERE) as node,
    ):
        whole = Message({"device": "relay@1.0", "peer": url, **base})
        found = await node.resolve(whole, Message({"path": "call", **keys}))
    assert isinstance(found, Message)
    return found["said"]


SEE = "/~witness@1.0/see"


@pytest.mark.parametrize(
    ("base", "keys", "body"),
    [
        ({}, {"relay-body": "relay", "body": "request"}, b"relay"),
        ({}, {"body": "request"}, b"request"),
        ({"relay-body": "base-relay"}, {"body": "request"}, b"base-relay"),
        ({"relay-body": "base-relay"}, {"relay-body": "relay"}, b"relay"),
        ({"body": "base"}, {"relay-body": "relay", "body": "request"}, b"base"),
        ({}, {"target": "t", "t": {"body": "target"}, "relay-body": "relay"}, b"target"),
        ({"body": "base"}, {"target": "t", "t": {"body": "target"}}, b"base"),
        ({"t": {"body": "base's"}}, {"target": "t"}, b"base's"),
    ],
)
async def test_the_body_is_the_first_of_base_target_relay_body_and_request(base, keys, body):
    assert (await seen(base, **{"relay-path": SEE, **keys}))["body"] == body


@pytest.mark.parametrize(
    ("base", "keys", "method"),
    [
        ({}, {}, b"GET"),
        ({}, {"method": "POST"}, b"POST"),
        ({}, {"method": "POST", "relay-method": "PUT"}, b"PUT"),
        ({"method": "POST"}, {"method": "POST", "relay-method": "PUT"}, b"PUT"),
        ({"method": "POST"}, {"relay-method": "PUT"}, b"POST"),
        ({"relay-method": "PUT"}, {"method": "POST"}, b"PUT"),
        ({}, {"target": "t", "t": {"method": "POST"}, "relay-method": "PUT"}, b"POST"),
    ],
)
async def test_the_method_is_the_first_of_base_target_relay_method_and_request(base, keys, method):
    assert (await seen(base, **{"relay-path": SEE, **keys}))["method"] == method


@pytest.mark.parametrize(
    ("base", "keys"),
    [
        ({"path": SEE}, {"relay-path": "/nowhere"}),
        ({"relay-path": "/nowhere"}, {"relay-path": SEE}),
        ({"relay-path": SEE}, {}),
        ({}, {"target": "t", "t": {"path": SEE}, "relay-path": "/nowhere"}),
        ({}, {"target": "self", "relay-path": SEE}),
        ({}, {"target": "t" * 43, "relay-path": SEE}),
    ],
)
async def test_the_path_is_the_first_of_base_target_and_relay_path(base, keys):
    assert "method" in await seen(base, **keys)


async def test_orders_to_the_relay_are_not_passed_on():
    said = await seen({}, **{"relay-path": SEE, "kept": "1", "commit-request": "false"})
    assert said["kept"] == b"1"
    assert not {"relay-path", "peer", "target", "commit-request", "device"} & set(said)


async def test_a_device_is_sent_only_if_it_is_asked_for():
    said = await seen({}, **{"relay-path": "/see", "relay-device": "witness@1.0", "x": "1"})
    assert said["device"] == b"witness@1.0"


async def test_without_a_peer_the_routes_decide():
    async with running_node() as peer, served(peer) as url, running_node() as node:
        node.reconfigure({"routes": [{"template": "^/~meta", "node": url}]})
        found = await node.resolve(call(**{"relay-path": "/~meta@1.0/info/address"}))
    assert found["body"] == peer.address.encode()


@pytest.mark.parametrize("keys", [{}, {"target": "missing", "relay-path": "/x"}])
async def test_a_call_that_says_too_little_is_refused(node, keys):
    with pytest.raises(BadRequest):
        await node.resolve(call(**keys))


# Signing for the caller.


async def test_the_node_signs_what_it_relays_only_if_its_operator_allows_it():
    async with running_node(devices=WITNESS) as peer, served(peer) as url:
        keys = {"relay-path": SEE, "peer": url, "relay-commit-request": "true", "x": "1"}
        async with running_node(**HERE) as node:
            with pytest.raises(Forbidden, match="relay-allow-commit-request"):
                await node.resolve(call(**keys))
            node.reconfigure({"relay-allow-commit-request": True})
            found = await node.resolve(call(**keys))
    assert found["by"] == [node.address.encode()]


# In the background.


def waiting(go_on: trio.Event, heard: trio.Event):
    async def serve(peer: RawClient) -> None:
        await peer.until(b"\r\n\r\n")
        heard.set()
        await go_on.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    return serve


async def test_a_cast_is_answered_before_it_is_sent():
    go_on, heard = trio.Event(), trio.Event()
    async with scripted(waiting(go_on, heard)) as port, running_node(**HERE) as node:
        url = f"http://127.0.0.1:{port}/"
        asked = Message({"path": "/~relay@1.0/cast", "relay-path": url})
        assert await node.resolve(asked) == b"OK"
        with trio.fail_after(5):
            await heard.wait()
        go_on.set()


class NarrowRelay(RelayDevice):
    """Sends two requests in the background at most."""

    casts_at_once = 2


async def test_casts_are_bounded():
    go_on, heard = trio.Event(), trio.Event()
    async with (
        scripted(waiting(go_on, heard)) as port,
        running_node(devices={"relay@1.0": NarrowRelay}, **HERE) as node,
    ):
        url = f"http://127.0.0.1:{port}/"
        asked = Message({"path": "/~relay@1.0/cast", "relay-path": url})
        for _ in range(2):
            await node.resolve(asked)
        with pytest.raises(Busy):
            await node.resolve(asked)
        go_on.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await node.resolve(asked) == b"OK"


async def test_a_cast_that_fails_is_logged_and_hurts_nobody(caplog):
    async with running_node() as node:
        asked = {"path": "/~relay@1.0/cast", "relay-path": "http://127.0.0.1:1/"}
        assert await node.resolve(Message(asked)) == b"OK"
        await trio.testing.wait_all_tasks_blocked()
        assert await node.resolve("/~meta@1.0/build/node") == b"hyperbeam-trio"
    assert "private" in caplog.text


# As a hook.


async def test_as_a_hook_it_relays_whole_requests_with_their_signers():
    async with running_node(devices=WITNESS) as peer, served(peer) as url:
        handler = {"device": "relay@1.0", "peer": url}
        async with (
            running_node(**HERE, on={"request": handler}) as middle,
            served(middle) as door,
            running_node() as client,
        ):
            asked = (await signed(x="1", n=5)).set(path="/~witness@1.0/see?y=2", method="POST")
            reply = await ask(client, door, asked, allow_private=True)
    assert reply.message["by"] == [SIGNER.address.encode()]
    assert reply.message["said"]["path"] == b"/~witness@1.0/see?y=2"


# Reaching inside.


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f000001", "017700000001", "127.1", "0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0"),
        *("169.254.169.254", "10.1.2.3", "192.168.0.1", "[fd00::1]", "[fe80::1]"),
    ],
)
@pytest.mark.parametrize("key", ["relay-path", "peer"])
async def test_nobody_makes_the_node_ask_private_addresses(node, host, key):
    url = f"http://{host}:1/secret"
    keys = {"relay-path": url} if key == "relay-path" else {"peer": url, "relay-path": "/x"}
    with pytest.raises(Forbidden):
        await node.resolve(call(**keys))


async def test_a_name_that_means_a_private_address_is_refused(node):
    trio.socket.set_custom_hostname_resolver(Names({"evil.example": ["127.0.0.1"]}))
    with pytest.raises(Forbidden):
        await node.resolve(call(**{"relay-path": "http://evil.example/"}))


async def test_a_redirect_to_a_private_address_is_not_followed():
    secret: list[bytes] = []

    async def inside(peer: RawClient) -> None:
        secret.append(await peer.until(b"\r\n\r\n"))

    async with scripted(inside) as port:
        location = f"http://127.0.0.1:{port}/secret"

        async def outside(peer: RawClient) -> None:
            await peer.until(b"\r\n\r\n")
            head = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            await peer.send(head.encode())

        async with scripted(outside) as public, running_node(**HERE) as node:
            found = await node.resolve(call(**{"relay-path": f"http://127.0.0.1:{public}/"}))
    assert (found["status"], found["location"]) == (302, location.encode())
    assert secret == []


async def test_a_route_of_the_operators_opens_nothing_to_who_names_its_node_himself():
    async with running_node() as inside, served(inside) as url, running_node() as node:
        node.reconfigure({"routes": [{"template": "^/public", "node": url}]})
        for keys in ({"peer": url, "relay-path": "/x"}, {"relay-path": f"{url}x"}):
            with pytest.raises(Forbidden):
                await node.resolve(call(**keys))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://a/", "http://u:p@a/", "/x y"])
async def test_only_http_is_spoken(node, url):
    node.reconfigure({"routes": []})
    with pytest.raises(BadRequest):
        await node.resolve(call(**{"relay-path": url}))


async def test_an_answer_that_somebody_tampered_with_is_refused():
    async with running_node() as peer, served(peer) as url, running_node() as node:
        reply = await node.http_client.request(
            "GET", f"{url}~meta@1.0/build?accept-bundle=true", allow_private=True
        )
    changed = b"".join(
        name + b": " + (b"evil" if name == b"node" else value) + b"\r\n"
        for name, value in reply.headers
        if name not in (b"content-length", b"transfer-encoding")
    )

    async def forger(peer: RawClient) -> None:
        await peer.until(b"\r\n\r\n")
        length = b"content-length: %d\r\n\r\n" % len(reply.body)
        await peer.send(b"HTTP/1.1 200 OK\r\n" + changed + length + reply.body)

    async with scripted(forger) as port, running_node(**HERE) as node:
        with pytest.raises(RemoteError, match="does not hold"):
            await node.resolve(call(**{"relay-path": f"http://127.0.0.1:{port}/"}))
