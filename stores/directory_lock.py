"""A lock on a directory among processes, so that only one at a time opens a store there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Hold the lock of an existing directory; waits for it. The system frees it with its holder."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)
