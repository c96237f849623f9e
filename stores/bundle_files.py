"""The bundles of the archive store: reading values, reading what they change, making new ones."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from hyperbeam_trio.crypto.bundle import Bundle
from hyperbeam_trio.crypto.encoding import native_id
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.durable import sync, sync_directory
from hyperbeam_trio.errors import BadRequest, CorruptData
from hyperbeam_trio.stores.bundle_items import (
    Change,
    change_of,
    manifest_item,
    moved,
    read_manifest,
)

_COUNT_BYTES: Final = 32
_ENTRY_BYTES: Final = 64
_COPY_BYTES: Final = 1 << 20


class Segment:
    """A file that values are read from, open until it is `retired` and nobody reads from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._users = 0
        self._retired = False

    @contextmanager
    def held(self) -> Iterator[Segment]:
        """The segment, which stays open meanwhile; for the event loop."""
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            self._close_unused()

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer if it ends before. Blocks."""
        parts = []
        while size:
            part = os.pread(self._handle, min(size, 1 << 30), offset)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def retire(self) -> None:
        """Close it as soon as nobody reads from it."""
        self._retired = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self._retired and not self._users and self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


class Logged(NamedTuple):
    """An item in a log: where it is, how long, its id, what it changes."""

    offset: int
    size: int
    id: str
    change: Change


# Bundles.


def read_bundle(path: Path) -> tuple[list[Change], int]:
    """What a bundle changes, and how many of its items are damaged beyond recognition.

    From its manifest, else item by item, each verified. `CorruptData` if even its index is gone.
    """
    try:
        bundle = Bundle(mapped(path))
        return _by_manifest(bundle) or _item_by_item(bundle)
    except InvalidField as error:
        raise CorruptData(f"The bundle {path} can't be read: {error}.") from error


def _by_manifest(bundle: Bundle) -> tuple[list[Change], int] | None:
    if not len(bundle):
        return [], 0
    try:
        changes = read_manifest(bundle[len(bundle) - 1])
    except (BadRequest, ValueError, KeyError, TypeError):
        changes = None
    return None if changes is None else (changes, 0)


def _item_by_item(bundle: Bundle) -> tuple[list[Change], int]:
    changes: list[Change] = []
    lost = 0
    for place, (start, _) in enumerate(bundle.places[:-1]):
        try:
            item = bundle[place]
            if not item.verify():
                raise InvalidField("item", "does not verify")
            changes.append(change_of(item, start))
        except (BadRequest, UnicodeDecodeError):
            lost += 1
    return changes, lost


def mapped(path: Path) -> memoryview:
    """A file as memory, as long as anybody looks at it."""
    if not os.path.getsize(path):
        return memoryview(b"")
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def write_bundle(path: Path, log: Path, logged: Sequence[Logged], wallet: Wallet) -> list[Change]:
    """A durable bundle of a log's items and a manifest, at `path`; what it changes.

    Not all of it is in memory at any time.
    """
    place = _COUNT_BYTES + _ENTRY_BYTES * (len(logged) + 1)
    changes = []
    for item in logged:
        changes.append(moved(item.change, place - item.offset))
        place += item.size
    manifest = manifest_item(changes, wallet)
    index = [_index_entry(item.size, item.id) for item in logged]
    index.append(_index_entry(manifest.size, manifest.id))
    new = path.with_suffix(".new")
    try:
        with open(log, "rb") as source, open(new, "wb") as target:
            target.write(len(index).to_bytes(_COUNT_BYTES, "little") + b"".join(index))
            for item in logged:
                _copy(source.fileno(), item.offset, item.size, target)
            target.write(manifest.to_bytes())
            target.flush()
            sync(target.fileno())
        os.rename(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return changes


def _index_entry(size: int, id: str) -> bytes:
    return size.to_bytes(32, "little") + native_id(id)


def _copy(source: int, offset: int, size: int, target: BinaryIO) -> None:
    while size:
        part = os.pread(source, min(size, _COPY_BYTES), offset)
        if not part:
            raise CorruptData("The log ends within an item that was written to it.")
        target.write(part)
        offset, size = offset + len(part), size - len(part)
