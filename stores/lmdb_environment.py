"""One open LMDB environment: shared by its handles, checked when opened, grown when full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Self

import lmdb
import lmdb.verify
import trio

from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.directory_lock import Users, locked_directory
from hyperbeam_trio.stores.group_commit import GroupCommit, Write

FORMAT_KEY = b"\0format"
"""No key of the contract has a NUL, so this can't be one."""
FORMAT = b"hyperbeam-trio lmdb 1"
_UNIT = 1 << 16


@dataclass(frozen=True)
class EnvironmentOptions:
    """What a process decides when it opens an environment; all its handles must agree."""

    sync: bool = True
    read_only: bool = False
    max_readers: int = 1022
    map_size: int = 64 << 30
    capacity: int = 0

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """From the options of a store URI; `ConfigError` for what does not fit."""
        options = StoreOptions("lmdb", given)
        read = cls(
            sync=options.flag("sync", cls.sync),
            read_only=options.flag("read-only", cls.read_only),
            max_readers=options.count("max-readers", cls.max_readers),
            map_size=options.size("map-size", cls.map_size),
            capacity=options.size("capacity", cls.capacity),
        )
        options.done()
        return read

    @property
    def first_size(self) -> int:
        """The address range to begin with."""
        return _round(min(self.map_size, self.capacity or self.map_size))


class Environment:
    """An open environment, its group commit, and the number of handles on it.

    Read transactions begin and end in the event loop without a wait between. Whatever must not
    meet one, such as a change of the map's size, therefore runs in the event loop as well.
    """

    def __init__(self, path: Path, options: EnvironmentOptions) -> None:
        self.place = str(path)
        self.options = options
        self._file = path.resolve()
        self._env = _open(path, options)
        self._users = self._shared_lock(path)
        self.begin = self._env.begin
        self.commits: GroupCommit[bytes] = GroupCommit(
            self._commit,
            translate=lambda error: store_error(error, self.place),
            recover=self._recover,
        )
        self._loop = trio.lowlevel.current_trio_token()
        self._handles = 1

    def _shared_lock(self, path: Path) -> Users | None:
        try:
            return None if self.options.read_only else Users(path, f"lmdb {self.place}")
        except BaseException:
            self._env.close()
            raise

    def be_alone(self) -> bool:
        """See `Store.be_alone`."""
        if self._users is not None:
            self._users.be_alone()
        return self._users is not None

    @staticmethod
    async def acquire(location: str, options: EnvironmentOptions) -> Environment:
        """The environment of a directory: the one that is open, or a new one."""
        if not location:
            raise ConfigError("store lmdb: it needs a directory, such as 'lmdb:./data'.")
        path = Path(location)
        try:
            if not options.read_only:
                await trio.Path(path).mkdir(parents=True, exist_ok=True)
            async with locked_directory(path):
                return _shared(path, options)
        except (OSError, lmdb.Error) as error:
            raise _opening_error(error, path, options) from error

    async def release(self) -> None:
        """Give up one handle; with the last one the environment closes, after pending writes."""
        self._handles -= 1
        if self._handles:
            return
        await self.commits.aclose()
        del _OPEN[self._file]
        if not self.options.read_only and not self.options.sync:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._env.sync, True)
        self._env.close()
        if self._users is not None:
            self._users.close()

    def adopt_size(self) -> None:
        """Map as much as another process has made of the file."""
        self._env.set_mapsize(0)

    def share(self, options: EnvironmentOptions) -> None:
        """LMDB can't open one environment twice in a process, so its handles share it."""
        if self._loop is not trio.lowlevel.current_trio_token():
            raise ConfigError(
                f"store lmdb {self.place}: another event loop of this process has it open."
            )
        if options != self.options or not self._handles:
            raise ConfigError(
                f"store lmdb {self.place}: it is open in this process with other options "
                f"({self.options}), or just closing."
            )
        self._handles += 1

    def _commit(self, writes: Sequence[Write[bytes]]) -> None:
        with self._env.begin(write=True) as txn:
            cursor = txn.cursor()
            for is_put, run in groupby(writes, key=lambda write: write.kind == "put"):
                if is_put:
                    # One call for all of them: each gives the interpreter away and gets it back.
                    cursor.putmulti([pair for write in run for pair in write.pairs])
                else:
                    for write in run:
                        _apply(txn, cursor, write)

    def _recover(self, error: Exception) -> bool:
        if isinstance(error, lmdb.MapResizedError):
            self.adopt_size()
            return True
        return isinstance(error, lmdb.MapFullError) and self._grow()

    def _grow(self) -> bool:
        size = self._env.info()["map_size"]
        larger = _round(min(2 * size, self.options.capacity or 2 * size))
        if larger <= size:
            return False
        self._env.set_mapsize(larger)
        return True


