"""base(request) -> result: sharing, recursion, cache control, hashpaths, casts, hooks."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import (
    BadRequest,
    InfiniteRecursion,
    KeyNotFound,
    NodeError,
    NotCached,
    NotFound,
)
from hyperbeam_trio.hashpath import hashpath
from hyperbeam_trio.message import As, Link, Message, Resolve, Value
from hyperbeam_trio.testing.node import running_node


class Counter(Device):
    """Counts how often it was really asked, and can be made to wait."""

    name = "counter@1.0"

    def __init__(self) -> None:
        self.calls = 0
        self.gate = trio.Event()
        self.entered = trio.Event()

    @key
    async def add(self, base: Message, request: Message, context: Context) -> Value:
        """The number in the base and that in the request, added."""
        self.calls += 1
        return Message.of({"sum": base.int("n", 0) + request.int("n", 0)})

    @key
    async def slow(self, base: Message, request: Message, context: Context) -> Value:
        """Answers when the gate opens."""
        self.calls += 1
        self.entered.set()
        await self.gate.wait()
        return Message(done=True)

    @key(volatile=True)
    async def tick(self, base: Message, request: Message, context: Context) -> Value:
        """A different answer every time."""
        self.calls += 1
        return Message(tick=self.calls)

    @key
    async def outer(self, base: Message, request: Message, context: Context) -> Value:
        """An answer that stands on a volatile one."""
        return await context.resolve(base, "tick")

    @key
    async def itself(self, base: Message, request: Message, context: Context) -> Value:
        """Asks for its own answer."""
        return await context.resolve(base, request)

    @key
    async def breaks(self, base: Message, request: Message, context: Context) -> Value:
        """A fault of the device's author."""
        raise ZeroDivisionError("by zero")


@pytest.fixture
async def node():
    async with running_node(devices={"counter@1.0": Counter}) as running:
        yield running


@pytest.fixture
def base():
    return Message(device="counter@1.0", n=1)


def _counter(node) -> Counter:
    return node.devices.get("counter@1.0")


def _kept(node) -> Context:
    return node.context().with_cache_control("always")


async def test_a_path_is_a_request_for_each_of_its_parts(node):
    assert await node.resolve(Message(a={"b": {"c": "x"}}), "a/b/c") == b"x"


async def test_a_list_counts_from_one(node):
    base = Message(list=["a", "b"])
    assert await node.resolve(base, "list/2") == b"b"
    with pytest.raises(KeyNotFound):
        await node.resolve(base, "list/0")


async def test_a_missing_key_says_not_found(node):
    with pytest.raises(KeyNotFound, match="not_found"):
        await node.resolve(Message(a="1"), "b")


async def test_an_unknown_device_is_named_with_near_misses(node):
    with pytest.raises(NotFound, match=r"'countr@1\.0' is not installed.*counter@1\.0"):
        await node.resolve(Message(device="countr@1.0"), "add")


async def test_a_request_without_a_path_is_refused(node, base):
    with pytest.raises(BadRequest, match="without a path"):
        await node.resolve(base, Message(n=1))


async def test_a_fault_in_a_device_names_device_and_key(node, base):
    with pytest.raises(NodeError, match=r"counter@1\.0 failed on 'breaks': ZeroDivisionError"):
        await node.resolve(base, "breaks")


async def test_results_carry_their_hashpath(node, base):
    request = Message(path="add", n=2)
    result = await node.resolve(base, request)
    assert result.hashpath == hashpath(base, request)


async def test_a_stored_result_is_not_computed_again(node, base):
    request = Message(path="add", n=2)
    first = await _kept(node).resolve(base, request)
    again = await node.resolve(base, request)
    assert (first, again) == (Message(sum=3), Message(sum=3))
    assert _counter(node).calls == 1
    assert again.hashpath == first.hashpath


async def test_nothing_is_stored_unless_somebody_asks_for_it(node, base):
    for _ in range(2):
        await node.resolve(base, Message(path="add", n=2))
    assert _counter(node).calls == 2


