"""One request to several nodes."""

import pytest
import trio
import trio.testing

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, NoViableResponses
from hyperbeam_trio.http.dispatch import request as dispatch
from hyperbeam_trio.http.multirequest import AT_ONCE, Rules, send_to_several, without_rules
from hyperbeam_trio.http.routing import Target
from hyperbeam_trio.message import Atom, Message
from hyperbeam_trio.testing.node import running_node
from tests.http.client import RawClient
from tests.http.servers import scripted


def says(body: str, status: int = 200, *, asked: list[str] | None = None, wait=None):
    """A service that answers every request alike."""

    async def serve(peer: RawClient) -> None:
        while True:
            head = await peer.until(b"\r\n\r\n")
            if asked is not None:
                asked.append(body)
            if wait is not None:
                await wait()
            head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n{body}"
            await peer.send(head.encode())

    return serve


class Services:
    """Services on ports, as targets."""

    def __init__(self, *scripts) -> None:
        self._scripts = scripts

    async def __aenter__(self) -> list[Target]:
        self._open = [scripted(script) for script in self._scripts]
        ports = [await service.__aenter__() for service in self._open]
        return [Target(f"http://127.0.0.1:{port}/", trusted=True) for port in ports]

    async def __aexit__(self, *error) -> None:
        for service in reversed(self._open):
            await service.__aexit__(None, None, None)


async def ask(rules: Rules, *scripts):
    async with running_node() as node, Services(*scripts) as targets:
        return await send_to_several(targets, Message(path="/"), rules, node.context())


async def test_nodes_are_asked_one_after_another_until_one_answer_is_admissible():
    asked: list[str] = []
    reply = await ask(
        Rules(statuses=frozenset({200})),
        says("no", 404, asked=asked),
        says("yes", asked=asked),
        says("late", asked=asked),
    )
    assert reply.message["body"] == b"yes"
    assert asked == ["no", "yes"]


async def test_several_answers_come_as_a_list_in_the_order_of_the_nodes():
    replies = await ask(Rules(responses=2, parallel=3), says("a"), says("b"), says("c"))
    bodies = [reply.message["body"] for reply in replies]
    assert len(bodies) == 2
    assert bodies == sorted(bodies)


async def test_all_at_once_means_that_the_slowest_is_not_waited_for():
    reply = await ask(
        Rules(parallel=AT_ONCE), says("never", wait=trio.sleep_forever), says("quick")
    )
    assert reply.message["body"] == b"quick"


async def test_who_does_not_stop_hears_everybody():
    asked: list[str] = []
    reply = await ask(Rules(stop_after=False), says("a", asked=asked), says("b", asked=asked))
    assert reply.message["body"] == b"a"
    assert asked == ["a", "b"]


async def test_nothing_admissible_is_an_error_that_says_why():
    with pytest.raises(NoViableResponses, match="answered 500") as none:
        await ask(Rules(statuses=frozenset({200})), says("x", 500), says("y", 404))
    assert none.value.status == 400


async def test_a_node_that_can_not_be_reached_is_one_that_gave_no_answer():
    async with running_node() as node, Services(says("here")) as targets:
        private = Target(targets[0].url, trusted=False)
        reply = await send_to_several(
            [private, *targets], Message(path="/"), Rules(), node.context()
        )
    assert reply.message["body"] == b"here"


class Judge(Device):
    """Admits what is long enough."""

    name = "judge@1.0"
    volatile = True

    @key("is-admissible")
    async def is_admissible(self, base: Message, request: Message, context: Context) -> bool:
        return len(request.binary("body")) >= base.int("least")

    @key
    async def wordy(self, base: Message, request: Message, context: Context) -> bool:
        return b" " in base.binary("body")


@pytest.mark.parametrize(
    ("judge", "body"),
    [({"least": 3}, b"long enough"), ({"path": "wordy"}, b"long enough"), ({"least": 1}, b"no")],
)
async def test_a_message_of_the_operators_may_judge_the_answers(judge, body):
    rules = Rules(admissible=Message({"device": "judge@1.0", **judge}))
    async with (
        running_node(devices={"judge@1.0": Judge}) as node,
        Services(says("no"), says("long enough")) as targets,
    ):
        reply = await send_to_several(targets, Message(path="/"), rules, node.context())
    assert reply.message["body"] == body


