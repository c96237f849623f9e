"""Putting a snapshot back into a new instance (spec/06 §1.5).

A new instance's memory is zero outside of its data segments, and costs nothing until it is
touched; so only pages that are not zero are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from functools import partial

import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES
from hyperbeam_trio.devices.wasm.memory import Memory
from hyperbeam_trio.devices.wasm.snapshot import (
    ZERO_ID,
    MemoryCopy,
    copy_memory,
    pages_with_content,
)
from hyperbeam_trio.errors import (
    BadRequest,
    CorruptData,
    NecessaryMessageNotFound,
    StateLost,
)
from hyperbeam_trio.message import Link


def restore(instance: Instance, body: bytes | bytearray, *, own: bool = True) -> None:
    """Make `body`, a whole memory, the memory of `instance`; grows it if need be.

    `own=False` is for snapshots that another node took, as `Restorer` says. Raises `BadRequest` for
    a body that can't be this module's memory and `GuestLimit` if it does not fit the limits.
    Blocks: about 25 ms for 64 MiB, nearly all of it the kernel's page faults.
    """
    restorer = Restorer(instance, len(body), own=own)
    source = raw.address_of(body)
    numbers = pages_with_content(source, restorer.size)
    restorer.put((number, source + number * PAGE_BYTES) for number in numbers)
    restorer.finish()


def restore_copy(instance: Instance, copy: MemoryCopy) -> None:
    """The same of a copy of another instance's memory."""
    restorer = Restorer(instance, copy.size)
    restorer.write(copy.pages)
    restorer.finish()


class Restorer:
    """Takes a memory of `size` bytes page by page; all pages that it is not given are zero.

    `own=False` is for snapshots that another node took: the reference's engine appends one page of
    its own to a memory, so a body that is one page longer than the memory is cut, not grown into.
    Raises `BadRequest` and `GuestLimit` as `restore` does. The instance is of use after `finish`.
    """

    def __init__(self, instance: Instance, size: int, *, own: bool = True) -> None:
        memory = instance.memory
        self._given = size // PAGE_BYTES
        if memory is not None and not own and size == memory.size + PAGE_BYTES:
            size = memory.size
        self.size = size
        self._memory = memory
        if memory is None:
            if size:
                raise BadRequest(f"A snapshot of {size} bytes for a module without memory.")
            return
        if size % PAGE_BYTES or size < memory.size:
            raise BadRequest(f"A snapshot of {size} bytes does not fit a memory of {memory.size}.")
        self._stale = _pages_in_use(instance, memory)
        memory.grow_to(size)
        memory.touched = True

    def write(self, pages: Iterable[tuple[int, bytes]]) -> None:
        """Put pages of 64 KiB at their numbers; beyond the memory only what is cut."""
        self.put((number, raw.address_of(page)) for number, page in _checked(pages))

    def put(self, pages: Iterable[tuple[int, int]]) -> None:
        """The same, of pages by the addresses of their contents."""
        if self._memory is None:
            return
        base = self._memory.base
        for number, source in pages:
            if not 0 <= number < self._given:
                raise BadRequest(f"Page {number} is outside of a snapshot of {self.size} bytes.")
            if number >= self.size // PAGE_BYTES:
                continue
            raw.expect_write(base + number * PAGE_BYTES, PAGE_BYTES)
            raw.copy(base + number * PAGE_BYTES, source, PAGE_BYTES)
            self._stale.discard(number)

    def finish(self) -> None:
        """Zero the rest."""
        if self._memory is None:
            return
        base = self._memory.base
        for number in self._stale:
            raw.fill(base + number * PAGE_BYTES, 0, PAGE_BYTES)


async def restore_stored(
    instance: Instance, stored: bytes | Link, cache: Cache
) -> MemoryCopy | Link:
    """Make a snapshot the memory of `instance`, reading only the pages of it that have content.

    What is not stored in pages was taken by another node. Gives what brings it back. Raises as
    `restore` does, and `StateLost` where a part is gone, or is not what its hash says.
    """
    if isinstance(stored, Link):
        try:
            if await cache.is_paged(stored):
                await _restore_pages(instance, stored, cache)
                return stored
            loaded = await cache.load(stored)
        except (CorruptData, NecessaryMessageNotFound) as damage:
            raise StateLost(f"The snapshot {stored.id} is damaged: {damage.text}") from damage
        stored = loaded if isinstance(loaded, bytes) else b""
    await trio.to_thread.run_sync(partial(restore, instance, stored, own=False))
    return copy_memory(instance)


async def _restore_pages(instance: Instance, stored: Link, cache: Cache) -> None:
    restorer = Restorer(instance, stored.size)
    async with aclosing(cache.read_paged(stored, skip=(ZERO_ID,))) as batches:
        async for pages in batches:
            await trio.to_thread.run_sync(restorer.write, pages)
    restorer.finish()


def _checked(pages: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for number, page in pages:
        if len(page) != PAGE_BYTES:
            raise BadRequest(
                f"Page {number} of a snapshot has {len(page)} bytes, not {PAGE_BYTES}."
            )
        yield number, page


def _pages_in_use(instance: Instance, memory: Memory) -> set[int]:
    """Pages that may hold something now, found without touching the others if possible."""
    initial = instance.image.initial_pages
    if initial is not None and not memory.touched:
        return set(initial)
    base = memory.base
    return set(pages_with_content(base, memory.size))
