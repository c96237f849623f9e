"""The few operations that the `fs` store needs of a disk, and what each makes durable.

A seam: tests put a disk here that loses everything not yet synced, as a power cut does.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self, TypeVar

from hyperbeam_trio.durable import sync, sync_directory
from hyperbeam_trio.errors import StoreError

T = TypeVar("T")


class MappedFile:
    """A read-only mapping of a file, closed by `with`; `version` tells it from other contents."""

    def __init__(self, handle: int) -> None:
        status = os.fstat(handle)
        self.version = (status.st_ino, status.st_mtime_ns, status.st_size)
        self._map = mmap.mmap(handle, 0, access=mmap.ACCESS_READ)
        self.content = memoryview(self._map)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.content.release()
        self._map.close()


class Disk:
    """A real disk. All methods block; `OSError` passes through."""

    at_once: int = 8
    """Syncs under way together: a journal commits them as one, which is many times faster."""

    def write_all(self, files: Sequence[tuple[str, Sequence[bytes]]]) -> None:
        """`write` for each path and its parts; after an error some are there."""
        self._each(lambda file: self.write(*file), files)

    def sync_directories(self, paths: Iterable[str]) -> None:
        """`sync_directory` for each of them."""
        self._each(self.sync_directory, list(paths))

    def _each(self, act: Callable[[T], None], items: Sequence[T]) -> None:
        if len(items) < 2 or self.at_once < 2:
            for item in items:
                act(item)
            return
        with ThreadPoolExecutor(min(self.at_once, len(items))) as pool:
            for _ in pool.map(act, items):
                continue

    def write(self, path: str, parts: Sequence[bytes]) -> None:
        """A new file with `parts` as content; the content is durable, its name is not yet."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            with open(handle, "wb", buffering=0) as file:
                _write_all(file.fileno(), parts)
                self.sync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.unlink(path)
            raise

    def read(self, path: str) -> bytes | None:
        """The content of a file, `None` when there is none."""
        try:
            with open(path, "rb", buffering=0) as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def map(self, path: str) -> MappedFile | None:
        """A file that is not empty as memory, `None` when there is none; the caller closes it."""
        try:
            with open(path, "rb", buffering=0) as file:
                return MappedFile(file.fileno())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size(self, path: str) -> int | None:
        """The size of a file in bytes, `None` when there is none."""
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def rename(self, source: str, target: str) -> None:
        """Move a file over another, atomically; durable after `sync_directory` of both."""
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        """A second name for a file; `FileExistsError` when the name is taken."""
        os.link(source, target)

    def unlink(self, path: str) -> None:
        """Remove a name, if it is there."""
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)

    def make_directory(self, path: str) -> None:
        """A new directory, if it is not there; durable after `sync_directory` of its parent."""
        with suppress(FileExistsError):
            os.mkdir(path)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        sync_directory(path, self.sync)

    def sync(self, handle: int) -> None:
        """Make what was written to an open file durable."""
        sync(handle)

    def make_directories(self, path: str) -> None:
        """A directory and its missing parents, durably."""
        parent = os.path.dirname(path)
        try:
            self.make_directory(path)
        except FileNotFoundError:
            self.make_directories(parent)
            self.make_directory(path)
        self.sync_directory(parent)


def _write_all(handle: int, parts: Sequence[bytes]) -> None:
    rest = memoryview(b"".join(parts))
    while rest:
        written = os.write(handle, rest)
        if not written:
            raise StoreError("store fs: the disk took no byte of a write.")
        rest = rest[written:]
