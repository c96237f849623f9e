"""The log of the archive store: what was acknowledged and is in no bundle yet.

A log is a row of commits, each `HBL1 ‖ crc32 ‖ length ‖ payload`, the payload a row of items with
their lengths. Only the last commit can be torn, and what is torn was never acknowledged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import Struct
from typing import Final, Self
from zlib import crc32

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.durable import sync, sync_directory
from hyperbeam_trio.errors import CorruptData
from hyperbeam_trio.stores.bundle_files import Logged, mapped
from hyperbeam_trio.stores.bundle_items import Change, change_of, moved

_FRAME: Final = Struct("<4sIQ")
_MARK: Final = b"HBL1"
_LENGTH: Final = Struct("<Q")


class Log:
    """The log that is being written: its items, and its size in bytes."""

    def __init__(self, path: Path, handle: int, logged: list[Logged], size: int) -> None:
        self.path = path
        self.logged = logged
        self.size = size
        self._handle = handle

    @classmethod
    def created(cls, path: Path) -> Self:
        """A new, empty one."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        handle = os.open(path, flags, 0o644)
        sync_directory(path.parent)
        return cls(path, handle, [], 0)

    @classmethod
    def reopened(cls, path: Path) -> Self:
        """One that a crash left behind; what was torn at its end is cut off."""
        logged, size = read_log(path)
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.ftruncate(handle, size)
        sync(handle)
        return cls(path, handle, logged, size)

    def append(self, data: bytes, placed: Callable[[int], list[Logged]]) -> list[Logged]:
        """One commit, durably; on an error nothing of it stays."""
        try:
            place = self.size
            rest = memoryview(data)
            while rest:
                written = os.pwrite(self._handle, rest, place)
                place, rest = place + written, rest[written:]
            sync(self._handle)
        except OSError:
            os.ftruncate(self._handle, self.size)
            raise
        logged = placed(self.size)
        self.logged += logged
        self.size += len(data)
        return logged

    def remove(self) -> None:
        """It has become a bundle."""
        self.path.unlink()
        os.close(self._handle)

    def close(self) -> None:
        """Close it; an empty one is not worth keeping."""
        if not self.logged:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)


def frame(items: Sequence[DataItem]) -> bytes:
    """The commit of some items."""
    payload = b"".join(_LENGTH.pack(item.size) + item.to_bytes() for item in items)
    return _FRAME.pack(_MARK, crc32(payload), len(payload)) + payload


def read_log(path: Path) -> tuple[list[Logged], int]:
    """The items of a log, and where its last whole commit ends.

    `CorruptData` for damage before that: a torn commit is the last one.
    """
    view = mapped(path)
    logged: list[Logged] = []
    place = 0
    while (payload := _payload(view, place)) is not None:
        logged += _items(view, place + _FRAME.size, payload)
        place += _FRAME.size + payload
    if _is_damaged(view, place):
        raise CorruptData(f"The log {path} is damaged at byte {place}.")
    return logged, place


def _payload(view: memoryview, place: int) -> int | None:
    """The length of the whole commit at a place, `None` without one."""
    if place + _FRAME.size > view.nbytes:
        return None
    mark, checksum, length = _FRAME.unpack_from(view, place)
    start = place + _FRAME.size
    if mark != _MARK or start + length > view.nbytes:
        return None
    sound = crc32(view[start : start + length]) == checksum
    return length if sound else None


def _is_damaged(view: memoryview, place: int) -> bool:
    """Whether what follows the last whole commit is more than a torn one: another one is behind."""
    if place + _FRAME.size > view.nbytes:
        return False
    mark, _, length = _FRAME.unpack_from(view, place)
    following = place + _FRAME.size + length
    return mark == _MARK and _payload(view, following) is not None


def _items(view: memoryview, place: int, length: int) -> Iterator[Logged]:
    end = place + length
    while place < end:
        (size,) = _LENGTH.unpack_from(view, place)
        place += _LENGTH.size
        item = DataItem.parse(view[place : place + size])
        yield Logged(place, size, item.id, change_of(item, place))
        place += size


def placed(items: Sequence[DataItem], changes: Sequence[Change], start: int) -> list[Logged]:
    """The items of a commit that begins at `start` of a log."""
    place = start + _FRAME.size
    logged = []
    for item, change in zip(items, changes, strict=True):
        place += _LENGTH.size
        logged.append(Logged(place, item.size, item.id, moved(change, place)))
        place += item.size
    return logged
