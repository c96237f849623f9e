"""Writing messages to a store: staged first, then put in one atomic batch (spec/04 §6.1, §12)."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Final, TypeVar

import trio

from hyperbeam_trio.cache.drafts import Draft, Drafts
from hyperbeam_trio.cache.intake import Intake, Piece
from hyperbeam_trio.cache.layout import ALIAS, COMMITMENTS, DATA, MESSAGE, NAME, escape
from hyperbeam_trio.cache.loading import Loader
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.cache.parts import JOIN_BYTES, parts_record
from hyperbeam_trio.cache.record import damaged
from hyperbeam_trio.cache.staging import BLOB_BYTES, Staging, Unread, too_deep
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.errors import BadRequest, CorruptData, NecessaryMessageNotFound, StoreError
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Store

T = TypeVar("T")

STREAM_BYTES: Final = 8 * 1024 * 1024
"""Binaries up to this size are always put together, unless a cache joins less."""
KNOWN: Final = 16_384
"""Store keys that are remembered as written, so that nobody writes them again; 200 bytes each."""


class Writer(Loader):
    """A loader that also writes.

    Commitments are stored as they are: check them before (spec/02 §8).
    """

    def __init__(
        self,
        store: Store,
        *,
        blob_bytes: int = BLOB_BYTES,
        join_bytes: int = JOIN_BYTES,
        alone: bool = True,
    ) -> None:
        super().__init__(store, join_bytes=join_bytes)
        self._blob_bytes = blob_bytes
        self._alone = alone and store.scope == "local"
        self.drafts = Drafts()
        self._known: Memo[str, bool] = Memo(KNOWN)
        self.pause = Pause()
        self.watch: Callable[[Staging], None] | None = None
        self.sweeps = 0

    @property
    def stream_bytes(self) -> int:
        """Binaries over this size are read in pieces wherever that will do."""
        return min(STREAM_BYTES, self._join_bytes)

    async def write(self, value: Value, *, names: Sequence[str] = ()) -> str:
        """Store a message, list or binary with all that is nested in it; its (unsigned) id.

        One batch: on return everything is durable, before that nothing is visible. `names` are
        linked to the id in the same batch. Links inside stay links. Private keys, private data
        and hashpaths are not written. Raises `BadRequest` for what can't be stored, `TooLarge`.
        """

        def stage(staging: Staging) -> str:
            id = staging.add(value)
            for name in names:
                _stage_name(staging, name, id)
            return id

        return await self._write(stage)

    async def write_many(self, values: Sequence[Value]) -> list[str]:
        """Store several values in one batch; their ids."""
        return await self._write(lambda staging: [staging.add(value) for value in values])

    async def claim(self, named: Mapping[str, Value]) -> int:
        """Store values under names that nobody has given yet; how many names that were.

        In their order, until one is taken. On return all values and those names are durable. A
        signed message is named by its signed id.
        """

        def stage(staging: Staging) -> None:
            for name, value in named.items():
                id = staging.add(value)
                _stage_name(staging, name, signed_id(value) if isinstance(value, Message) else id)

        await self.pause.enter()
        try:
            staging = self._staging()
            await self._staged(staging, stage)
            await self._prepare(staging)
            created = await self.store.claim(staging.notes, staging.entries)
            self._note_known(staging)
            return created
        finally:
            self.pause.leave()

    async def write_pieces(
        self,
        pieces: AsyncIterable[Piece],
        *,
        watch: Callable[[memoryview], object] | None = None,
        confirm: Callable[[], None] | None = None,
    ) -> Link:
        """Store a binary that comes in pieces, in constant memory; the link to it.

        Pieces are asked for while those before them are stored. `watch` gets all of them too, in a
        thread; then `confirm` may refuse by an exception. On return all is durable. Of a binary
        that was refused, or whose pieces raise, nothing remains, as `intake` says. Raises
        `StoreError` when garbage was collected meanwhile.
        """
        whole = sha256()
        sinks = (whole.update,) if watch is None else (whole.update, watch)
        async with self.intake() as intake:
            async for piece in pieces:
                await intake.add(piece, sinks)
            await intake.finish()
            if confirm is not None:
                confirm()
            id = human_id(whole.digest())
            await intake.keep(parts_record(id, intake.links))
        return Link(id, "binary", intake.size)

    @asynccontextmanager
    async def intake(self) -> AsyncIterator[Deposit]:
        """Takes bytes in and stores them in parts, in constant memory; see `Deposit`.

        Unless it is told to keep them, what was stored is taken back when this closes, but for what
        somebody else has stored as well. In a store that others write to at the same time it can't
        be taken back, and is left to the collector.
        """
        deposit = Deposit(self)
        try:
            async with deposit.working():
                yield deposit
        except ExceptionGroup as group:
            first = group.exceptions[0]
            raise first from first.__cause__
        finally:
            await self._take_back(deposit.draft)

    async def _take_back(self, draft: Draft) -> None:
        if not draft.keys:
            return
        with trio.CancelScope(shield=True):
            async with self.pause.hold():
                doomed = draft.give_up()
                if doomed:
                    await self.store.delete(doomed)

    async def put_draft(self, draft: Draft, entries: Mapping[str, bytes]) -> None:
        """Write parts that nothing refers to yet, and note which of them are new."""
        await self.pause.enter()
        try:
            staging = self._staging()
            staging.entries.update(entries)
            await self._prepare(staging)
            if self._alone:
                for key in entries:
                    if key in self.drafts or not await self._has_entry(key):
                        draft.add(key)
            await self.store.put(entries)
        finally:
            self.pause.leave()

    async def _has_entry(self, key: str) -> bool:
        try:
            return await self.store.view(key, len) is not None
        except CorruptData:
            return True

    async def keep_draft(
        self, records: Mapping[str, bytes], parts: Sequence[Link], sweeps: int
    ) -> None:
        """Write what refers to parts, if no sweep since has taken one of them."""
        await self.pause.enter()
        try:
            if sweeps != self.sweeps:
                for part in parts:
                    if not await self._has_entry(DATA + part.id):
                        raise StoreError("Garbage was collected meanwhile: store it again.")
            staging = self._staging()
            staging.entries.update(records)
            await self._put(staging)
        finally:
            self.pause.leave()

    async def write_parts(self, id: str, parts: Sequence[Link]) -> Link:
        """Let stored parts be the binary that `id` is the hash of, after reading them; its link.

        Raises `NecessaryMessageNotFound` for a part that is not stored, `BadRequest` when they are
        another binary.
        """
        sweeps, whole, size = self.sweeps, sha256(), 0
        for part in parts:
            piece = await self._whole_blob(part.id)
            if piece is None:
                raise NecessaryMessageNotFound(part.id)
            await trio.to_thread.run_sync(whole.update, piece, limiter=self.hashing)
            size += len(piece)
        if human_id(whole.digest()) != id:
            raise BadRequest(f"These parts make a binary with the hash {human_id(whole.digest())}.")
        await self.keep_draft(parts_record(id, parts), parts, sweeps)
        return Link(id, "binary", size)

    async def link(self, name: str, id: str) -> None:
        """Give `id` a name, in place of what the name stood for.

        Raises `NecessaryMessageNotFound` when `id` is not stored: no name ever leads nowhere.
        """
        await self.pause.enter()
        try:
            # Not what was read before the pause: a sweep may have deleted it since.
            self._aliases.discard(id)
            if not await self.exists(id):
                raise NecessaryMessageNotFound(id)
            staging = self._staging()
            _stage_name(staging, name, id)
            await self._put(staging)
        finally:
            self.pause.leave()

    async def unlink(self, *names: str) -> None:
        """Let names stand for nothing any more; what they stood for stays.

        Raises `StoreError` where the store keeps everything.
        """
        keys = [NAME + escape(name) for name in names]
        await self.store.delete(keys)
        for key in keys:
            self._known.discard(key)

    def forget(self) -> None:
        """Take nothing for stored any more: keys are going to be deleted behind our back."""
        self.sweeps += 1
        self._known.clear()
        self._aliases.clear()

    def wrote(self, id: str) -> bool:
        """Whether a message of this id, signed or not, was written here not long ago; no read."""
        if not self.store.durable:
            return False
        known = self._known.get
        return known(ALIAS + escape(id)) is not None or known(MESSAGE + id) is not None

    async def _write(self, stage: Callable[[Staging], T]) -> T:
        """Put what `stage` stages, after providing what it needs; the outcome of `stage`."""
        await self.pause.enter()
        try:
            staging = self._staging()
            staged = await self._staged(staging, stage)
            await self._put(staging)
            return staged
        finally:
            self.pause.leave()

    def _staging(self) -> Staging:
        # A store that is not durable may have dropped what was written.
        known = self._known.get if self.store.durable else _nothing
        return Staging(known, self._blob_bytes)

    async def _staged(self, staging: Staging, stage: Callable[[Staging], T]) -> T:
        while True:
            try:
                staged = stage(staging)
            except Unread as need:
                await self._read_into(staging, need.links)
                continue
            except RecursionError:
                raise too_deep() from None
            if not staging.unhashed:
                return staged
            for large in staging.unhashed:
                staging.hashed[id(large)] = large, await self._hash(large)
            staging.restart()

    async def _read_into(self, staging: Staging, links: Sequence[Link]) -> None:
        for link in links:
            content = await self.load(link)
            if not isinstance(content, bytes):
                raise damaged(DATA + link.id, "it is a message, not a binary")
            staging.loaded[link.id] = content

    async def _put(self, staging: Staging) -> None:
        await self._prepare(staging)
        if staging.entries or staging.notes:
            await self.store.put({**staging.entries, **staging.notes})
            self._note_known(staging)

    async def _prepare(self, staging: Staging) -> None:
        """What has to happen before staged entries are written."""
        for key in staging.provisional:
            # A commitment whose evidence is not at hand: what is stored may have it.
            if await self.store.view(key, len) is not None:
                del staging.entries[key]
        if self.watch is not None:
            self.watch(staging)

    def _note_known(self, staging: Staging) -> None:
        if self.drafts:
            self.drafts.adopt(staging.entries)
        for key in staging.entries:
            self._known.set(key, True)
            if key.startswith(COMMITMENTS):
                self._note_commitment(key.split("/")[1])


class Deposit(Intake):
    """An intake into the store of a cache: `finish` it, then `keep` what it has brought."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(self._put_parts, writer.hashing)
        self.draft = Draft(writer.drafts)
        self._writer = writer
        self._sweeps = writer.sweeps

    async def _put_parts(self, entries: Mapping[str, bytes]) -> None:
        await self._writer.put_draft(self.draft, entries)

    async def keep(self, records: Mapping[str, bytes]) -> None:
        """Store the entries that refer to the parts, which are kept from then on."""
        # Before the write: one that fails may have been done all the same.
        self._writer.drafts.adopt(self.draft.keys)
        self.draft.keys.clear()
        await self._writer.keep_draft(records, self.links, self._sweeps)


def _nothing(key: str) -> None:
    return None


def _stage_name(staging: Staging, name: str, id: str) -> None:
    text = name.encode("utf-8", "surrogatepass")
    staging.note(NAME + escape(name), {"id": Link(id), "name": text})


class Pause:
    """Holds back new writes for a while and waits for those under way.

    The collector of garbage needs it: between finding what nobody refers to and deleting it, nobody
    may write a reference.
    """

    def __init__(self) -> None:
        self._writing = 0
        self._held: trio.Event | None = None
        self._quiet: trio.Event | None = None

    async def enter(self) -> None:
        """Begin a write."""
        while self._held is not None:
            await self._held.wait()
        self._writing += 1

    def leave(self) -> None:
        """End a write."""
        self._writing -= 1
        if self._quiet is not None and not self._writing:
            self._quiet.set()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """While this is open no write begins and none is under way; don't write inside."""
        while self._held is not None:
            await self._held.wait()
        self._held, self._quiet = trio.Event(), trio.Event()
        try:
            if self._writing:
                await self._quiet.wait()
            yield
        finally:
            self._held.set()
            self._held = self._quiet = None
