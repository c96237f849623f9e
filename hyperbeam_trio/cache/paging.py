"""Binaries in pages that share what has not changed: memories, snapshot after snapshot.

The pages of such a binary are stored `packed`, each once, and listed in a record of parts; so
whoever reads the binary need not know how it was written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias, TypeVar

import trio

from hyperbeam_trio.cache.layout import PACKED, PARTS
from hyperbeam_trio.cache.packing import PAGE_BYTES, Packed, Page, pack
from hyperbeam_trio.cache.record import damaged, encode
from hyperbeam_trio.cache.writing import Writer
from hyperbeam_trio.errors import NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Value

T = TypeVar("T")
Entries: TypeAlias = Mapping[str, bytes]

PAGES_AT_ONCE: Final = 64
"""Pages that are in memory, packed and written together."""


@dataclass(frozen=True, slots=True)
class Paged:
    """A binary in pages of 64 KiB; the last may be smaller.

    `id` is that of the whole, `size` its bytes, `pages` the ids of all pages in order.
    `content(number)` is called in threads, for some of the pages.
    """

    id: str
    size: int
    pages: Sequence[str]
    content: Callable[[int], bytes]

    @property
    def links(self) -> Iterator[Link]:
        """The pages as parts."""
        for number, id in enumerate(self.pages):
            yield Link(id, "binary", min(PAGE_BYTES, self.size - number * PAGE_BYTES))


Pages: TypeAlias = list[tuple[int, bytes]]
"""Pages with their numbers."""


class Pager(Writer):
    """A writer of binaries in pages."""

    async def write_paged(self, paged: Paged, like: Link | None = None) -> Link:
        """Store a binary of at least one page; only pages that are not stored yet are asked for.

        Those that differ in little from the pages of `like`, a binary that was written before, take
        little room. On return all is durable.
        """
        await self.pause.enter()
        try:
            if not await self._has_key(PARTS + paged.id):
                await self._put_pages(paged, like)
                await self._put_entries(_record(paged))
        finally:
            self.pause.leave()
        return Link(paged.id, "binary", paged.size)

    async def read_paged(
        self, link: Link, skip: Collection[str] = ()
    ) -> AsyncGenerator[Pages, None]:
        """The pages of a binary, some at a time, each checked by its hash.

        Those whose ids are in `skip` are left out. Close it when you stop early. Raises
        `NecessaryMessageNotFound` for what is not stored in pages, and `CorruptData`.
        """
        pages = await self._pages(link)
        if pages is None:
            raise NecessaryMessageNotFound(link.id)
        wanted = [number for number, id in enumerate(pages) if id not in skip]
        for batch in _batches(wanted):
            stored = [await self._stored_page(pages[number]) for number in batch]
            contents = await self._in_thread(partial(_contents, stored))
            yield list(zip(batch, contents, strict=True))

    async def is_paged(self, link: Link) -> bool:
        """Whether a binary is stored in pages."""
        return await self._pages(link) is not None

    async def _pages(self, link: Link) -> Sequence[str] | None:
        parts = await self._parts(link.id)
        if parts is None or any(part.size != PAGE_BYTES for part in parts[:-1]):
            return None
        return [part.id for part in parts]

    async def _stored_page(self, id: str) -> Page:
        page = await self._page(id)
        if page is None:
            raise damaged(PACKED + id, "it is gone, but a larger binary consists of it")
        return page

    async def _put_pages(self, paged: Paged, like: Link | None) -> None:
        """Write the pages that are not stored, of equal ones the first."""
        earlier = await self._pages(like) if like is not None else None
        first = {id: number for number, id in reversed(list(enumerate(paged.pages)))}
        missing = [n for id, n in first.items() if not await self._has_key(PACKED + id)]
        for batch in _batches(sorted(missing)):
            bases = [await self._base(earlier or (), number) for number in batch]
            pack_all = partial(_packed, paged, batch, bases)
            await self._put_entries(await self._in_thread(pack_all))

    async def _base(self, earlier: Sequence[str], number: int) -> Packed | None:
        """What the page of an earlier binary differs from; itself, where it is stored whole."""
        page = await self._page(earlier[number]) if number < len(earlier) else None
        return None if page is None else page.base or page.packed

    async def _has_key(self, key: str) -> bool:
        if self.store.durable and self._known.get(key) is not None:
            return True
        return await self.store.view(key, len) is not None

    async def _put_entries(self, entries: Mapping[str, bytes]) -> None:
        staging = self._staging()
        staging.entries.update(entries)
        await self._put(staging)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self.hashing)


def _contents(pages: Sequence[Page]) -> list[bytes]:
    return [page.content() for page in pages]


def _packed(paged: Paged, numbers: Sequence[int], bases: Sequence[Packed | None]) -> Entries:
    entries: dict[str, bytes] = {}
    for number, base in zip(numbers, bases, strict=True):
        entries |= pack(paged.pages[number], paged.content(number), base)
    return entries


def _record(paged: Paged) -> Entries:
    items: dict[str, Value] = {str(number): link for number, link in enumerate(paged.links, 1)}
    key = PARTS + paged.id
    return {key: encode(key, items, is_list=True)}


def _batches(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + PAGES_AT_ONCE] for at in range(0, len(numbers), PAGES_AT_ONCE))
