"""Stores whose content lies with somebody who knows messages by their ids, not our layout.

Another node or a gateway is asked for a message; what it gives is checked against the id and
turned into the entries that our cache would have written for it (spec/04 §5.6, §5.7, §12). A
bounded memory keeps these, since the cache asks for a message, for what its id stands for, and for
its commitments in turn.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import trio

from hyperbeam_trio.cache.flights import Flights
from hyperbeam_trio.cache.layout import ALIAS, COMMITMENTS, DATA, MESSAGE, PARTS, escape
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.cache.parts import parts_record
from hyperbeam_trio.cache.staging import entries
from hyperbeam_trio.errors import BadRequest, CorruptData, StoreError, TooLarge
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Scope, Store, check_key
from hyperbeam_trio.stores.in_flight import InFlight
from hyperbeam_trio.stores.memory import MemoryStore

Content: TypeAlias = "Message | list[Value] | bytes"
Entries: TypeAlias = Mapping[str, bytes]

MISSES: Final = 4096
"""Ids that are remembered as not there."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class ForeignStore(Store):
    """Base of such stores: `_candidates` asks for one id. Others can't list or delete.

    `capacity` bytes of what was fetched are remembered; for `miss_seconds` that an id is not there.
    """

    scope: Scope = "remote"
    writable = False

    def __init__(self, place: str, capacity: int, miss_seconds: float) -> None:
        self.place = place
        self._known = MemoryStore(capacity)
        self._missing: Memo[str, float] = Memo(MISSES)
        self._miss_seconds = miss_seconds
        self._flights: Flights[Entries] = Flights()
        self._flights_of_parts: Flights[Sequence[Link] | None] = Flights()
        self._in_flight = InFlight(place)

    @abstractmethod
    async def _candidates(self, id: str, *, binary: bool) -> Sequence[Content]:
        """What the other side has under an id, all ways in which it may be meant; none: nothing.

        `binary`: the id is the hash of a binary. The commitments of a message have been checked.
        Raises `StoreError` when there is no answer, `CorruptData` for one that is forged.
        """

    async def get(self, key: str) -> bytes | None:
        check_key(key)
        with self._in_flight:
            if key.startswith(PARTS):
                return await self._parts(key)
            asked = _asked(key)
            if asked is None:
                return None
            known = self._known.get_nowait(key)
            if known is not None or self._settles(key, *asked):
                return known
            found = await self._flights.share(key, partial(self._fetch, *asked))
            return found.get(key)

    async def _parts(self, key: str) -> bytes | None:
        """The record of the parts of a binary; whoever reads them proves it."""
        id = key.removeprefix(PARTS)
        known = self._known.get_nowait(key)
        if known is not None or _ID.fullmatch(id) is None:
            return known
        if self._missed(key) or self._missed(DATA + id):
            # What has no such binary has no parts of it.
            return None
        parts = await self._flights_of_parts.share(key, partial(self._listed_parts, id))
        if parts is None:
            self._missing.set(key, trio.current_time())
            return None
        record = parts_record(id, parts)
        await self._known.put(record)
        return record.get(key)

    async def _listed_parts(self, id: str) -> Sequence[Link] | None:
        """The parts that the other side has of a binary; by default it has none in parts."""
        return None

    def _missed(self, memo: str) -> bool:
        missed = self._missing.get(memo)
        return missed is not None and trio.current_time() < missed + self._miss_seconds

    def _settles(self, key: str, id: str, binary: bool) -> bool:
        """Whether what is known says that there is nothing under a key."""
        if self._missed(_memo_key(id, binary)):
            return True
        if key.startswith(COMMITMENTS) and key != f"{COMMITMENTS}{id}/{id}":
            return False
        # The unsigned commitment, too, came with its message, if there is one.
        return self._has(id)

    def _has(self, id: str) -> bool:
        keys = (MESSAGE + id, ALIAS + escape(id), DATA + id)
        return any(self._known.get_nowait(key) is not None for key in keys)

    async def _fetch(self, id: str, binary: bool) -> Entries:
        candidates = await self._candidates(id, binary=binary)
        if not candidates:
            self._missing.set(_memo_key(id, binary), trio.current_time())
            return {}
        for candidate in candidates:
            found = await trio.to_thread.run_sync(_entries_of, id, candidate)
            if found is not None:
                await self._known.put(found)
                return found
        raise CorruptData(
            f"store {self.place}: it answers {id} with something that has another id.",
            details={"damaged": id},
        )

    async def list(
        self, prefix: str = "", *, after: str = "", limit: int | None = None
    ) -> Sequence[str]:
        """Nothing: what the others have can be asked for, not listed."""
        self._in_flight.check_open()
        return []

    async def put(self, items: Mapping[str, bytes]) -> None:
        self._refuse(items)

    async def create(self, key: str, value: bytes) -> bool:
        self._refuse([key])
        raise StoreError(f"store {self.place}: it can't create a key for one of many writers.")

    async def delete(self, keys: Sequence[str]) -> None:
        self._refuse(keys)
        raise StoreError(f"store {self.place}: nothing can be deleted there.")

    async def close(self) -> None:
        await self._in_flight.aclose()
        await self._known.close()

    def describe(self) -> str:
        return self.place

    def _refuse(self, keys: Iterable[str]) -> None:
        for key in keys:
            check_key(key)
        self._in_flight.check_open()
        if not self.writable:
            raise StoreError(f"store {self.place}: it takes no writes.")


def _asked(key: str) -> tuple[str, bool] | None:
    """The id that a store key asks for, and whether it is that of a binary; `None` for others."""
    namespace, _, rest = key.partition("/")
    if namespace == COMMITMENTS[:-1]:
        rest = rest.partition("/")[2]
    elif namespace not in (MESSAGE[:-1], ALIAS[:-1], DATA[:-1]):
        return None
    return (rest, namespace == DATA[:-1]) if _ID.fullmatch(rest) else None


def _memo_key(id: str, binary: bool) -> str:
    return DATA + id if binary else id


def _entries_of(id: str, content: Content) -> Entries | None:
    """The entries of a content, if the id is one of its own."""
    try:
        _, found = entries(content)
    except (BadRequest, TooLarge):
        return None
    own = (MESSAGE + id, ALIAS + escape(id), DATA + id)
    return found if any(key in found for key in own) else None