# Rules.


@pytest.mark.parametrize(
    ("keys", "rules"),
    [
        ({}, Rules()),
        ({"responses": 3}, Rules(responses=3)),
        ({"responses": "3", "parallel": True}, Rules(responses=3, parallel=AT_ONCE)),
        ({"parallel": "true"}, Rules(parallel=AT_ONCE)),
        ({"parallel": False}, Rules(parallel=1)),
        ({"parallel": 5}, Rules(parallel=5)),
        ({"parallel": 5000}, Rules(parallel=AT_ONCE)),
        ({"stop-after": "false"}, Rules(stop_after=False)),
        ({"admissible-status": "All"}, Rules()),
        ({"admissible-status": 200}, Rules(statuses=frozenset({200}))),
        ({"admissible-status": "200, 404"}, Rules(statuses=frozenset({200, 404}))),
        ({"admissible-status": [200, "404"]}, Rules(statuses=frozenset({200, 404}))),
        ({"admissible": {"a": "1"}}, Rules(admissible=Message(a="1"))),
    ],
)
def test_rules_are_read_from_a_route(keys, rules):
    assert Rules().read(Message(keys)) == rules


def test_the_rules_of_a_message_win():
    route = Rules().read(Message({"responses": 3, "parallel": True}))
    asked = Message({"multirequest-responses": 1, "responses": 9})
    assert route.read(asked, "multirequest-") == Rules(responses=1, parallel=AT_ONCE)


@pytest.mark.parametrize(
    "keys",
    [
        {"responses": "many"},
        {"parallel": "some"},
        {"parallel": 0},
        {"admissible-status": "good"},
        {"admissible-status": Atom("x")},
        {"admissible": "yes"},
        {"stop-after": "maybe"},
    ],
)
def test_rules_that_can_not_be_read_are_errors(keys):
    with pytest.raises(BadRequest):
        Rules().read(Message(keys))


async def test_rules_are_not_sent_along_unless_they_are_signed(node):
    keys = {"multirequest-responses": 1, "a": "1"}
    assert without_rules(Message(keys)) == Message(a="1")
    signed = await node.sign(Message(keys))
    assert without_rules(signed) == Message(keys)


# By the routes.


async def test_routes_of_several_nodes_are_asked_by_their_rules():
    async with running_node() as node, Services(says("no", 404), says("yes")) as targets:
        nodes = [target.url for target in targets]
        route = {"template": "/x", "nodes": nodes, "admissible-status": 200}
        node.reconfigure({"routes": [route]})
        reply = await dispatch(Message(path="/x"), node.context())
    assert reply.message["body"] == b"yes"


async def test_the_nodes_of_a_message_win_but_must_be_public():
    async with running_node() as node, Services(says("secret")) as targets:
        node.reconfigure({"routes": [{"template": "/x", "node": targets[0].url}]})
        asked = Message({"path": "/x", "multirequest-nodes": [targets[0].url]})
        with pytest.raises(NoViableResponses, match="private"):
            await dispatch(asked.set({"multirequest-responses": 2}), node.context())


async def test_without_a_route_nobody_is_asked(node):
    node.reconfigure({"routes": []})
    with pytest.raises(BadRequest, match="No route matches") as none:
        await dispatch(Message(path="/x"), node.context())
    assert none.value.details["reason"] == "no_matching_route"


class Provider(Device):
    """Gives routes."""

    name = "provider@1.0"
    volatile = True

    @key
    async def routes(self, base: Message, request: Message, context: Context) -> list[Message]:
        return [Message(template=".*", node=base["node"])]


async def test_a_provider_may_give_the_routes_which_are_not_trusted():
    devices = {"provider@1.0": Provider}
    async with running_node(devices=devices) as node, Services(says("here")) as targets:
        provider = {"device": "provider@1.0", "node": targets[0].url}
        node.reconfigure({"router-opts": {"provider": provider}})
        node.reconfigure({"http-allow-private": ["127.0.0.1"]})
        reply = await dispatch(Message(path="/x"), node.context())
    assert reply.message["body"] == b"here"
