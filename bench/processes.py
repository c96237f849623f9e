"""Processes to measure: a program behind the convention of aos, and one in Lua.

aos itself is not ours to ship: it is taken from `HYPERBEAM_TRIO_WASM` or `../shared/wasm` where it
is, and `modules/process.wat` stands in for it where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio
import wasmtime

from bench.suite_engine import AOS, MODULES
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node

STACK: Sequence[str] = ("wasi@1.0", "json-iface@1.0", "wasm-64@1.0", "multipass@1.0")


@dataclass(frozen=True, slots=True)
class Program:
    """What a process runs: `module` is stored, `definition` is what its spawn says of it.

    `message` is what it is sent again and again; `name` says which program it is.
    """

    name: str
    module: Message
    definition: Mapping[str, Any]
    message: Mapping[str, Any]
    user: Ed25519Wallet = field(default_factory=Ed25519Wallet.generate)

    async def spawn(self, scheduler: str, seed: object) -> Message:
        """The signed definition of a process."""
        definition = {"device": "process@1.0", "type": "Process", "scheduler": scheduler}
        return await self._signed({**definition, **self.definition, "random-seed": str(seed)})

    async def send(self, process: str, **keys: Any) -> Message:
        """A signed message to a process."""
        return await self._signed({"type": "Message", "target": process, **self.message, **keys})

    async def _signed(self, keys: Mapping[str, Any]) -> Message:
        limiter = trio.CapacityLimiter(1)
        return await commit_signed(Message(dict(keys)), self.user, limiter=limiter)


def aos() -> Program:
    """aos, or what stands in for it."""
    return _legacy(AOS.stem, AOS.read_bytes()) if AOS.is_file() else stand_in()


def stand_in() -> Program:
    """A small program with the convention of aos."""
    code = wasmtime.wat2wasm((MODULES / "process.wat").read_text())
    return _legacy("process.wat", bytes(code))


def _legacy(name: str, code: bytes) -> Program:
    module = Message(body=code)
    definition = {
        "execution-device": "stack@1.0",
        "device-stack": list(STACK),
        "stack-keys": ["init", "compute", "snapshot", "normalize"],
        "output-prefix": "wasm",
        "passes": 2,
        "image": unsigned_id(module),
    }
    user = Ed25519Wallet.generate()
    # The owner's Eval is trusted, and an authority is what aos asks of every definition.
    definition["authority"] = user.address
    return Program(name, module, definition, {"action": "Eval", "data": "return 1+1"}, user)


def lua() -> Program:
    """A Lua process whose handler sends a message."""
    code = (MODULES / "inbox.lua").read_bytes()
    module = Message({"content-type": "application/lua", "body": code})
    definition = {"execution-device": "lua@5.3a", "module": unsigned_id(module)}
    return Program("inbox.lua", module, definition, {"action": "Balance", "from": "f" * 43})


async def scheduled(node: Node, program: Program, messages: int, seed: object) -> str:
    """The id of a new process on a node, with its definition and `messages` in its schedule."""
    await node.cache.write(program.module)
    definition = await program.spawn(node.address, seed)
    process = signed_id(definition)
    await _post(node, Message(device="process@1.0"), definition)
    for _ in range(messages):
        await _post(node, Link(process), await program.send(process))
    return process


async def _post(node: Node, base: Message | Link, message: Message) -> None:
    await node.resolve(base, Message({"path": "schedule", "method": "POST"}, body=message))


async def compute(node: Node, process: str, slot: int) -> Message:
    """The state of a process after a slot."""
    state = await node.resolve(Link(process), Message(path="compute", slot=slot))
    if not isinstance(state, Message) or state.get("at-slot") != slot:
        raise RuntimeError(f"Slot {slot} was not computed: {state!r}")
    return state


def post_request(message: Message) -> bytes:
    """The bytes of a request that schedules a message."""
    encoded = encode(message, bundle=True)
    body = encoded.body or b""
    lines = [b"POST /~scheduler@1.0/schedule HTTP/1.1", b"host: bench"]
    lines += [name.encode() + b": " + value for name, value in encoded.headers]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
