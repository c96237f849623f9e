"""Which of several nodes a strategy takes."""

import random
from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import hash_id, human_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.strategies import Question, choose_nodes
from hyperbeam_trio.message import Message

ID = hash_id(b"some base")
NUMBER = int.from_bytes(sha256(b"some base").digest(), "big")


def chosen(strategy, nodes, choose=1, path="/x", request=None, route_by=None, seed=1):
    question = Question(request or Message(), path, route_by)
    return choose_nodes(strategy, nodes, choose, question, random.Random(seed))


def test_all_takes_all_whatever_their_number():
    assert chosen("All", [b"a", b"b", b"c"]) == [b"a", b"b", b"c"]


@given(st.integers(1, 6), st.integers(0))
def test_nobody_is_chosen_twice(count, seed):
    nodes = [b"a", b"b", b"c", b"d"]
    for strategy in ("Random", "By-Base", "By-Weight"):
        found = chosen(strategy, nodes, count, seed=seed)
        assert len(found) == len(set(found)) == min(count, 4)


def test_weights_are_kept_on_the_average():
    nodes = [Message(name="a", weight=3), Message(name="b", weight=1), Message(name="c", weight=0)]
    counts = Counter(chosen("By-Weight", nodes, seed=seed)[0]["name"] for seed in range(400))
    assert counts[b"c"] == 0
    assert 2 < counts[b"a"] / counts[b"b"] < 4.5


@pytest.mark.parametrize("path", [f"/{ID}/now", f"/{ID}~process@1.0/now", f"/{ID}?x=y", f"/{ID}&a"])
def test_by_base_takes_the_number_of_the_id_modulo_the_nodes(path):
    nodes = [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert chosen("By-Base", nodes, path=path) == [nodes[NUMBER % 7]]


def test_by_base_hashes_what_is_no_id():
    number = int.from_bytes(sha256(b"~meta@1.0").digest(), "big")
    nodes = [b"0", b"1", b"2"]
    assert chosen("By-Base", nodes, path="/~meta@1.0/info") == [nodes[number % 3]]


def test_by_base_goes_on_with_the_same_number_on_the_nodes_left():
    nodes = [b"0", b"1", b"2", b"3"]
    first = nodes[NUMBER % 4]
    left = [node for node in nodes if node != first]
    assert chosen("By-Base", nodes, 2, path=f"/{ID}") == [first, left[NUMBER % 3]]


def wallet_at(distance: int) -> Message:
    return Message(wallet=human_id(((NUMBER + distance) % (1 << 256)).to_bytes(32, "big")))


def test_nearest_takes_the_wallet_with_the_least_distance_on_the_ring():
    far, near, nearer = wallet_at(1 << 200), wallet_at(-1000), wallet_at(999)
    assert chosen("Nearest", [far, near, nearer], 2, path=f"/{ID}") == [nearer, near]


def test_the_ring_has_no_end():
    base = human_id(bytes(32))
    end = Message(wallet=human_id(b"\xff" * 32))
    inside = Message(wallet=human_id(bytes(30) + b"\1\0"))
    assert chosen("Nearest", [inside, end], path=f"/{base}") == [end]


def test_numbers_of_the_request_choose_by_centre_or_range():
    nodes = [Message(center=10, min=0, max=19), Message(center=30, min=20, max=39)]
    request = Message(offset=24)
    assert chosen("Nearest-Integer", nodes, request=request, route_by="offset") == [nodes[1]]
    assert chosen("Range", nodes, request=request, route_by="offset") == [nodes[1]]
    assert chosen("Range", nodes, request=Message(offset=99), route_by="offset") == []


def test_a_shuffled_strategy_takes_the_same_nodes_in_another_order():
    nodes = [Message(name=str(n), min=0, max=9) for n in range(8)]
    found = chosen("Shuffled-Range", nodes, 8, request=Message(x=1), route_by="x")
    assert found != nodes
    assert sorted(node["name"] for node in found) == [node["name"] for node in nodes]


@pytest.mark.parametrize(
    ("strategy", "node"),
    [
        ("Cheapest", Message()),
        ("Nearest", Message(wallet="short")),
        ("Nearest", Message(wallet="0x" + "a" * 40)),
        ("Nearest", b"http://a"),
        ("Range", Message(min=0, max=9)),
        ("By-Weight", Message(weight="heavy")),
    ],
)
def test_what_a_strategy_lacks_is_told(strategy, node):
    with pytest.raises(BadRequest):
        chosen(strategy, [node])
