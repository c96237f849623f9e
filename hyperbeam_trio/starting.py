"""What happens before a node serves: its `start` hook, and option `at-start` (spec/07 §1.2, §5).

Of several processes the first one does it; the others wait for it, and take the options that the
hook changed. One that takes the place of a first process that died does it again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import orjson
import trio

from hyperbeam_trio.config.node import OPTIONS
from hyperbeam_trio.errors import HyperbeamError, NodeError
from hyperbeam_trio.hooks import run_hook
from hyperbeam_trio.message import Message, to_plain
from hyperbeam_trio.service.siblings import Siblings

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.node")

FIRST: Final = 0
HOW_BEGUN: Final = "begun"
"""The question for the options that the start hook has changed."""


async def prepare(node: Node) -> None:
    """Run the `start` hook of a node, then resolve the paths of its option `at-start`.

    The hook gets the options as `body`; those that it returns changed are changed. Raises what a
    handler of the hook raises: then the node does not start. A path that fails is logged.
    """
    if node.siblings is not None and not node.leads:
        await _follow(node, node.siblings)
        return
    if node.hooks.find("start"):
        await _run_start_hook(node)
    for path in node.config.at_start:
        try:
            await node.context().internal().resolve_path(path)
        except HyperbeamError as error:
            log.error("At the start %s failed: %s", path, error.text)
    node.begun.set()


async def _follow(node: Node, siblings: Siblings) -> None:
    """Wait until the first process has begun, and do as it does."""
    told = b""
    while not told:
        # Nothing comes from one that ends meanwhile; the question then waits for the next.
        told = await siblings.ask(FIRST, HOW_BEGUN)
    changed = orjson.loads(told)
    if changed:
        node.reconfigure(changed)


async def answer_siblings(
    node: Node,
    siblings: Siblings,
    *,
    task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Let this process of a node be one of several, and answer the others until cancelled.

    They may ask how it has begun, or for the body of what a path resolves to here.
    """
    node.siblings = siblings

    async def answer(question: str) -> bytes:
        if question == HOW_BEGUN:
            await node.begun.wait()
            return orjson.dumps(node.begun_with)
        found = await node.context().internal().resolve_path(question)
        return found.binary("body") if isinstance(found, Message) else b""

    await siblings.serve(answer, task_status=task_status)


async def _run_start_hook(node: Node) -> None:
    shown = node.config.to_message()
    found = await run_hook("start", Message.of({"body": shown}), node.context())
    body = await node.cache.load_all(found["body"])
    if not isinstance(body, Message):
        raise NodeError("The start hook should return the node's options as its body.")
    changed = {
        name: to_plain(value)
        for name, value in body.items()
        if name in OPTIONS and value != shown.get(name)
    }
    node.reconfigure(changed)
    node.begun_with = changed
