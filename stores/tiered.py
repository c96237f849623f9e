"""`tiered` — stores in a row, nearest first: such as memory over LMDB over S3 over another node.

Reads go along the row until a tier has the key, and fill the nearer tiers on their way back. The
*authority* is the furthest tier that takes writes directly: it decides who wins a `create`, what
the current value of a changing key is, and whether a write has happened; nearer tiers follow it.
Tiers written `back` get their copy later, from a durable queue (`writeback`).

*Not found* means that every tier that may be read has answered so; when one could not answer and
none has the key, that is an error. A value that is damaged in one tier is taken from the next and
repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import merge
from itertools import groupby, islice
from typing import Self, TypeVar

import trio

from hyperbeam_trio.errors import ConfigError, CorruptData, HyperbeamError, StoreError
from hyperbeam_trio.store import Store, StoreSpec, check_key
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.in_flight import InFlight
from hyperbeam_trio.stores.tier import TROUBLES, Tier
from hyperbeam_trio.stores.writeback import HIDDEN, WriteBack

T = TypeVar("T")
Keys = list[str]
Faults = list[tuple[Tier, HyperbeamError]]

_NOT_AT_HAND = (trio.WouldBlock, *TROUBLES)
BEHIND_HIDDEN = HIDDEN + "\U0010ffff"


class TieredStore(Store):
    """A row of tiers as one store. `faults` counts the troubles that another tier made good."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self.tiers = tuple(tiers)
        self._readers = [tier for tier in tiers if tier.reads]
        self._through = [tier for tier in tiers if tier.writes and not tier.back]
        self._admins = [tier for tier in tiers if tier.admin and not tier.back]
        if not self._readers:
            raise ConfigError("store tiered: no tier may be read; give one access=read.")
        self._authority = self._through[-1] if self._through else self._readers[-1]
        self._near = self._readers[0].store
        self._peek = _nothing if _always_waits(self._near) else self._near.peek()
        self._near_is_local = not self._readers[0].remote
        self._queue = next((tier for tier in self._through if tier.store.durable), None)
        self._back = self._write_backs()
        self.writable = bool(self._through)
        self.durable = self._queue is not None
        self.shared = self._authority.store.shared
        self.faults: dict[str, int] = {}
        self._in_flight = InFlight("tiered")

    def _write_backs(self) -> Sequence[WriteBack]:
        targets = [tier for tier in self.tiers if tier.writes and tier.back]
        if targets and self._queue is None:
            raise ConfigError(
                f"store tiered: {targets[0].place} is written back, so a durable tier must be "
                "written through to hold the queue; put 'lmdb:DIRECTORY' before it."
            )
        return [WriteBack(target, self._queue) for target in targets if self._queue is not None]

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        """Open all tiers: option `tiers` is a list of store URIs or `StoreSpec`s, nearest first."""
        read = StoreOptions("tiered", options)
        specs = read.value("tiers")
        read.done()
        if location or not isinstance(specs, list) or not specs:
            raise ConfigError("store tiered: give a list of at least one store as its tiers.")
        return await cls._open_all(specs)

    @classmethod
    async def _open_all(cls, specs: Sequence[StoreSpec | str]) -> Self:
        tiers: list[Tier] = []
        try:
            for spec in specs:
                tiers.append(await Tier.open(spec))
            store = cls(tiers)
            for back in store._back:
                await back.count()
            return store
        except BaseException:
            with trio.CancelScope(shield=True):
                for tier in tiers:
                    await tier.store.close()
            raise

    # Reading.

    async def get(self, key: str) -> bytes | None:
        # The hot path: a hit near by costs one call, no further coroutine.
        try:
            value = self._peek(key)
        except _NOT_AT_HAND:
            # It is asked again in its turn, which keeps account of its trouble.
            value = None
        return await self._search(key) if value is None else value

    def get_nowait(self, key: str) -> bytes | None:
        value = self._peek(key)
        if value is not None:
            return value
        if len(self._readers) > 1:
            raise trio.WouldBlock
        return self._near.get_nowait(key)

    async def get_current(self, key: str) -> bytes | None:
        self._in_flight.check_open()
        return await self._authority.call(lambda store: store.get_current(key))

    async def view(self, key: str, use: Callable[[memoryview], T]) -> T | None:
        if self._near_is_local:
            try:
                # Wrapped, so that a `None` of `use` is told from a missing key.
                found = await self._near.view(key, lambda value: (use(value),))
            except TROUBLES:
                found = None
            if found is not None:
                return found[0]
        value = await self._search(key)
        return None if value is None else use(memoryview(value))

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        self._in_flight.check_open()
        found: Keys = []
        while True:
            page = await self._list_page(prefix, after, limit)
            found += (key for key in page if not key.startswith(HIDDEN))
            if limit is None or len(page) < limit or len(found) >= limit:
                return found[:limit]
            after = BEHIND_HIDDEN if page[-1].startswith(HIDDEN) else page[-1]

    async def _list_page(self, prefix: str, after: str, limit: int | None) -> Keys:
        """The first keys of all tiers together: each gives its first ones, so none is missed."""
        pages = [
            await tier.call(lambda store: store.list(prefix, after=after, limit=limit))
            for tier in self._readers
        ]
        return [key for key, _ in groupby(merge(*pages))][:limit]

    async def _search(self, key: str) -> bytes | None:
        self._in_flight.check_open()
        check_key(key)
        faults: Faults = []
        for place, tier in enumerate(self._readers):
            try:
                value = await tier.get(key)
            except TROUBLES as error:
                faults.append((tier, error))
                continue
            if value is not None:
                await self._fill(key, value, place, faults)
                return value
        self._raise(faults)
        return None

    def _raise(self, faults: Faults) -> None:
        """The key was found nowhere: an error if some tier could not say so for sure."""
        if not faults:
            return
        broken = [error for _, error in faults if not isinstance(error, CorruptData)]
        error = (broken or [error for _, error in faults])[0]
        raise type(error)(
            f"{error.text} (asked {len(self._readers)} tiers, {len(faults)} of them failed)",
            details=error.details,
        ) from error

    async def _fill(self, key: str, value: bytes, place: int, faults: Faults) -> None:
        """Copy what tier `place` had to the nearer tiers, over what is damaged there.

        Trouble is counted, not raised: the reader has its value. `create`, not `put`, so that
        a value written meanwhile stays.
        """
        damaged = [tier for tier, error in faults if isinstance(error, CorruptData)]
        for tier, _ in faults:
            self._count_fault(tier)
        for tier in self._readers[:place]:
            try:
                if tier in damaged and tier.writes:
                    await tier.call(lambda store: store.put({key: value}))
                elif tier.fills and tier.writes and not tier.back:
                    await tier.call(lambda store: store.create(key, value))
            except TROUBLES:
                self._count_fault(tier)

    def _count_fault(self, tier: Tier) -> None:
        self.faults[tier.place] = self.faults.get(tier.place, 0) + 1

    # Writing. The authority comes first; when it has done its part the others follow in any case,
    # lest a cancelled caller leaves nearer tiers behind it.

    async def put(self, items: Mapping[str, bytes]) -> None:
        self._check_writable()
        for key in items:
            check_key(key)
        with self._in_flight:
            await self._put(self._authority, items)
            with trio.CancelScope(shield=True):
                await self._put_nearer(items)

    async def create(self, key: str, value: bytes) -> bool:
        self._check_writable()
        check_key(key)
        with self._in_flight:
            # Queued before, so that a crash can't lose the copy; after, lest it is tried too soon.
            await self._enqueue([key])
            if not await self._authority.call(lambda store: store.create(key, value)):
                return False
            with trio.CancelScope(shield=True):
                await self._enqueue([key])
                await self._put_nearer({key: value})
            return True

    async def claim(self, keys: Mapping[str, bytes], content: Mapping[str, bytes]) -> int:
        self._check_writable()
        for key in (*keys, *content):
            check_key(key)
        with self._in_flight:
            named = [*content, *keys]
            await self._enqueue(named)
            created = await self._authority.call(lambda store: store.claim(keys, content))
            with trio.CancelScope(shield=True):
                await self._enqueue(named)
                await self._put_nearer({**content, **dict(islice(keys.items(), created))})
            return created

    async def delete(self, keys: Sequence[str]) -> None:
        self._in_flight.check_open()
        for key in keys:
            check_key(key)
        if not self._admins:
            raise StoreError("store tiered: no tier may delete.")
        with self._in_flight:
            await self._admins[-1].call(lambda store: store.delete(keys))
            with trio.CancelScope(shield=True):
                for tier in reversed(self._admins[:-1]):
                    await tier.call(lambda store: store.delete(keys))
                await self._enqueue(keys, deleted=True)

    async def _put_nearer(self, items: Mapping[str, bytes]) -> None:
        for tier in reversed(self._through[:-1]):
            await self._put(tier, items)
        self._wake()

    async def _put(self, tier: Tier, items: Mapping[str, bytes]) -> None:
        """Put into one tier; the one that holds the queue gets the notes in the same batch."""
        if tier is self._queue and self._back and items:
            items = {**items, **dict(back.note(list(items)) for back in self._back)}
        await tier.call(lambda store: store.put(items))

    async def _enqueue(self, keys: Sequence[str], *, deleted: bool = False) -> None:
        if self._queue is not None and self._back and keys:
            notes = dict(back.note(keys, deleted=deleted) for back in self._back)
            await self._queue.call(lambda store: store.put(notes))
            self._wake()

    def _wake(self) -> None:
        for back in self._back:
            back.wake()

    # Life.

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the background work of the tiers and drain the queues of those written back."""
        async with trio.open_nursery() as nursery:
            for tier in self.tiers:
                await nursery.start(tier.store.serve)
            for back in self._back:
                await nursery.start(back.serve)
            task_status.started()

    async def be_alone(self) -> bool:
        return all([await tier.store.be_alone() for tier in self.tiers if tier.writes])

    async def flush(self) -> None:
        """Return when all that was written is in the tiers written back; needs `serve`."""
        for back in self._back:
            await back.flush()

    async def close(self) -> None:
        await self._in_flight.aclose()
        with trio.CancelScope(shield=True):
            errors = [error for tier in self.tiers if (error := await _close(tier))]
        if errors:
            raise errors[0]

    def describe(self) -> str:
        return " > ".join(tier.place for tier in self.tiers)

    def _check_writable(self) -> None:
        self._in_flight.check_open()
        if not self._through:
            raise StoreError("store tiered: no tier takes writes.")


def _nothing(key: str) -> bytes | None:
    return None


def _always_waits(store: Store) -> bool:
    return type(store).get_nowait is Store.get_nowait


async def _close(tier: Tier) -> Exception | None:
    try:
        await tier.store.close()
    except TROUBLES as error:
        return error
    return None
