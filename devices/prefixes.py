"""Where an execution device reads and writes in the state: `input-prefix`, `output-prefix`.

Below a prefix `p` the key `x` is `p/x`; with the empty prefix it is `x` (spec/05 §6.1, spec/06 §0).
"""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.message import Message, Value


def output_path(base: Message, *keys: str) -> list[str]:
    """The path of a key below the output prefix."""
    return [*_parts(base, "output-prefix"), *keys]


def input_path(base: Message, *keys: str) -> list[str]:
    """The path of a key below the input prefix."""
    return [*_parts(base, "input-prefix"), *keys]


async def view_path(base: Message, path: list[str], context: Context) -> Value:
    """The value at a path of plain keys, or `None`; no device is asked."""
    value: Value = base
    for part in path:
        value = await context.view(value, part) if isinstance(value, Message) else None
    return value


def _parts(base: Message, name: str) -> list[str]:
    prefix = base.text(name, "")
    return [part for part in prefix.split("/") if part] if prefix else []
