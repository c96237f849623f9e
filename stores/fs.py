"""`fs:DIRECTORY` — one file a key, for people who want to look, copy and back up with file tools.

Each file carries its key and a checksum. Batches are all or nothing, also over a power cut, and
writes of all tasks that wait go to the disk together; still a commit costs a sync per file, so
`lmdb` is much faster for many small records. Several processes may share a directory; readers see
the files of a batch appear one after the other, in its order.

Options: `sync` (default yes; no: an acknowledged write may be lost in a power cut), `read-only`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

import trio

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store import Store, check_key, check_value
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.directory_lock import USERS, Users, locked_directory
from hyperbeam_trio.stores.frame import Verified, damaged
from hyperbeam_trio.stores.fs_commit import Commit
from hyperbeam_trio.stores.fs_disk import Disk, MappedFile
from hyperbeam_trio.stores.fs_frame import is_sound, key_of, value_at
from hyperbeam_trio.stores.fs_names import Names
from hyperbeam_trio.stores.fs_stage import Stage, recover
from hyperbeam_trio.stores.group_commit import GroupCommit, Kind, Write

T = TypeVar("T")
Keys = list[str]
Pairs = Sequence[tuple[str, bytes]]

FORMAT = b"hyperbeam-trio fs 1\n"
OWN_NAMES = frozenset({"FORMAT", "FORMAT.new", "keys", "long", "stage", "lost+found", USERS})
INLINE_BYTES = 1 << 20
"""Larger files are read in a thread."""
MAP_BYTES = 1 << 16
"""Views of larger files are mapped and checked once per version."""
LIST_CHUNK = 5000

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FsStore(Store):
    """A store in a directory. See `Store` for the methods."""

    opens_read_only = True

    def __init__(
        self, root: Path, stage: Stage | None, disk: Disk, users: Users | None = None
    ) -> None:
        self._root = root
        self._names = Names(root)
        self._disk = disk
        self._stage = stage
        self._users = users
        self._verified = Verified()
        self._closed = False
        self.writable = stage is not None
        self._commits: GroupCommit[str] = GroupCommit(self._commit, translate=self._error)

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open or create the store in directory `location`; finishes interrupted batches.

        Raises `ConfigError` when the directory can't be used or holds something else.
        """
        read = StoreOptions("fs", options)
        disk = Disk() if read.flag("sync", True) else _UnsyncedDisk()
        writable = not read.flag("read-only", False)
        read.done()
        return await cls.open_on(disk, location, writable=writable)

    @classmethod
    async def open_on(cls, disk: Disk, location: str, *, writable: bool = True) -> Self:
        """`open` on a given disk."""
        if not location:
            raise ConfigError("store fs: it needs a directory, such as 'fs:./data'.")
        root = Path(await trio.Path(location).absolute())
        try:
            stage, users = await _prepared(root, disk) if writable else await _read_only(root)
        except OSError as error:
            raise ConfigError(
                f"store fs {root}: the directory can't be used ({error}). It must be a directory, "
                "or a name for a new one, that this user may write to."
            ) from error
        return cls(root, stage, disk, users)

    async def get(self, key: str) -> bytes | None:
        raw, path = self._locate(key)
        try:
            size = self._disk.size(path)
            if size is None:
                return None
            if size <= INLINE_BYTES:
                found = self._disk.read(path)
            else:
                found = await trio.to_thread.run_sync(self._disk.read, path)
        except OSError as error:
            raise self._error(error) from error
        return None if found is None else self._open_frame(key, raw, found)

    async def view(self, key: str, use: Callable[[memoryview], T]) -> T | None:
        raw, path = self._locate(key)
        try:
            small = (self._disk.size(path) or 0) <= MAP_BYTES
            mapped = None if small else self._disk.map(path)
        except OSError as error:
            raise self._error(error) from error
        if mapped is None:
            value = await self.get(key)
            return None if value is None else use(memoryview(value))
        with mapped, self._check(key, raw, mapped) as part:
            return use(part)

    async def put(self, items: Mapping[str, bytes]) -> None:
        await self._submit("put", list(items.items()))

    async def create(self, key: str, value: bytes) -> bool:
        write = await self._submit("create", [(key, value)])
        return write.created > 0

    async def delete(self, keys: Sequence[str]) -> None:
        await self._submit("delete", [(key, b"") for key in keys])

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        self._check_open()
        found: Keys = []
        walk = islice(self._names.keys(prefix, after, self._key_of), limit)
        while True:
            try:
                chunk = await trio.to_thread.run_sync(lambda: list(islice(walk, LIST_CHUNK)))
            except OSError as error:
                raise self._error(error) from error
            found += chunk
            if len(chunk) < LIST_CHUNK:
                return found

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._commits.aclose()
        try:
            if self._stage is not None:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(self._stage.close)
        except OSError as error:
            raise self._error(error) from error
        finally:
            # Last: closing the stage may finish a batch.
            if self._users is not None:
                self._users.close()

    async def be_alone(self) -> bool:
        if self._users is not None:
            self._users.be_alone()
        return self._users is not None

    def describe(self) -> str:
        return f"fs {self._root}"

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"store fs {self._root}: it is closed.")

    def _locate(self, key: str) -> tuple[bytes, str]:
        self._check_open()
        return check_key(key), self._names.path(key)

    async def _submit(self, kind: Kind, pairs: Pairs) -> Write[str]:
        self._check_open()
        for key, value in pairs:
            check_key(key)
            check_value(key, value)
        if not self.writable:
            raise StoreError(f"store fs {self._root}: it is opened read-only.")
        write: Write[str] = Write(kind, pairs)
        await self._commits.submit(write)
        return write

    def _commit(self, writes: Sequence[Write[str]]) -> None:
        if self._stage is not None:
            Commit(self._disk, self._names, self._stage).run(writes)

    def _damaged(self, key: str, size: int) -> CorruptData:
        return damaged(f"fs {self._root}", key, size)

    def _open_frame(self, key: str, raw: bytes, found: bytes) -> bytes:
        with memoryview(found) as content:
            if not is_sound(raw, content):
                raise self._damaged(key, len(found))
            return bytes(content[value_at(raw) :])

    def _check(self, key: str, raw: bytes, mapped: MappedFile) -> memoryview:
        """The value in a mapped file; the checksum of each version is computed once."""
        if not self._verified.holds(raw, mapped.version):
            if not is_sound(raw, mapped.content):
                raise self._damaged(key, len(mapped.content))
            self._verified.note(raw, mapped.version)
        return mapped.content[value_at(raw) :]

    def _key_of(self, path: str) -> str:
        key = key_of(self._disk.read(path) or b"").decode(errors="replace")
        if not key or self._names.path(key) != path:
            raise CorruptData(f"store fs {self._root}: {path} is damaged: it has lost its key.")
        return key

    def _error(self, error: Exception) -> Exception:
        if not isinstance(error, OSError):
            return error
        if error.errno in _FULL:
            return StoreError(
                f"store fs {self._root}: the disk is full ({error}); nothing was written."
            )
        return StoreError(f"store fs {self._root}: {error}")


