"""A disk that loses power: what was not synced is kept or lost, piece by piece, as chance wills.

The model is a POSIX file system that journals: a file's content is safe after its sync, a name
after the sync of its directory; a rename happens wholly or not at all. Changes of names not yet
synced survive or vanish each by itself, in any combination, so nothing may rely on their order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from hyperbeam_trio.stores.fs_disk import Disk

Names = dict[str, bytes]


class PowerCut(OSError):
    """The power is gone: this call did nothing, nor will any other."""


class _Change:
    """A change of names that is not durable before one of its directories is synced."""

    def __init__(self, paths: Sequence[str], apply: Callable[[Names, set[str]], None]) -> None:
        self.directories = {os.path.dirname(path) for path in paths}
        self.apply = apply


class CutDisk(Disk):
    """A disk for the `fs` store below `root` whose power goes at its operation number `cut_at`.

    Works on the real directory and keeps, in memory, what is safe. After the cut every operation
    raises `PowerCut`; `survivors` then writes what the disk holds into another directory.
    """

    # So that its operations have an order.
    at_once = 1

    def __init__(self, root: Path, cut_at: int) -> None:
        self._root = str(root)
        self._cut_at = cut_at
        self._files: Names = {}
        self._directories: set[str] = {self._root}
        self._pending: list[_Change] = []
        self.operations = 0

    @property
    def is_cut(self) -> bool:
        """Whether the power is gone."""
        return self.operations >= self._cut_at

    def write(self, path: str, parts: Sequence[bytes]) -> None:
        content = b"".join(parts)
        if self.operations + 1 == self._cut_at:
            # The power goes in the middle of the write.
            self._set_name(path, content[: len(content) // 2])
        self._step()
        super().write(path, parts)
        self._set_name(path, content)

    def rename(self, source: str, target: str) -> None:
        self._step()
        super().rename(source, target)
        content = _content(target)

        def apply(files: Names, directories: set[str]) -> None:
            if os.path.dirname(target) in directories:
                files.pop(source, None)
                files[target] = content

        self._pending.append(_Change([source, target], apply))

    def link(self, source: str, target: str) -> None:
        self._step()
        super().link(source, target)
        self._set_name(target, _content(target))

    def unlink(self, path: str) -> None:
        self._step()
        super().unlink(path)
        self._pending.append(_Change([path], lambda files, _: _forget(files, path)))

    def make_directory(self, path: str) -> None:
        self._step()
        super().make_directory(path)

        def apply(_: Names, directories: set[str]) -> None:
            if os.path.dirname(path) in directories:
                directories.add(path)

        self._pending.append(_Change([path], apply))

    def sync_directory(self, path: str) -> None:
        self._step()
        for change in [change for change in self._pending if path in change.directories]:
            change.apply(self._files, self._directories)
            self._pending.remove(change)

    def survivors(self, target: Path, random: Random) -> None:
        """Write what survived into the empty directory `target`; `random` decides what did."""
        files, directories = dict(self._files), set(self._directories)
        for change in self._pending:
            if random.random() < 0.5:
                change.apply(files, directories)
        for directory in sorted(directories):
            os.makedirs(self._moved(directory, target), exist_ok=True)
        for path, content in files.items():
            with open(self._moved(path, target), "wb") as file:
                file.write(content)

    def _step(self) -> None:
        self.operations += 1
        if self.is_cut:
            raise PowerCut("the power is gone")

    def _set_name(self, path: str, content: bytes) -> None:
        def apply(files: Names, directories: set[str]) -> None:
            if os.path.dirname(path) in directories:
                files[path] = content

        self._pending.append(_Change([path], apply))

    def _moved(self, path: str, target: Path) -> str:
        return str(target) + path.removeprefix(self._root)


def _forget(files: Names, path: str) -> None:
    files.pop(path, None)


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
