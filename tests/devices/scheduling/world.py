"""What these tests schedule: processes, messages, their signers, and how they are posted."""

from __future__ import annotations

from typing import Any

import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, Wallet
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node

USER = Ed25519Wallet(bytes([7]) * 32)
OTHER = Ed25519Wallet(bytes([9]) * 32)
SCHEDULER = Message(device="scheduler@1.0")


async def signed(message: Message, wallet: Wallet = USER) -> Message:
    """The message with a signature of `wallet`."""
    return await commit_signed(message, wallet, limiter=trio.CapacityLimiter(2))


async def definition(node: Node | None, **keys: Any) -> Message:
    """A signed definition of a process that `node` schedules."""
    scheduler = {} if node is None else {"scheduler": node.address}
    base = {"device": "process@1.0", "type": "Process", "execution-device": "test-device@1.0"}
    return await signed(Message({**base, **scheduler, **keys}))


async def ping(process: str, **keys: Any) -> Message:
    """A signed message to a process."""
    return await signed(Message({"type": "Message", "target": process, **keys}))


async def post(node: Node, message: Message, **keys: Any) -> Message:
    """The assignment of a message, posted as `body`."""
    request = Message({"path": "schedule", "method": "POST", **keys}).set(body=message)
    assignment = await node.resolve(SCHEDULER, request)
    assert isinstance(assignment, Message)
    return assignment


async def spawn(node: Node, **keys: Any) -> str:
    """The id of a new process whose definition has slot 0."""
    process = await definition(node, **keys)
    assignment = await post(node, process)
    assert assignment.int("slot") == 0
    return signed_id(process)


async def current(node: Node, process: str) -> int:
    """What `slot/current` says."""
    slot = await node.resolve(SCHEDULER, Message(path="slot", target=process))
    assert isinstance(slot, Message)
    return slot.int("current")


async def listed(node: Node, process: str, **keys: Any) -> Message:
    """A page of the schedule."""
    request = Message({"path": "schedule", "target": process, **keys})
    page = await node.resolve(SCHEDULER, request)
    assert isinstance(page, Message)
    return page
