"""Answers that are kept: those that can't change, and those made of the same result again."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.http.answers import SOURCES, AnswerCache
from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.testing.node import running_node
from tests.support.in_memory import Body, Client, header


def asked(target: str = "/a") -> HttpRequest:
    return HttpRequest("GET", target.encode(), [(b"host", b"node.test")], Body(b""), None)


def answer(body: bytes = b"body") -> HttpResponse:
    return HttpResponse(200, [(b"cache-status", b"miss")], body)


def test_an_answer_for_ever_is_found_as_a_hit():
    cache = AnswerCache(10_000)
    cache.keep(asked(), answer())
    found = cache.find(asked())
    assert found is not None
    assert (found.body, header(found, "cache-status")) == (b"body", "hit")
    assert cache.find(asked("/b")) is None


def test_an_answer_is_kept_once_the_same_result_has_come_twice():
    cache, result, response = AnswerCache(10_000), Message(a=1), answer()
    cache.keep_made(asked(), result, response)
    assert cache.find_made(asked(), result) is None
    cache.keep_made(asked(), result, response)
    assert cache.find_made(asked(), result) is response
    assert cache.find(asked()) is None


def test_another_result_needs_another_answer_even_if_it_is_equal():
    cache, result = AnswerCache(10_000), Message(a=1)
    for _ in range(2):
        cache.keep_made(asked(), result, answer())
    assert cache.find_made(asked(), Message(a=1)) is None
    cache.keep_made(asked(), Message(a=1), answer())
    assert cache.find_made(asked(), result) is not None


def test_only_some_results_are_remembered():
    cache, result = AnswerCache(10_000), Message(a=1)
    cache.keep_made(asked(), result, answer())
    for number in range(SOURCES):
        cache.keep_made(asked(f"/{number}"), result, answer())
    cache.keep_made(asked(), result, answer())
    assert cache.find_made(asked(), result) is None


def test_the_oldest_answers_go_when_the_bytes_are_used_up():
    cache, result = AnswerCache(100_000), Message(a=1)
    for number in range(20):
        for _ in range(2):
            cache.keep_made(asked(f"/{number}"), result, answer(bytes(10_000)))
    assert cache.size <= 100_000
    assert cache.find_made(asked("/0"), result) is None
    assert cache.find_made(asked("/19"), result) is not None
    cache.clear()
    assert (cache.size, cache.find_made(asked("/19"), result)) == (0, None)


class Board(Device):
    """Shows a message, the same one until somebody writes another."""

    name = "board@1.0"
    volatile = True

    def __init__(self) -> None:
        self.shown = Message(text="first")

    @key
    async def show(self, base: Message, request: Message, context: Context) -> Value:
        """What is written on the board."""
        return self.shown

    @key
    async def write(self, base: Message, request: Message, context: Context) -> Value:
        """Write `text` on it."""
        self.shown = Message(text=request.text("text"))
        return self.shown


@pytest.fixture
async def client():
    async with running_node(devices={"board@1.0": Board}) as node:
        yield Client(node)


async def test_an_answer_is_signed_once_while_the_device_says_the_same(client):
    answers = [await client.ask("/~board@1.0/show") for _ in range(4)]
    assert answers[2] is answers[3]
    assert header(answers[3], "text") == "first"


async def test_what_a_device_says_anew_is_seen_at_once(client):
    for _ in range(3):
        await client.ask("/~board@1.0/show")
    await client.ask("/~board@1.0/write&text=second")
    assert header(await client.ask("/~board@1.0/show"), "text") == "second"


async def test_the_options_are_shown_as_they_are_now():
    async with running_node() as node:
        client = Client(node)
        for _ in range(3):
            assert header(await client.ask("/~meta@1.0/info"), "max-body") == "67108864"
        node.reconfigure({"max-body": "1MiB"})
        assert header(await client.ask("/~meta@1.0/info"), "max-body") == "1048576"


class Gate(Device):
    """A response hook that changes answers, but only once it may."""

    name = "gate@1.0"
    reached, opened = trio.Event(), trio.Event()

    @key
    async def response(self, base: Message, request: Message, context: Context) -> Value:
        """Put something else in the place of the answer."""
        self.reached.set()
        await self.opened.wait()
        return request.set(body=Message(body=b"changed"))


async def test_an_answer_that_was_begun_under_other_options_is_not_kept(monkeypatch):
    monkeypatch.setattr(Gate, "reached", trio.Event())
    monkeypatch.setattr(Gate, "opened", trio.Event())
    hooks, path = {"response": {"device": "gate@1.0"}}, "/~message@1.0&a=1/a"
    async with running_node(devices={"gate@1.0": Gate}, on=hooks) as node:
        client = Client(node)
        async with trio.open_nursery() as asking:
            asking.start_soon(client.ask, path)
            await Gate.reached.wait()
            node.reconfigure({"on": {}})
            await client.ask("/~message@1.0&b=2/b")
            Gate.opened.set()
        assert (await client.ask(path)).body == b"1"


async def test_an_answer_to_a_body_that_no_header_announced_is_nobody_else_s():
    async with running_node() as node:
        client, path = Client(node), "/~message@1.0/body"
        bodied = await client.ask(path, body=b"mine")
        plain = await client.ask(path)
    assert bodied.body == b"mine"
    assert plain.body != b"mine"
