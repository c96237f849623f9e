"""Processes for tests: spawned and sent messages on an in-process node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.node import Node

USER = Ed25519Wallet(bytes(range(32, 64)))


async def signed(message: Message) -> Message:
    """The message signed by a user that is not the node."""
    return await commit_signed(message, USER, limiter=trio.CapacityLimiter(1))


@dataclass(frozen=True, slots=True)
class Running:
    """A process on a node."""

    node: Node
    id: str

    async def send(self, **keys: Any) -> int:
        """Schedule a message; its slot."""
        message = await signed(Message({"type": "Message", "target": self.id, **keys}))
        return (await self.post(message)).int("slot")

    async def post(self, message: Message) -> Message:
        asked = Message({"path": "schedule", "method": "POST"}, body=message)
        answer = await self.node.resolve(Link(self.id), asked)
        assert isinstance(answer, Message)
        return answer

    async def ask(self, path: str, **keys: Any) -> Value:
        """What the process answers to a path."""
        return await self.node.resolve(Link(self.id), Message({"path": path, **keys}))

    async def state(self, slot: int) -> Message:
        """The state after a slot."""
        state = await self.ask("compute", slot=slot)
        assert isinstance(state, Message)
        return state

    async def ids(self, slots: int) -> list[str]:
        """The ids of the states after the first `slots` slots, asked for one by one."""
        return [unsigned_id(await self.state(slot)) for slot in range(slots)]

    async def push(self, **keys: Any) -> Message:
        """What comes of a message that is pushed: its slot, its results, what it led to."""
        message = await signed(Message({"type": "Message", "target": self.id, **keys}))
        asked = Message({"path": "push", "method": "POST"}, body=message)
        answer = await self.node.resolve(Link(self.id), asked)
        assert isinstance(answer, Message)
        loaded = await self.node.cache.load_all(answer)
        assert isinstance(loaded, Message)
        return loaded

    async def result(self, slot: int, *path: str) -> Value:
        """A value in the results of a slot."""
        value: Value = await self.state(slot)
        for part in ("results", *path):
            value = await self.node.resolve(value, part)
        return await self.node.cache.load_all(value)


Spawn = Callable[..., Awaitable[Running]]


async def spawn(node: Node, **keys: Any) -> Running:
    """A new process whose scheduler is `node`; keys may have underscores for dashes."""
    definition = {
        "device": "process@1.0",
        "type": "Process",
        "scheduler": node.address,
        "execution-device": "test-device@1.0",
        **{key.replace("_", "-"): value for key, value in keys.items()},
    }
    message = await signed(Message(definition))
    asked = Message({"path": "schedule", "method": "POST"}, body=message)
    answer = await node.resolve(Message(device="process@1.0"), asked)
    assert isinstance(answer, Message)
    return Running(node, answer.text("process"))
