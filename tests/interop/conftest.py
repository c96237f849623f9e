"""Servers that others wrote, started once for all tests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import pytest

from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.testing.node import running_node, served
from tests.interop.seaweed import Seaweed, find_weed, running_seaweed


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    if find_weed() is None:
        pytest.skip("SeaweedFS is not installed; 'make interop' brings it")
    if find_spec("obstore") is None:
        pytest.skip("obstore is not installed; the extra 's3' brings it")
    with running_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def unused_endpoint() -> Iterator[str]:
    """An address where connections are refused, and nobody else can begin to listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
async def url(node_wallet: Wallet) -> AsyncIterator[str]:
    """Where a node with the module's `node_wallet` is served, without a slash at the end."""
    async with running_node(wallet=node_wallet) as node, served(node) as address:
        yield address.rstrip("/")
