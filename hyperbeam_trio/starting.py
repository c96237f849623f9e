"""What happens before a node serves: its `start` hook, and option `at-start` (spec/07 §1.2, §5)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hyperbeam_trio.config.node import OPTIONS
from hyperbeam_trio.errors import HyperbeamError, NodeError
from hyperbeam_trio.hooks import run_hook
from hyperbeam_trio.message import Message, to_plain

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.node")


async def prepare(node: Node) -> None:
    """Run the `start` hook of a node, then resolve the paths of its option `at-start`.

    The hook gets the options as `body`; those that it returns changed are changed. Raises what a
    handler of the hook raises: then the node does not start. A path that fails is logged.
    """
    if node.hooks.find("start"):
        await _run_start_hook(node)
    for path in node.config.at_start:
        try:
            await node.context().internal().resolve_path(path)
        except HyperbeamError as error:
            log.error("At the start %s failed: %s", path, error.text)


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
