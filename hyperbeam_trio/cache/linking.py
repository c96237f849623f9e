"""The links that a value holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from hyperbeam_trio.message import Link, Resolve, Value

Content: TypeAlias = dict[str, Value] | list[Value]
"""The items of a decoded record."""


def links(content: Value | Content) -> Iterator[Link]:
    """All links in a value or a decoded record, at any depth of what is loaded."""
    waiting: list[Value | Content] = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Link):
            yield item
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, Resolve):
            waiting += item.sequence
