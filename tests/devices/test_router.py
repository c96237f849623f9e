"""router@1.0: listing, adding, following and offering routes."""

import pytest

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.router import RouterDevice
from hyperbeam_trio.errors import BadRequest, ConfigError, Forbidden
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node, served

OTHER = Ed25519Wallet(b"o" * 32)


class TestRouterContract(DeviceContract):
    device = RouterDevice
    requests = [{"path": "routes"}, {"path": "route", "route-path": "/graphql"}]


async def post(at, by=None, /, **keys) -> Message:
    signed = await commit_signed(Message(keys), by or at.wallet, limiter=at.crypto_limiter)
    return signed.set(path="/~router@1.0/routes", method="POST")


# Listing and adding.


async def test_the_routes_of_the_options_are_listed(node):
    node.reconfigure({"routes": [{"template": "/a", "node": "http://a"}]})
    assert await node.resolve("/~router@1.0/routes") == [Message(template="/a", node="http://a")]


async def test_an_owner_adds_a_route_in_the_order_of_priorities(node):
    node.reconfigure({"routes": []})
    for name, priority in (("last", None), ("second", 10), ("first", 5)):
        extra = {} if priority is None else {"priority": priority}
        asked = await post(node, template=f"/{name}", node="http://a", **extra)
        assert await node.resolve(asked) == b"Route added."
    names = [route["template"] for route in await node.resolve("/~router@1.0/routes")]
    assert names == [b"/first", b"/second", b"/last"]


async def test_a_route_is_nothing_but_what_a_route_may_say(node):
    node.reconfigure({"routes": []})
    asked = await post(node, template="/a", node="http://a", accept="x", secret="y")
    await node.resolve(asked)
    assert await node.resolve("/~router@1.0/routes") == [Message(template="/a", node="http://a")]


async def test_others_add_no_routes(node):
    before = node.config.routes
    for asked in (
        await post(node, OTHER, template="/a", node="http://a"),
        Message(path="/~router@1.0/routes", method="POST", template="/a", node="http://a"),
    ):
        with pytest.raises(Forbidden):
            await node.resolve(asked)
    assert node.config.routes == before


async def test_the_operator_names_who_owns_the_routes(node):
    node.reconfigure({"route-owners": [OTHER.address]})
    assert await node.resolve(await post(node, OTHER, template="/a", node="http://a"))
    with pytest.raises(Forbidden):
        await node.resolve(await post(node, template="/b", node="http://a"))


@pytest.mark.parametrize(
    "keys",
    [
        {"node": "http://a"},
        {"template": "/a"},
        {"template": "(", "node": "http://a"},
        {"template": 5, "node": "http://a"},
    ],
)
async def test_what_is_no_route_is_refused(node, keys):
    before = node.config.routes
    with pytest.raises(BadRequest):
        await node.resolve(await post(node, **keys))
    assert node.config.routes == before


class Registrar(Device):
    """Decides on routes."""

    name = "registrar@1.0"
    volatile = True

    @key
    async def consider(self, base: Message, request: Message, context: Context) -> bytes:
        return b"thank you for " + request.binary("template")


async def test_a_registrar_decides_where_there_is_one():
    registrar = {"device": "registrar@1.0", "registrar-path": "consider"}
    devices = {"registrar@1.0": Registrar}
    async with running_node(devices=devices, router_opts={"registrar": registrar}) as node:
        asked = Message(path="/~router@1.0/routes", method="POST", template="/a")
        assert await node.resolve(asked) == b"thank you for /a"


# Following.

ROUTES = [
    {"template": "^/one", "node": "http://one.example"},
    {"template": "^/under", "node": {"prefix": "http://two.example/base"}},
    {"template": "^/many", "nodes": ["http://a.example", "http://b.example"]},
    {"template": "^/few", "nodes": ["http://a.example"], "strategy": "Random"},
]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/one/x", b"http://one.example"),
        ("/under/x", b"http://two.example/base/under/x"),
        ("/many/x", [b"http://a.example/many/x", b"http://b.example/many/x"]),
        ("/few/x", b"http://a.example/few/x"),
        ("https://elsewhere.example/x", b"https://elsewhere.example/x"),
    ],
)
async def test_a_path_leads_to_a_node_or_several(node, path, found):
    node.reconfigure({"routes": ROUTES})
    asked = Message({"path": "route", "route-path": path})
    assert await node.resolve(Message(device="router@1.0"), asked) == found