def _apply(txn: lmdb.Transaction[bytes], cursor: lmdb.Cursor[bytes], write: Write[bytes]) -> None:
    if write.kind == "delete":
        for key, _ in write.pairs:
            txn.delete(key)
    else:
        write.created = _create(cursor, write)


def _create(cursor: lmdb.Cursor[bytes], write: Write[bytes]) -> int:
    if write.content:
        cursor.putmulti(write.content)
    for created, (key, value) in enumerate(write.pairs):
        if not cursor.put(key, value, overwrite=False):
            return created
    return len(write.pairs)


_OPEN: dict[Path, Environment] = {}
"""Open environments by real path: LMDB's locks are the process's, so they must be found again."""


def _shared(path: Path, options: EnvironmentOptions) -> Environment:
    found = _OPEN.get(path.resolve())
    if found is None:
        found = _OPEN[path.resolve()] = Environment(path, options)
    else:
        found.share(options)
    return found


def store_error(error: Exception, place: str) -> StoreError | CorruptData:
    """LMDB's error in our words."""
    if isinstance(error, (StoreError, CorruptData)):
        return error
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError)):
        return CorruptData(f"store lmdb {place}: its file is damaged ({error}).")
    if isinstance(error, lmdb.MapFullError):
        return StoreError(f"store lmdb {place}: it is full; raise its option 'capacity'.")
    if isinstance(error, lmdb.ReadersFullError):
        return StoreError(f"store lmdb {place}: too many readers; raise 'max-readers' ({error}).")
    if isinstance(error, lmdb.DiskError) or "No space left" in str(error):
        return StoreError(f"store lmdb {place}: the disk is full ({error}); nothing was written.")
    return StoreError(f"store lmdb {place}: {error}")


def _open(path: Path, options: EnvironmentOptions) -> lmdb.Environment:
    """Open, check and mark the environment; one process at a time may do so."""
    _check_not_emptied(path)
    env = _open_files(path, options)
    try:
        check_length(path, env)
        _check_format(path, env, options)
    except BaseException:
        env.close()
        raise
    return env


def _open_files(path: Path, options: EnvironmentOptions) -> lmdb.Environment:
    env = lmdb.open(
        str(path),
        map_size=options.first_size,
        max_readers=options.max_readers,
        max_spare_txns=16,
        readonly=options.read_only,
        sync=options.sync,
    )
    # Frees the places of readers whose process was killed.
    env.reader_check()
    return env


def _opening_error(
    error: Exception, path: Path, options: EnvironmentOptions
) -> ConfigError | CorruptData:
    if isinstance(error, (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError)):
        return CorruptData(
            f"store lmdb {path}: its data.mdb is damaged or no LMDB file ({error}). Restore it "
            "from a copy, or choose another directory."
        )
    if options.read_only and not (path / "data.mdb").exists():
        return ConfigError(f"store lmdb {path}: there is no store to read ({error}).")
    return ConfigError(
        f"store lmdb {path}: the directory can't be used ({error}). It must be a directory, or a "
        "name for a new one, that this user may write to."
    )


def _check_not_emptied(path: Path) -> None:
    data, lock = path / "data.mdb", path / "lock.mdb"
    if lock.exists() and (not data.exists() or data.stat().st_size == 0):
        raise CorruptData(
            f"store lmdb {path}: there is a lock.mdb, but data.mdb is missing or empty, so data "
            "was lost. Restore it from a copy, or delete lock.mdb to begin with an empty store."
        )


def check_length(path: Path, env: lmdb.Environment) -> None:
    """A page behind the file's end would end the process (SIGBUS), so look before reading.

    Pages that were freed in the transaction that allocated them are never written, so a file may
    be short by rights: then the slow walk over the whole file decides.
    """
    expected = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    size = (path / "data.mdb").stat().st_size
    if size >= expected:
        return
    problems = _problems(path)
    if problems:
        raise CorruptData(
            f"store lmdb {path}: data.mdb was cut: it has {size} of {expected} bytes "
            f"({problems[0]}). Restore it from a copy."
        )


def _problems(path: Path) -> Sequence[str]:
    try:
        found: Sequence[str] = lmdb.verify.verify(str(path))  # type: ignore[no-untyped-call]  # untyped
    except lmdb.verify.VerifyError as error:
        return [str(error)]
    return found


def _check_format(path: Path, env: lmdb.Environment, options: EnvironmentOptions) -> None:
    with env.begin() as txn:
        found = txn.get(FORMAT_KEY)
        entries = txn.stat()["entries"]
    if found == FORMAT:
        return
    if found is not None or entries or options.read_only:
        raise ConfigError(
            f"store lmdb {path}: it holds data of another program or version "
            f"({found or b'no mark'!r}, {entries} entries); import it, or choose another directory."
        )
    with env.begin(write=True) as txn:
        txn.put(FORMAT_KEY, FORMAT)


def _round(size: int) -> int:
    return -(-size // _UNIT) * _UNIT