async def test_a_request_may_refuse_what_is_stored(node, base):
    await _kept(node).resolve(base, Message(path="add", n=2))
    fresh = Message({"path": "add", "n": 2, "cache-control": "no-cache"})
    await node.resolve(base, fresh)
    assert _counter(node).calls == 2


async def test_only_if_cached_never_computes(node, base):
    request = Message({"path": "add", "n": 2, "cache-control": "only-if-cached"})
    with pytest.raises(NotCached) as caught:
        await node.resolve(base, request)
    assert caught.value.status == 504
    assert _counter(node).calls == 0


async def test_volatile_answers_are_never_stored_nor_what_stands_on_them(node, base):
    context = _kept(node)
    assert await context.resolve(base, "tick") != await context.resolve(base, "tick")
    assert await context.resolve(base, "outer") != await context.resolve(base, "outer")


async def test_equal_questions_in_flight_share_one_execution(node, base):
    counter, results = _counter(node), []

    async def ask() -> None:
        results.append(await node.resolve(base, "slow"))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        counter.gate.set()
    assert results == [Message(done=True)] * 5
    assert counter.calls == 1


async def test_an_asker_that_gives_up_cancels_only_its_own_wait(node, base):
    counter, results = _counter(node), []

    async def ask() -> None:
        results.append(await node.resolve(base, "slow"))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as first:
            nursery.start_soon(_cancel_when_entered, counter, first)
            await node.resolve(base, "slow")
        assert first.cancelled_caught
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        counter.gate.set()
    assert results == [Message(done=True)]
    assert counter.calls == 1


async def _cancel_when_entered(counter: Counter, scope: trio.CancelScope) -> None:
    await counter.entered.wait()
    scope.cancel()


async def test_infinite_recursion_is_508(node, base):
    with pytest.raises(InfiniteRecursion) as caught:
        await node.resolve(base, "itself")
    assert caught.value.status == 508
    uncached = node.context().with_cache_control("no-cache, no-store")
    with pytest.raises(InfiniteRecursion):
        await uncached.resolve(base, "itself")


async def test_a_cast_changes_the_device_for_what_follows(node):
    cast = As(b"counter@1.0", Message(n=4))
    assert await node.context().resolve_many([cast, Message(path="add", n=1)]) == Message(sum=5)


async def test_a_cast_of_a_stored_message_loads_it(node):
    id = await node.cache.write(Message(n=4))
    assert await node.resolve(f"/{id}~counter@1.0/add&n+integer=3/sum") == 7


async def test_a_sequence_in_a_value_is_resolved_when_it_is_asked_for(node):
    inner = Resolve((Message(z="9"), Message(path="z")))
    assert await node.resolve(Message(k=inner), "k") == b"9"


async def test_an_id_alone_reads_the_message(node):
    id = await node.cache.write(Message(a="1", nested={"b": "2"}))
    assert (await node.resolve(f"/{id}"))["a"] == b"1"
    assert await node.resolve(f"/{id}/nested/b") == b"2"
    with pytest.raises(NotFound):
        await node.context().resolve_many([Link("A" * 43)])


async def test_a_step_hook_may_replace_results():
    handler = {"device": "hooked@1.0"}
    async with running_node(
        devices={"counter@1.0": Counter, "hooked@1.0": Hooked}, on={"step": handler}
    ) as node:
        base = Message(device="counter@1.0", n=1)
        assert await node.resolve(base, Message(path="add", n=1)) == Message(sum=2, seen=True)


class Hooked(Device):
    """A handler of the step hook."""

    name = "hooked@1.0"

    @key
    async def step(self, base: Message, request: Message, context: Context) -> Value:
        """The event with `seen` set in its result."""
        return request.set(body=request.message("body").set(seen=True))


async def test_a_hook_that_returns_rubbish_is_the_nodes_fault():
    async with running_node(on={"step": {"step": "x"}}) as node:
        with pytest.raises(NodeError, match="unexpected result"):
            await node.resolve(Message(device="test-device@1.0"), "test-func")