async def test_a_path_that_no_route_fits_is_an_error(node):
    node.reconfigure({"routes": ROUTES})
    asked = Message({"path": "route", "route-path": "/nowhere"})
    with pytest.raises(BadRequest, match="No route") as none:
        await node.resolve(Message(device="router@1.0"), asked)
    assert none.value.status == 400


async def test_match_looks_through_the_routes_of_the_base(node):
    base = Message({"device": "router@1.0", "routes": ROUTES})
    found = await node.resolve(base, Message({"path": "match", "route-path": "/under/x"}))
    assert found["reference"] == b"routes/2"
    assert found["template"] == b"^/under"
    with pytest.raises(BadRequest):
        await node.resolve(base, Message({"path": "match", "route-path": "/nowhere"}))


# Offering.


def offer(url) -> dict:
    route = {"template": "/ours", "node": "http://ours.example"}
    return {"router-opts": {"offered": [{"registration-peer": url, **route}]}}


async def test_offered_routes_are_registered_with_the_peers_they_name():
    async with running_node(routes=[]) as peer, served(peer) as url:
        async with running_node(wallet=OTHER) as node:
            peer.reconfigure({"route-owners": [node.address]})
            node.reconfigure(offer(url))
            assert await node.resolve("/~router@1.0/register") == b"Routes registered."
        assert await peer.resolve("/~router@1.0/routes") == [
            Message(template="/ours", node="http://ours.example")
        ]


async def test_only_the_operator_has_routes_registered_from_outside():
    async with running_node() as node, served(node) as url, running_node(wallet=OTHER) as client:
        asked = Message(path="/~router@1.0/register", method="POST")
        reply = await ask(client, url, asked, allow_private=True)
    assert reply.status == 403


async def test_offers_are_messages(node):
    node.reconfigure({"router-opts": {"offered": ["x"]}})
    with pytest.raises(ConfigError, match="offered"):
        await node.resolve("/~router@1.0/register")


# As a hook.


class Witness(Device):
    """Tells who signed a request."""

    name = "witness@1.0"
    volatile = True

    @key
    async def see(self, base: Message, request: Message, context: Context) -> Message:
        caller = request.caller
        keys = ("x", "n", "method")
        return Message.of(
            {
                "by": [signer.encode() for signer in caller.signers],
                "said": Message.of({key: caller[key] for key in keys if key in caller}),
                "here": context.node.address.encode(),
            }
        )


def routed(url: str, **handler) -> dict:
    return {
        "routes": [{"template": "^/~witness", "node": url}],
        "on": {"request": {"device": "router@1.0", "path": "preprocess", **handler}},
    }


@pytest.mark.parametrize("is_signed", [True, False])
async def test_requests_that_a_route_fits_are_answered_elsewhere(is_signed):
    devices = {"witness@1.0": Witness}
    async with (
        running_node(devices=devices, wallet=OTHER) as worker,
        served(worker) as url,
        running_node(devices=devices, **routed(url)) as front,
        served(front) as door,
        running_node() as client,
    ):
        own = Message(x="1", n=5)
        asked = await client.sign(own) if is_signed else own
        asked = asked.set(path="/~witness@1.0/see", method="POST")
        reply = await ask(client, door, asked, allow_private=True)
    assert reply.message["here"] == OTHER.address.encode()
    assert reply.message["said"] == Message(x="1", n=5, method="POST")
    assert reply.message["by"] == ([client.address.encode()] if is_signed else [])


async def test_other_requests_are_answered_here(node):
    async with running_node(**routed("http://127.0.0.1:1")) as front, served(front) as door:
        reply = await ask(node, door, Message(path="/~meta@1.0/build/node"), allow_private=True)
    assert reply.result == b"hyperbeam-trio"


async def test_or_not_at_all(node):
    options = routed("http://127.0.0.1:1", **{"router-preprocess-default": "error"})
    async with running_node(**options) as front, served(front) as door:
        reply = await ask(node, door, Message(path="/~meta@1.0/build/node"), allow_private=True)
    assert reply.status == 404
    assert b"No matching template" in reply.message["message"]
