"""A node of the AO-Core protocol on Trio.

`open_node`, `Node`, `NodeConfig`, `Message` and `Link` are here; the rest is in the modules. They
are imported when first used, so that the command line starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperbeam_trio.config import NodeConfig
    from hyperbeam_trio.message import Link, Message
    from hyperbeam_trio.node import Node, open_node

__version__ = "0.1.0"
__all__ = ["Link", "Message", "Node", "NodeConfig", "__version__", "open_node"]

_HOMES = {
    "Link": "message",
    "Message": "message",
    "Node": "node",
    "NodeConfig": "config",
    "open_node": "node",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
