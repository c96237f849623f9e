"""How the `fs` store changes several files at once: stage, note, rename, forget.

Each open store has a directory of its own under `stage/`, locked while its process lives. A batch
is written there as files, synced, and then named in a note; the synced note is the moment of
commit. The files are renamed to their places in the order of the batch, and the note is removed.
Whoever opens the store finishes the notes of the dead: files still staged are renamed, what no
note names was never acknowledged and is removed. Single keys need no note.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from hyperbeam_trio.stores.fs_disk import Disk

NOTE = ".note"


class Move(NamedTuple):
    """A staged file and the path where it belongs."""

    source: str
    target: str


class Stage:
    """The staging directory of one open store. All methods block."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._disk = disk
        self.path = os.path.join(root, "stage", secrets.token_hex(8))
        disk.make_directories(self.path)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._count = 0
        self._unfinished: list[tuple[str, Sequence[Move]]] = []

    def add_all(self, contents: Sequence[Sequence[bytes]]) -> list[str]:
        """New staged files with durable contents, each given in parts; their paths."""
        first = self._count + 1
        self._count += len(contents)
        paths = [os.path.join(self.path, f"{n:x}") for n in range(first, self._count + 1)]
        try:
            self._disk.write_all(list(zip(paths, contents, strict=True)))
        except OSError:
            self.drop(paths)
            raise
        return paths

    def drop(self, paths: Sequence[str]) -> None:
        """Remove staged files that are not wanted any more."""
        for path in paths:
            with suppress(OSError):
                self._disk.unlink(path)

    def note(self, moves: Sequence[Move]) -> None:
        """The commit of a batch: from now on it will be finished, whatever happens."""
        self._count += 1
        path = os.path.join(self.path, f"{self._count:x}{NOTE}")
        try:
            # The staged names first: a note must never outlive what it names.
            self._disk.sync_directory(self.path)
            self._disk.write(path, [encode_note(moves)])
            self._disk.sync_directory(self.path)
        except OSError:
            # Not committed: the caller will be told so, hence nobody may finish it later.
            self.drop([path, *(move.source for move in moves)])
            raise
        self._unfinished.append((path, moves))

    def forget(self) -> None:
        """Remove the notes of batches that are in place, durably, so that none is done twice."""
        if self._unfinished:
            for path, _ in self._unfinished:
                self._disk.unlink(path)
            self._disk.sync_directory(self.path)
            self._unfinished.clear()

    def finish(self) -> None:
        """Complete batches that were noted but met an error on the way to their places."""
        for _, moves in self._unfinished:
            finish_moves(self._disk, moves)
        self.forget()

    def close(self) -> None:
        """Remove the directory, unless a batch could not be finished, and unlock it."""
        try:
            self.finish()
            remove_stage(self._disk, self.path)
        finally:
            os.close(self._lock)


def with_directories(disk: Disk, move: Move, change: Callable[[str, str], None]) -> None:
    """Rename or link a staged file to its place, making directories as needed."""
    try:
        change(move.source, move.target)
    except FileNotFoundError:
        disk.make_directories(os.path.dirname(move.target))
        change(move.source, move.target)


def finish_moves(disk: Disk, moves: Sequence[Move]) -> None:
    """Rename what is still staged, and make the names durable."""
    for move in moves:
        if disk.size(move.source) is not None:
            with_directories(disk, move, disk.rename)
    for directory in dict.fromkeys(os.path.dirname(move.target) for move in moves):
        disk.sync_directory(directory)


def recover(root: Path, disk: Disk) -> None:
    """Finish the noted batches of processes that died, and clear what they left behind."""
    try:
        names = os.listdir(os.path.join(root, "stage"))
    except FileNotFoundError:
        return
    for name in names:
        _recover_stage(disk, root, os.path.join(root, "stage", name))


def _recover_stage(disk: Disk, root: Path, path: str) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in sorted(os.listdir(path), key=lambda name: int(name.split(".")[0], 16)):
            if name.endswith(NOTE):
                note = disk.read(os.path.join(path, name)) or b""
                finish_moves(disk, decode_note(note, path, root))
        remove_stage(disk, path)
    except BlockingIOError:
        # Its process lives and finishes its own batches.
        return
    finally:
        os.close(lock)


def remove_stage(disk: Disk, path: str) -> None:
    """Remove a staging directory; notes first and durably, so that none outlives its files."""
    names = os.listdir(path)
    for name in sorted(names, key=lambda name: not name.endswith(NOTE)):
        disk.unlink(os.path.join(path, name))
    disk.sync_directory(path)
    with suppress(FileNotFoundError):
        os.rmdir(path)


def encode_note(moves: Sequence[Move]) -> bytes:
    """Lines `staged name TAB final path below the root`, after a line with their checksum."""
    lines = []
    for source, target in moves:
        stage, name = os.path.split(source)
        root = os.path.dirname(os.path.dirname(stage))
        lines.append(f"{name}\t{os.path.relpath(target, root)}\n")
    body = "".join(lines).encode()
    return b"%08x\n" % crc32(body) + body


def decode_note(raw: bytes, stage: str, root: Path) -> list[Move]:
    """What a note names; nothing when it was cut, for then its batch was never committed."""
    head, _, body = raw.partition(b"\n")
    if head != b"%08x" % crc32(body):
        return []
    pairs = (line.split("\t") for line in body.decode().splitlines())
    return [Move(os.path.join(stage, name), os.path.join(root, target)) for name, target in pairs]
