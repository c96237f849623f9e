"""`lmdb:DIRECTORY` — the default: an LMDB environment, read in place, written by group commit.

Reads run in the calling task and cost about 1 µs; they never wait for writers. Writes of all tasks
that wait share one durable transaction (spec/09 §4). Several processes may use one directory:
LMDB's write lock orders them, and `create` has one winner among all. Values carry a checksum,
because LMDB has none.

Options: `sync` (default yes; no: an acknowledged write survives the process but not a power cut,
which may damage the whole file, so only for what can be computed again), `read-only`,
`max-readers`, `map-size` (first size of the address range, grows by itself), `capacity` (limit of
that growth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Self, TypeVar

import lmdb
import trio

from hyperbeam_trio.errors import CorruptData, StoreError
from hyperbeam_trio.store import Store, check_key, check_value
from hyperbeam_trio.stores.frame import TRAILER_BYTES, Verified, damaged, is_sound, seal
from hyperbeam_trio.stores.group_commit import Kind, Write
from hyperbeam_trio.stores.lmdb_environment import Environment, EnvironmentOptions, store_error

T = TypeVar("T")
Keys = list[bytes]
Pairs = Sequence[tuple[bytes, bytes]]

LIST_CHUNK = 2000
"""Keys read in one go: a read transaction must not span a wait, and others want to run."""
FIRST_KEY = b"\x01"
"""No key of the contract begins with a NUL; our mark of the format does."""
VERIFY_ONCE_BYTES = 4096
"""Views of larger values are checked once per version and process."""
THREAD_BYTES = 1 << 20
"""More than this is given its checksums in a thread."""


class LmdbStore(Store):
    """A handle on an environment that all handles of one event loop share."""

    opens_read_only = True

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._begin: Callable[[], lmdb.Transaction[bytes]] = environment.begin
        self._closed = False
        self._place = environment.place
        self._verified = Verified()
        self._sealing = trio.CapacityLimiter(2)
        self.writable = not environment.options.read_only

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open or create the environment in directory `location`.

        Raises `ConfigError` when the directory can't be used or holds something else, and
        `CorruptData` when its file is cut or damaged.
        """
        return cls(await Environment.acquire(location, EnvironmentOptions.read(options)))

    async def get(self, key: str) -> bytes | None:
        while True:
            try:
                return self._read(key)
            except lmdb.Error as error:
                await self._recover(error)

    def get_nowait(self, key: str) -> bytes | None:
        try:
            return self._read(key)
        except lmdb.MapResizedError as error:
            raise trio.WouldBlock from error
        except lmdb.Error as error:
            raise self._error(error) from error

    async def view(self, key: str, use: Callable[[memoryview], T]) -> T | None:
        if self._closed:
            self._refuse()
        raw = check_key(key)
        while True:
            try:
                txn = self._environment.begin(buffers=True)
                try:
                    found = txn.get(raw)
                    return None if found is None else self._use(key, raw, found, use)
                finally:
                    txn.abort()
            except lmdb.Error as error:
                await self._recover(error)

    async def put(self, items: Mapping[str, bytes]) -> None:
        if sum(map(len, items.values())) < THREAD_BYTES:
            sealed = self._all_sealed(items)
        else:
            sealed = await trio.to_thread.run_sync(self._all_sealed, items, limiter=self._sealing)
        await self._submit("put", sealed)

    async def create(self, key: str, value: bytes) -> bool:
        write = await self._submit("create", [self._sealed(key, value)])
        return write.created > 0

    async def claim(self, keys: Mapping[str, bytes], content: Mapping[str, bytes]) -> int:
        wanted, told = ([self._sealed(*item) for item in part.items()] for part in (keys, content))
        return (await self._submit("claim", wanted, told)).created

    async def delete(self, keys: Sequence[str]) -> None:
        await self._submit("delete", [(check_key(key), b"") for key in keys])

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        start = prefix.encode()
        behind = after.encode()
        found: Keys = []
        while True:
            await trio.lowlevel.checkpoint()
            wanted = LIST_CHUNK if limit is None else min(LIST_CHUNK, limit - len(found))
            chunk = await self._scan(start, behind, wanted)
            found += chunk
            if len(chunk) < LIST_CHUNK:
                return [raw.decode() for raw in found]
            behind = chunk[-1]

    async def be_alone(self) -> bool:
        return self._environment.be_alone()

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._begin = self._refuse
            await self._environment.release()

    def describe(self) -> str:
        return f"lmdb {self._place}"

    def _all_sealed(self, items: Mapping[str, bytes]) -> Pairs:
        return [self._sealed(key, value) for key, value in items.items()]

    def _sealed(self, key: str, value: bytes) -> tuple[bytes, bytes]:
        check_value(key, value)
        raw = check_key(key)
        return raw, seal(raw, value)

    def _read(self, key: str) -> bytes | None:
        raw = check_key(key)
        txn = self._begin()
        try:
            record = txn.get(raw)
        finally:
            txn.abort()
        if record is None:
            return None
        if not is_sound(raw, record):
            raise self._damaged(key, record)
        return record[:-TRAILER_BYTES]

    def _use(self, key: str, raw: bytes, record: memoryview, use: Callable[[memoryview], T]) -> T:
        if not self._is_sound(raw, record):
            raise self._damaged(key, record)
        value = record[:-TRAILER_BYTES]
        try:
            return use(value)
        finally:
            value.release()

    def _is_sound(self, raw: bytes, record: memoryview) -> bool:
        if len(record) <= VERIFY_ONCE_BYTES:
            return is_sound(raw, record)
        version = (bytes(record[-TRAILER_BYTES:]), len(record))
        if self._verified.holds(raw, version):
            return True
        if is_sound(raw, record):
            self._verified.note(raw, version)
            return True
        return False

    def _damaged(self, key: str, record: bytes | memoryview) -> CorruptData:
        return damaged(f"lmdb {self._place}", key, len(record))

    async def _scan(self, start: bytes, behind: bytes, limit: int) -> Keys:
        while True:
            try:
                with self._begin() as txn:
                    return _keys(txn.cursor(), start, behind, limit)
            except lmdb.Error as error:
                await self._recover(error)

    async def _submit(self, kind: Kind, pairs: Pairs, content: Pairs = ()) -> Write[bytes]:
        if self._closed:
            self._refuse()
        if not self.writable:
            raise StoreError(f"store lmdb {self._place}: it is opened read-only.")
        write: Write[bytes] = Write(kind, pairs, content)
        await self._environment.commits.submit(write)
        return write

    async def _recover(self, error: lmdb.Error) -> None:
        """Return when the read is worth another try: another process has made the file larger."""
        if not isinstance(error, lmdb.MapResizedError):
            raise self._error(error) from error
        await self._environment.commits.quietly(self._environment.adopt_size)

    def _refuse(self) -> NoReturn:
        raise StoreError(f"store lmdb {self._place}: it is closed.")

    def _error(self, error: lmdb.Error) -> StoreError | CorruptData:
        return store_error(error, self._place)


def _keys(cursor: lmdb.Cursor[bytes], start: bytes, behind: bytes, limit: int) -> list[bytes]:
    found: list[bytes] = []
    if limit <= 0 or not cursor.set_range(max(start, behind, FIRST_KEY)):
        return found
    for raw in cursor.iternext(values=False):
        if not raw.startswith(start) or len(found) >= limit:
            break
        if raw > behind:
            found.append(raw)
    return found
