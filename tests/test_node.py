"""A node inside somebody else's Trio program: services, options, lifetimes."""

from __future__ import annotations

import logging

import pytest
import trio

import hyperbeam_trio
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.errors import Busy, ConfigError, NodeError, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.service.registry import TaskRegistry
from hyperbeam_trio.store import open_store
from hyperbeam_trio.testing.node import fixed_wallet, running_node


async def test_a_node_runs_in_anybodys_program(tmp_path):
    wallet = fixed_wallet()
    async with hyperbeam_trio.open_node(store=f"lmdb:{tmp_path}/data", wallet=wallet) as node:
        assert await node.resolve("/~message@1.0&greeting=hello/greeting") == b"hello"
        assert await node.resolve({"path": "/list/2", "list": ["a", "b"]}) == b"b"
        assert await node.resolve(Message(a={"b": "1"}), "a/b") == b"1"


async def test_services_start_in_order_and_stop_in_reverse(caplog):
    caplog.set_level(logging.INFO, "hyperbeam_trio.node")
    async with running_node():
        pass
    names = ["store", "signers", "name service", "timestamp service"]
    names += ["scheduler registry", "workers"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"{name} started" for name in names] + [
        f"{name} stopped" for name in reversed(names)
    ]


async def test_an_error_in_the_callers_block_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with running_node():
            raise ZeroDivisionError


async def test_many_nodes_live_in_one_process():
    async with running_node() as one, running_node(wallet=generate_wallet("ed25519")) as other:
        id = await one.cache.write(Message(a="1"))
        assert one.address != other.address
        with pytest.raises(NotFound):
            await other.resolve(f"/{id}")


async def test_a_store_passed_in_stays_the_callers():
    store = await open_store("memory:")
    async with hyperbeam_trio.open_node(store=store, wallet=fixed_wallet()) as node:
        id = await node.cache.write(Message(a="1"))
    async with hyperbeam_trio.open_node(store=store, wallet=fixed_wallet()) as again:
        assert await again.resolve(f"/{id}/a") == b"1"
    await store.close()


async def test_a_change_of_options_that_does_not_fit_changes_nothing(node):
    with pytest.raises(ConfigError, match="port"):
        node.reconfigure({"generate-index": False, "port": "many"})
    assert node.config.generate_index is True


async def test_a_named_task_runs_once_and_gives_its_handle():
    starts = []

    async def service(*, task_status) -> None:
        starts.append(1)
        task_status.started("handle")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        registry = TaskRegistry(nursery, "service")
        handles = [await registry.ensure("a", service) for _ in range(3)]
        assert (handles, starts, registry.names()) == (["handle"] * 3, [1], ["a"])
        registry.stop("a")
        await trio.testing.wait_all_tasks_blocked()
        assert registry.names() == []
        nursery.cancel_scope.cancel()


async def test_a_task_that_fails_to_start_says_why_to_everybody():
    async def service(*, task_status) -> None:
        raise NodeError("no luck")

    async with trio.open_nursery() as nursery:
        registry = TaskRegistry(nursery, "service")
        for _ in range(2):
            with pytest.raises(NodeError, match="no luck"):
                await registry.ensure("a", service)
        nursery.cancel_scope.cancel()


async def test_tasks_are_bounded():
    async def service(*, task_status) -> None:
        task_status.started()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        registry = TaskRegistry(nursery, "service", limit=1)
        await registry.ensure("a", service)
        with pytest.raises(Busy, match="1 service tasks"):
            await registry.ensure("b", service)
        nursery.cancel_scope.cancel()
