"""`bundle:DIRECTORY` — an archive of signed ANS-104 bundles, ready for permanent storage.

Every entry is a data item signed by the archive's wallet, with the key in its tags; a thousand of
them make a bundle, a file `NUMBER.bundle` that can be uploaded as it is (as the data of a
transaction or an item with the tags `Bundle-Format: binary` and `Bundle-Version: 2.0.0`). Values
are read by their offsets and checked against their hashes. Which key is where is kept in memory
(about 250 bytes a key) and found out from the bundles when the store is opened.

A write is durable when it returns: it lies in a log until it gets into a bundle, at the latest when
the store is closed. Nothing is ever removed from the files: a deletion is an entry of its own. One
process at a time may write; others that have it open see what was there when they opened it.

Options: `key` (wallet file, default DIRECTORY/key.json, an Ed25519 wallet that is made when it is
missing), `items` (entries of a bundle, default 1000), `size` (bytes of a bundle, default 100MiB),
`read-only`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import trio

from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import ConfigError, CorruptData, HyperbeamError, StoreError
from hyperbeam_trio.store import Store, check_key, check_value
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.bundle_archive import Archive, prepare
from hyperbeam_trio.stores.bundle_index import Place
from hyperbeam_trio.stores.group_commit import GroupCommit, Write
from hyperbeam_trio.stores.in_flight import InFlight

INLINE_BYTES: Final = 256 * 1024
"""Larger values are read and hashed in a thread."""


class BundleStore(Store):
    """An archive in a directory. See `Store` for the methods, and above for what differs."""

    opens_read_only = True

    def __init__(self, root: Path, wallet: Wallet | None, items: int, size: int) -> None:
        self.place = f"bundle:{root}"
        self.writable = wallet is not None
        self._archive = Archive(root, wallet, items, size)
        self._in_flight = InFlight(self.place)
        self._commits: GroupCommit[str] = GroupCommit(self._archive.commit, translate=self._error)

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open or create the archive in a directory and find out what is in it."""
        read = StoreOptions("bundle", options)
        key = read.text("key", "")
        items, size = read.count("items", 1000), read.size("size", 100 << 20)
        writable = not read.flag("read-only", False)
        read.done()
        if not location:
            raise ConfigError("store bundle: it needs a directory, such as 'bundle:./archive'.")
        root = Path(location)
        wallet = await trio.to_thread.run_sync(prepare, root, key, writable)
        store = cls(root, wallet, items, size)
        try:
            await trio.to_thread.run_sync(store._archive.load)
        except OSError as error:
            store._archive.close()
            raise ConfigError(f"store bundle: {location!r} can't be read: {error}.") from error
        except CorruptData:
            store._archive.close()
            raise
        return store

    async def get(self, key: str) -> bytes | None:
        check_key(key)
        with self._in_flight:
            place = self._archive.index.get(key)
            if place is None:
                self._archive.check_whole(key)
                return None
            with place.segment.held():
                if place.kept.size <= INLINE_BYTES:
                    return self._read(key, place)
                return await trio.to_thread.run_sync(self._read, key, place)

    def _read(self, key: str, place: Place) -> bytes:
        try:
            value = place.segment.read(place.kept.offset, place.kept.size)
        except OSError as error:
            raise self._error(error) from error
        if sha256(value).digest() != place.kept.digest:
            raise CorruptData(
                f"store {self.place}: the value of {key!r} in {place.segment.path.name} is "
                "damaged: its hash does not hold. Restore the file from a copy.",
                details={"damaged": key},
            )
        return value

    async def put(self, items: Mapping[str, bytes]) -> None:
        self._check(items)
        if items:
            await self._submit(Write("put", list(items.items())))

    async def create(self, key: str, value: bytes) -> bool:
        self._check({key: value})
        return bool((await self._submit(Write("create", [(key, value)]))).created)

    async def delete(self, keys: Sequence[str]) -> None:
        self._check(dict.fromkeys(keys, b""))
        if keys:
            await self._submit(Write("delete", [(key, b"") for key in keys]))

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        self._in_flight.check_open()
        await trio.lowlevel.checkpoint()
        return self._archive.index.list(prefix, after, limit)

    async def seal(self) -> None:
        """Put what is still in the log into a bundle, now."""
        await self._submit(Write("put", []))

    async def close(self) -> None:
        if self._in_flight.closed:
            return
        await self._in_flight.aclose()
        with trio.CancelScope(shield=True):
            await self._commits.aclose()
            try:
                await trio.to_thread.run_sync(self._archive.seal)
            except OSError as error:
                raise self._error(error) from error
            finally:
                self._archive.close()

    def describe(self) -> str:
        return self.place

    def _check(self, items: Mapping[str, bytes]) -> None:
        self._in_flight.check_open()
        for key, value in items.items():
            check_key(key)
            check_value(key, value)
        if not self.writable:
            raise StoreError(f"store {self.place}: it was opened read-only.")

    async def _submit(self, write: Write[str]) -> Write[str]:
        self._in_flight.check_open()
        await self._commits.submit(write)
        return write

    def _error(self, error: Exception) -> Exception:
        if isinstance(error, HyperbeamError):
            return type(error)(error.text)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "its disk is full" if full else str(error)
        return StoreError(f"store {self.place}: {what}.")
