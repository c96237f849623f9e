"""Resolving: single keys, deep paths, stacks, and paths as text."""

from __future__ import annotations

import trio

from bench.timing import Result, rate, rate_async
from hyperbeam_trio.message import Message
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.path.grammar import read_path
from hyperbeam_trio.testing.node import running_node

PROCESS_PATH = b"/JvUVR_iZb6JXTgNMSPZMMbNR-KS8ohTkcHGFCBUjRvk~process@1.0/compute&slot=1/results"

NESTED_PATH = b'/a/b&k=(x&j=(y/z))&l="v/1"/c?n+integer=5&2.m=text'


def run(quick: bool) -> list[Result]:
    """resolve.one_key, resolve.deep3, resolve.stack5, and path.parse and the like."""
    return trio.run(_run, 0.1 if quick else 0.5)


async def _run(seconds: float) -> list[Result]:
    one = Message(a="1", b="2", c="3")
    deep = Message(a={"b": {"c": "1"}})
    stack = Message(
        {
            "device": "stack@1.0",
            "device-stack": ["test-device@1.0"] * 5,
            "result": "INIT",
        }
    )
    append = Message(path="append", bin="2")
    headers = {f"header-{number}": "value" for number in range(10)}
    request = Message({"path": PROCESS_PATH, **headers})
    async with running_node() as node:
        context, resolve = node.context(), node.resolver.resolve
        return [
            await rate_async("resolve.one_key", lambda: resolve(one, "b", context), seconds),
            await rate_async("resolve.deep3", lambda: resolve(deep, "a/b/c", context), seconds),
            await rate_async("resolve.stack5", lambda: resolve(stack, append, context), seconds),
            rate("path.parse", lambda: read_path(PROCESS_PATH), seconds),
            rate("path.parse_nested", lambda: read_path(NESTED_PATH), seconds),
            rate("path.request_10_headers", lambda: parse_request(request), seconds),
        ]
