"""Templates of routes, and where their nodes are."""

import random

import pytest

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.routing import Route, Target, find_route
from hyperbeam_trio.message import Message

CHANCE = random.Random(1)


def route_for(path, *routes, **keys):
    return find_route(list(routes), Message({"path": path, **keys}), trusted=True)


def test_the_first_route_that_fits_is_taken():
    found = route_for(
        "/b/x",
        Message(template="^/a", node="http://a"),
        Message(template="^/b", node="http://b"),
        Message(template=".*", node="http://c"),
    )
    assert (found.message["node"], found.reference) == (b"http://b", "routes/2")


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/result/.*", "/result/5", True),
        ("/result/.*", "result/5", True),
        ("/result/.*", "/x/result/5", True),
        ("^/result/.*", "/x/result/5", False),
        ("/RESULT", "/result", False),
    ],
)
def test_a_text_is_an_expression_searched_for_in_the_path(template, path, fits):
    assert (route_for(path, Message(template=template, node="x")) is not None) == fits


@pytest.mark.parametrize(
    ("template", "fits"),
    [
        ({"path": "^/arweave/chunk", "method": "GET"}, True),
        ({"route-path": "chunk"}, True),
        ({"path": "^/arweave/chunk", "method": "POST"}, False),
        ({"path": "^/chunk"}, False),
        ({"absent": "1"}, False),
        ({}, True),
    ],
)
def test_a_message_fits_if_the_request_has_all_it_says(template, fits):
    route = Message(template=template, node="x")
    assert (route_for("/arweave/chunk/5", route, method="GET", more="1") is not None) == fits


def test_the_route_path_wins_over_the_path():
    request = Message({"path": "/a", "route-path": "/b"})
    assert find_route([Message(template="^/b", node="x")], request) is not None


def test_a_url_is_its_own_route_which_nobody_vouches_for():
    found = route_for("http://10.0.0.1/x", Message(template=".*", node="http://a"))
    assert (found.reference, found.trusted) == ("explicit", False)
    assert found.target(found.nodes[0], "http://10.0.0.1/x") == Target("http://10.0.0.1/x")


def test_no_route_fits_without_a_template():
    assert route_for("/x", Message(node="http://a"), Message(template=5, node="http://a")) is None


def test_a_request_without_a_path_can_not_be_routed():
    with pytest.raises(BadRequest, match="path"):
        find_route([], Message())


def test_a_template_that_is_no_expression_is_an_error():
    with pytest.raises(BadRequest, match="regular expression"):
        route_for("/x", Message(template="(", node="http://a"))


OURS = True


@pytest.mark.parametrize(
    ("node", "path", "url", "trusted"),
    [
        ("http://a", "/x?y", "http://a/x?y", True),
        ("http://a/", "/x", "http://a/x", True),
        ({"prefix": "http://a/base"}, "/x", "http://a/base/x", True),
        ({"suffix": "/more"}, "http://b/x", "http://b/x/more", False),
        ({"match": "^/arweave", "with": "https://arweave.net"}, "/arweave/tx", None, True),
        ({"match": "^/(.*?)/", "with": r"http://\1/"}, "/10.0.0.1/x", "http://10.0.0.1/x", False),
        ({"match": "^/to/", "with": "http://"}, "/to/10.0.0.1/", "http://10.0.0.1/", False),
        ({"match": "^/", "with": "http://a"}, "/.evil.example/x", "http://a.evil.example/x", False),
        ({"uri": "http://a/fixed"}, "/x", "http://a/fixed", True),
    ],
)
def test_a_node_leads_to_a_url_and_is_trusted_if_it_names_the_server(node, path, url, trusted):
    found = Route(Message(node=node), "routes/1", OURS).target(Message(node=node)["node"], path)
    assert found == Target(url or "https://arweave.net/tx", trusted)


def test_only_the_operators_routes_are_trusted():
    assert not Route(Message(), "routes/1").target(b"http://a", "/x").trusted


@pytest.mark.parametrize(
    "node", [5, {}, {"match": "(", "with": "x"}, {"match": "x", "with": "\\9"}]
)
def test_a_node_that_leads_nowhere_is_an_error(node):
    with pytest.raises(BadRequest):
        Route(Message(), "routes/1").target(Message(node=node)["node"], "/x")


def test_a_route_of_many_nodes_chooses_by_its_strategy():
    nodes = ["http://a", "http://b"]
    one = Route(Message(nodes=nodes, strategy="Random"), "routes/1")
    assert len(one.choose(Message(), "/x", CHANCE)) == 1
    assert len(Route(Message(nodes=nodes), "routes/1").choose(Message(), "/x", CHANCE)) == 2
    assert Route(Message(node="http://a"), "routes/1").choose(Message(), "/x", CHANCE) == [
        b"http://a"
    ]
