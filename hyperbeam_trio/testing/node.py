"""An in-process node for tests: memory store, fixed wallet, no port unless asked.

In a `conftest.py`: `from hyperbeam_trio.testing.node import node, node_url  # noqa: F401`, then a
test takes `node` and resolves on it, or `node_url` and talks HTTP to it. (The `noqa` is because
pytest finds fixtures by their names, so a linter takes the import for unused.)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from hyperbeam_trio.config import NodeConfig
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, Wallet
from hyperbeam_trio.device import Device
from hyperbeam_trio.http.service import serve_node
from hyperbeam_trio.node import Node, open_node

TEST_SEED = bytes(range(32))


def fixed_wallet() -> Wallet:
    """The wallet of every test node: Ed25519 of a fixed seed, so that signing costs little."""
    return Ed25519Wallet(TEST_SEED)


@asynccontextmanager
async def running_node(
    *,
    wallet: Wallet | None = None,
    devices: Mapping[str, type[Device]] | None = None,
    **options: Any,
) -> AsyncIterator[Node]:
    """A node on a memory store that leaves nothing in files; `options` as for `open_node`."""
    given = {"store": ["memory:"], "mode": "debug", "wasm_artefacts": None, **options}
    config = NodeConfig().with_options(given)
    async with open_node(config, wallet=wallet or fixed_wallet(), devices=devices) as node:
        yield node


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[str]:
    """The URL of a node that is served on a free port of 127.0.0.1 meanwhile."""
    node.reconfigure({"port": 0, "host": "127.0.0.1"})
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(serve_node, node)
        try:
            yield urls[0]
        finally:
            nursery.cancel_scope.cancel()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node without a port."""
    async with running_node() as running:
        yield running


@pytest.fixture
async def node_url(node: Node) -> AsyncIterator[str]:
    """The URL of `node`, which is served for the time of the test."""
    async with served(node) as url:
        yield url
