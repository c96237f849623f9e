"""Snapshots of a guest's memory, page by page (spec/06 §1.5, §7.6).

A page is 64 KiB, named by the sha256 of its content, so that a store keeps an unchanged page once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from hyperbeam_trio.cache.paging import Paged
from hyperbeam_trio.crypto.encoding import hash_id, human_id
from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES
from hyperbeam_trio.devices.wasm.memory import Memory

ZERO_PAGE = bytes(PAGE_BYTES)
ZERO_ID = hash_id(ZERO_PAGE)
_zero = raw.address_of(ZERO_PAGE)


def take_snapshot(instance: Instance) -> Paged | None:
    """The memory between two calls: its id and those of its pages; `None` if there is none.

    Pages are read from the memory itself, so keep the guest from running until they are stored.
    Blocks: 0.5 ms a MiB, and as much again for what is not zero. Raises `StateOutsideMemory` (500)
    if the guest holds state that the snapshot would lose.
    """
    instance.outside.require_none()
    memory = instance.memory
    if memory is None or not memory.size:
        return None
    whole = hashlib.sha256(memory.view()).digest()
    pages = [ZERO_ID] * (memory.size // PAGE_BYTES)
    for number in pages_with_content(memory.base, memory.size):
        pages[number] = hash_id(_page(memory, number))
    return Paged(human_id(whole), memory.size, pages, partial(_page, memory))


def _page(memory: Memory, number: int) -> bytes:
    return memory.read(number * PAGE_BYTES, PAGE_BYTES)


@dataclass(frozen=True, slots=True)
class MemoryCopy:
    """A memory of `size` bytes: those pages that are not zero, with their numbers."""

    size: int
    pages: Sequence[tuple[int, bytes]]


def copy_memory(instance: Instance) -> MemoryCopy:
    """The memory of `instance`, to go back to it.

    Blocks: 60 us a MiB, and ten times as much for what is not zero. Raises `StateOutsideMemory`
    like `take_snapshot`.
    """
    instance.outside.require_none()
    memory = instance.memory
    size = memory.size if memory is not None else 0
    if memory is None:
        return MemoryCopy(size, ())
    numbers = pages_with_content(memory.base, size)
    return MemoryCopy(size, [(number, _page(memory, number)) for number in numbers])


def pages_with_content(address: int, size: int) -> Iterator[int]:
    """The numbers of the pages that are not zero in a stretch of memory."""
    for at in range(0, size, PAGE_BYTES):
        if raw.compare(address + at, _zero, PAGE_BYTES):
            yield at // PAGE_BYTES