class _UnsyncedDisk(Disk):
    at_once = 1

    def sync(self, handle: int) -> None:
        pass


async def _read_only(root: Path) -> tuple[None, None]:
    await trio.to_thread.run_sync(_check_format, root)
    return None, None


async def _prepared(root: Path, disk: Disk) -> tuple[Stage, Users]:
    await trio.Path(root).mkdir(parents=True, exist_ok=True)
    async with locked_directory(root):
        return await trio.to_thread.run_sync(_prepare, root, disk)


def _prepare(root: Path, disk: Disk) -> tuple[Stage, Users]:
    if _is_new(root):
        _mark(root, disk)
    _check_format(root)
    # Before anything is recovered: nobody may write while another has the store alone.
    users = Users(root, f"fs {root}")
    try:
        recover(root, disk)
        return Stage(root, disk), users
    except BaseException:
        users.close()
        raise


def _is_new(root: Path) -> bool:
    names = os.listdir(root)
    return "FORMAT" not in names and OWN_NAMES.issuperset(names)


def _mark(root: Path, disk: Disk) -> None:
    fresh = str(root / "FORMAT.new")
    disk.unlink(fresh)
    disk.write(fresh, [FORMAT])
    disk.rename(fresh, str(root / "FORMAT"))
    disk.make_directories(str(root / "keys"))


def _check_format(root: Path) -> None:
    if not root.exists():
        raise ConfigError(f"store fs {root}: there is no such directory, and so no store to read.")
    try:
        found = (root / "FORMAT").read_bytes()
    except FileNotFoundError:
        found = b""
    if found != FORMAT:
        raise ConfigError(
            f"store fs {root}: the directory holds something else than a store of this version "
            "(its file FORMAT says so); choose another directory."
        )
