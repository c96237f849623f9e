"""Making what was written to a disk survive a power cut."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from os import PathLike
from typing import Final

_FULL_SYNC: Final = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform == "darwin" else None
"""There, `fsync` alone leaves it in the disk's own memory."""


def sync(handle: int) -> None:
    """Make what was written to an open file durable. Blocks; `OSError` passes through."""
    if _FULL_SYNC is None:
        os.fsync(handle)
    else:
        fcntl.fcntl(handle, _FULL_SYNC)


def sync_directory(path: str | PathLike[str], sync: Callable[[int], None] = sync) -> None:
    """Make the names in a directory durable. Blocks; `OSError` passes through."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(handle)
    finally:
        os.close(handle)
