"""Giving back the room of what nobody asks for: mark from roots, then sweep (spec/04 §12)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Final, Self

import trio

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.layout import (
    ALIAS,
    COMMITMENTS,
    DATA,
    MESSAGE,
    NAME,
    PACKED,
    PARTS,
    RESULT,
    escape,
)
from hyperbeam_trio.cache.linking import Content, links
from hyperbeam_trio.cache.packing import PAGE_BYTES
from hyperbeam_trio.cache.results import Cache
from hyperbeam_trio.cache.staging import Staging
from hyperbeam_trio.cache.walk import WINDOW, Progress, Walk, read_window, windows
from hyperbeam_trio.errors import BadRequest, CorruptData

_ID: Final = re.compile(rb"[A-Za-z0-9_-]{43}")
STEP: Final = 1000
"""Messages that are marked between two reports."""

# What points goes before what it points at, so that a sweep may stop anywhere.
_SWEPT = (RESULT, ALIAS, COMMITMENTS, MESSAGE, PARTS, PACKED, DATA)
_LISTING = (PARTS, PACKED)
"""Records whose links are parts of a binary."""


@dataclass(frozen=True, slots=True)
class Swept:
    """Keys that were deleted, or would be in a dry run, and the bytes of their values.

    Go on later from behind `cursor`. `size` is 0 for remote stores, which would have to be asked.
    """

    cursor: str
    keys: Sequence[str]
    size: int


class Collector:
    """Finds what neither a name, nor a result, nor one of `roots` (ids) leads to, and deletes it.

    A message leads to what it links to, and to what a text in it is the id of.

    With `results` false no result is kept, nor what only results lead to. Use it in a `with`
    block: exhaust `mark`, then `sweep`. What is written or named through `cache` meanwhile is kept,
    but of what nothing led to when the marking ended parts may go at any time. No other process may
    have the store open: it would believe that what it once wrote is still there. Memory: some 90
    bytes for each key that is kept.
    """

    def __init__(self, cache: Cache, roots: Iterable[str] = (), *, results: bool = True) -> None:
        self._cache = cache
        self._store = cache.store
        self._results = results
        self._kept: set[bytes] = set()
        self._waiting = list(roots)
        self._written_ids: set[str] = set()
        self._marked = False

    def __enter__(self) -> Self:
        if self._cache.watch is not None:
            raise BadRequest("This cache is being collected already.")
        self._cache.watch = self._written
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cache.watch = None

    async def mark(self) -> AsyncIterator[Progress]:
        """Mark all that is to be kept.

        Raises `CorruptData` when a record on the way is damaged: repair it, or delete it, first.
        """
        done = Progress("")
        async with self._cache.pause.hold():
            # Writes that began unwatched are done now; the walk finds what they brought.
            pass
        walk = Walk(self._store, namespaces=(NAME, RESULT) if self._results else (NAME,))
        while keys := await walk.more():
            await self._mark_records(keys)
        while count := await self._reach_some():
            done = done.plus("", count, 0)
            yield done
        walk = Walk(self._store, namespaces=(COMMITMENTS,))
        while keys := await walk.more():
            await self._mark_records([key for key in keys if self._is_kept(_holder(key))])
        self._marked = True
        yield done

    async def sweep(self, *, after: str = "", dry_run: bool = False) -> AsyncGenerator[Swept, None]:
        """Delete what is not marked, from behind the key `after` on; only say what in a dry run."""
        if not self._marked:
            raise BadRequest("Mark before the sweep, or all would be swept.")
        async with self._cache.pause.hold():
            # From here on who writes a message writes all of it.
            self._cache.forget()
        walk = Walk(self._store, after=after, namespaces=_SWEPT)
        while keys := await walk.more():
            async with self._cache.pause.hold():
                # Only now are they surely stored.
                self._waiting += self._written_ids
                self._written_ids.clear()
                while await self._reach_some():
                    pass
                doomed = [key for key in keys if not await self._is_needed(key)]
                size = await self._size(doomed)
                if doomed and not dry_run:
                    await self._store.delete(doomed)
            yield Swept(keys[-1], doomed, size)

    # Marking.

    async def _reach_some(self) -> int:
        """Mark what some of the ids that wait lead to; how many it were."""
        count = 0
        while self._waiting and count < STEP:
            count += 1
            await self._reach(self._waiting.pop())
            if count % WINDOW == 0:
                await trio.lowlevel.checkpoint()
        return count

    async def _reach(self, id: str) -> None:
        key = MESSAGE + id
        if self._is_kept(key):
            return
        data = await self._store.get(key)
        if data is not None:
            self._keep(key)
            self._follow(key, data)
            if self._marked:
                await self._mark_records(await self._store.list(f"{COMMITMENTS}{id}/"))
            return
        self._keep(DATA + id)
        alias = ALIAS + escape(id)
        if not self._is_kept(alias):
            await self._mark_records([alias, PARTS + id, PACKED + id])

    async def _mark_records(self, keys: Sequence[str]) -> None:
        for window in windows(keys):
            for key, found in await read_window(self._store, window):
                if isinstance(found, CorruptData):
                    raise found
                if found is not None:
                    self._keep(key)
                    self._follow(key, found)

    def _follow(self, key: str, data: bytes) -> None:
        """Keep what a record leads to, or let it wait for that."""
        content = record.decode(key, data)
        if key.startswith(MESSAGE):
            self._waiting += _named_ids(content)
        for link in links(content):
            if link.kind != "binary":
                self._waiting.append(link.id)
            elif key.startswith(_LISTING):
                # Most pages are those of other binaries, too.
                if not self._is_kept(PACKED + link.id):
                    self._keep(PACKED + link.id)
                    self._waiting.append(link.id)
            else:
                self._keep(DATA + link.id)
                if link.size >= PAGE_BYTES:
                    self._waiting.append(link.id)

    def _written(self, staging: Staging) -> None:
        """Keep what is being written, and what it leads to."""
        for key in staging.entries:
            if key.startswith(MESSAGE):
                self._written_ids.add(key.removeprefix(MESSAGE))
            else:
                self._keep(key)
            if key.startswith(_LISTING):
                self._follow(key, staging.entries[key])
        for key, note in staging.notes.items():
            self._keep(key)
            self._follow(key, note)
        self._written_ids.update(staging.added)

    def _keep(self, key: str) -> None:
        self._kept.add(blake2b(key.encode(), digest_size=16).digest())

    def _is_kept(self, key: str) -> bool:
        return blake2b(key.encode(), digest_size=16).digest() in self._kept

    # Sweeping.

    async def _is_needed(self, key: str) -> bool:
        if self._is_kept(key) or (self._results and key.startswith(RESULT)):
            return True
        if key.startswith(COMMITMENTS):
            return self._is_kept(_holder(key))
        return key.startswith(ALIAS) and await self._leads_to_kept(key)

    async def _leads_to_kept(self, alias: str) -> bool:
        try:
            data = await self._store.get(alias)
            found = [] if data is None else list(links(record.decode(alias, data)))
        except CorruptData:
            # Not to be served, and not to be lost either: `verify` reports it.
            return True
        return any(self._is_kept(MESSAGE + link.id) for link in found)

    async def _size(self, keys: Sequence[str]) -> int:
        if self._store.scope != "local":
            return 0
        return sum([await self._store.view(key, len) or 0 for key in keys])


def _named_ids(content: Content) -> Iterator[str]:
    """Texts in a message that may be ids, such as that of a process's image."""
    for value in content.values() if isinstance(content, dict) else content:
        if isinstance(value, bytes) and _ID.fullmatch(value) is not None:
            yield value.decode()


def _holder(key: str) -> str:
    """The store key of the message that a commitment belongs to."""
    return MESSAGE + key.split("/")[1]
