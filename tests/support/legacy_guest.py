"""A guest with the calling convention of aos, and the stack that it runs in (spec/06 §4)."""

from __future__ import annotations

from typing import Any

from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from tests.devices.processes.conftest import Running, spawn

ANSWER = (
    r"{\22ok\22:true,\22response\22:{\22Output\22:{\22data\22:\220\22},"
    r"\22Messages\22:[{\22Target\22:\22T\22,\22Anchor\22:\22x\22,\22Tags\22:"
    r"[{\22name\22:\22Action\22,\22value\22:\22Hi\22}]}],\22Spawns\22:[],\22Assignments\22:[]}}\00"
)
"""What the guest below answers; its byte 41 counts its calls."""

PROGRAM = f"""
(module
  (memory (export "memory") i64 2)
  (data (i64.const 1024) "{ANSWER}")
  (data (i64.const 3000) "\\00\\20\\00\\00\\00\\00\\00\\00")
  (func (export "malloc") (param i64) (result i64)
    (i64.load (i64.const 3000))
    (i64.store (i64.const 3000) (i64.add (i64.load (i64.const 3000)) (local.get 0))))
  (func (export "handle") (param i64 i64) (result i64)
    (if (i32.ne (i32.load8_u (local.get 0)) (i32.const 123)) (then unreachable))
    (if (i32.ne (i32.load8_u (local.get 1)) (i32.const 123)) (then unreachable))
    (i32.store8 (i64.const 1065) (i32.add (i32.load8_u (i64.const 1065)) (i32.const 1)))
    (i64.const 1024)))
"""

STACK = ["wasi@1.0", "json-iface@1.0", "wasm-64@1.0", "multipass@1.0"]


async def spawn_guest(node: Node, code: bytes, **keys: Any) -> Running:
    """A process whose program is a module of this convention."""
    return await spawn(
        node,
        execution_device="stack@1.0",
        device_stack=STACK,
        stack_keys=["init", "compute", "snapshot", "normalize"],
        output_prefix="wasm",
        passes=2,
        image=await node.cache.write(Message(body=code)),
        **keys,
    )
