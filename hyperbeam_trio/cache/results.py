"""Results of computations, and names (spec/03 §9, spec/04 §6.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hyperbeam_trio.cache.layout import NAME, RESULT, common_prefix, escape, unescape
from hyperbeam_trio.cache.paging import Pager
from hyperbeam_trio.cache.parts import JOIN_BYTES
from hyperbeam_trio.cache.record import damaged, decode
from hyperbeam_trio.cache.staging import BLOB_BYTES, Staging, is_covered
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Store


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result as it was computed, and when (seconds since 1970)."""

    value: Value
    created_at: float


class Cache(Pager):
    """Messages, results and names over one store; see the bases for reading, loading, writing.

    All methods may be called from many tasks at once. `clock` gives the present time in seconds
    since 1970; binaries over `blob_bytes` become blobs of their own, and those in parts are joined
    in memory up to `join_bytes`. `alone`: no other process writes to the store.
    """

    def __init__(
        self,
        store: Store,
        *,
        blob_bytes: int = BLOB_BYTES,
        join_bytes: int = JOIN_BYTES,
        alone: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store, blob_bytes=blob_bytes, join_bytes=join_bytes, alone=alone)
        self._clock = clock

    async def write_result(self, key: str, value: Value, *, inputs: Sequence[Value] = ()) -> None:
        """Keep `value` as the outcome of the computation `key`, with its inputs, in one batch.

        `key` is a hashpath or any other text; an older result under it is replaced. Store only
        results of status ok. Results lie apart from messages: they never show as keys of one.
        """

        def stage(staging: Staging) -> None:
            for given in inputs:
                if not isinstance(given, Link):
                    staging.add(given)
            items = _result_items(staging, value)
            items["created-at"] = float(self._clock())
            staging.note(RESULT + escape(key), items)

        await self._write(stage)

    async def read_result(self, key: str) -> StoredResult | None:
        """The result of a computation, loaded one level; `None` when there is none.

        Also `None` when what it points at is not stored any more. Raises `CorruptData`.
        """
        name = RESULT + escape(key)
        items = await self._note(name)
        if items is None:
            return None
        created_at, value = items.get("created-at"), items.get("value")
        if not isinstance(created_at, float) or "value" not in items:
            raise damaged(name, "it holds no result")
        if isinstance(value, Link):
            value = await self._result_of(value, items.get("commitments"))
            if value is None:
                return None
        return StoredResult(value, created_at)

    async def _result_of(self, link: Link, commitments: Value) -> Value:
        if not isinstance(commitments, list):
            return await self._follow(link)
        content = await self._content(link.id)
        if content is None:
            return None
        ids = tuple([id.decode() for id in commitments if isinstance(id, bytes)])
        return await self._with_commitments(content, link.id, ids, "asked")

    async def lookup(self, name: str) -> str | None:
        """The id that a name stands for now, or `None`."""
        key = NAME + escape(name)
        data = await self.store.get_current(key)
        return None if data is None else self._named(key, data)[0]

    async def names(self, prefix: str = "") -> list[str]:
        """All names that start with `prefix`, sorted."""
        found = []
        for key in await self.store.list(NAME + common_prefix(prefix)):
            name = unescape(key.removeprefix(NAME))
            if name is None:
                # Too long to stand in the key.
                data = await self.store.get(key)
                name = "" if data is None else self._named(key, data)[1]
            if name.startswith(prefix):
                found.append(name)
        return sorted(found)

    def _named(self, key: str, data: bytes) -> tuple[str, str]:
        """The id and the text of a stored name."""
        items = decode(key, data)
        target = items.get("id") if isinstance(items, dict) else None
        name = items.get("name") if isinstance(items, dict) else None
        if not isinstance(target, Link) or not isinstance(name, bytes):
            raise damaged(key, "it holds no name")
        return target.id, name.decode("utf-8", "surrogatepass")


def _result_items(staging: Staging, value: Value) -> dict[str, Value]:
    if not is_covered(value):
        # Such as a commitment, whose signature is no part of its id as a message.
        return {"value": staging.inline(value)}
    if not isinstance(value, Message):
        return {"value": staging.part(value)}
    # Under the id of all keys: a signed one may stand for fewer (spec/01 §6).
    ids: list[Value] = [id.encode() for id in value.commitments]
    return {"value": Link(staging.add(value)), "commitments": ids}
