"""Snapshots of a guest's memory, page by page (spec/06 §1.5, §7.6).

A page is 64 KiB, named by the sha256 of its content, so that a store keeps an unchanged page once.
Comparing with the last snapshot goes at memory speed; only pages that changed are copied and
hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES

ZERO_PAGE = bytes(PAGE_BYTES)
ZERO_DIGEST = hashlib.sha256(ZERO_PAGE).digest()
BLOCK_BYTES = 16 * PAGE_BYTES
"""Compared as one first: most of a memory has not changed, and a difference ends a comparison."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The memory of a guest between two calls, as the sha256 digests of its pages in order.

    `changed` numbers the pages that differ from the snapshot before it (for the first: that are
    not zero).
    """

    pages: tuple[bytes, ...]
    changed: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return len(self.pages) * PAGE_BYTES


class Snapshots:
    """Successive snapshots of one instance; keeps a copy of its memory to compare with."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._copy = bytearray()
        self._digests: list[bytes] = []

    def take(self) -> Snapshot:
        """A snapshot of the memory as it is now; one thread at a time, not while the guest runs.

        Blocks: about 50 us a MiB, plus 35 us for each page that changed. Raises
        `StateOutsideMemory` (500) if the guest holds state that the snapshot would lose.
        """
        self._instance.outside.require_none()
        memory = self._instance.memory
        if memory is None:
            return Snapshot((), ())
        self._extend(memory.size)
        base, kept = memory.base, raw.address_of(self._copy)
        changed = tuple(differing_pages(base, kept, len(self._copy)))
        for number in changed:
            at = number * PAGE_BYTES
            raw.copy(kept + at, base + at, PAGE_BYTES)
            self._digests[number] = hashlib.sha256(self._page_view(number)).digest()
        return Snapshot(tuple(self._digests), changed)

    def page(self, number: int) -> bytes:
        """The content of a page in the newest snapshot."""
        return bytes(self._page_view(number))

    def body(self) -> bytes:
        """The whole memory in the newest snapshot: the `body` of the state form."""
        return bytes(self._copy)

    def _extend(self, size: int) -> None:
        missing = size - len(self._copy)
        if self._copy:
            self._copy += bytes(missing)
        else:
            # Zeros that cost nothing until they are touched.
            self._copy = bytearray(size)
        self._digests += [ZERO_DIGEST] * (missing // PAGE_BYTES)

    def _page_view(self, number: int) -> memoryview:
        return memoryview(self._copy)[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]


def differing_pages(one: int, other: int, size: int) -> Iterator[int]:
    """Numbers of the pages that differ between two stretches of memory at these addresses."""
    compare = raw.compare
    for block in range(0, size, BLOCK_BYTES):
        length = min(BLOCK_BYTES, size - block)
        if not compare(one + block, other + block, length):
            continue
        for at in range(block, block + length, PAGE_BYTES):
            if compare(one + at, other + at, PAGE_BYTES):
                yield at // PAGE_BYTES


def copy_memory(instance: Instance, into: bytearray) -> None:
    """Copy the whole memory of `instance` into a buffer, which is brought to its size.

    The fastest way to keep a way back when the same buffer is used again: 40 us a MiB, against
    ten times as much for fresh memory. Raises `StateOutsideMemory` like `Snapshots.take`.
    """
    instance.outside.require_none()
    memory = instance.memory
    size = memory.size if memory else 0
    if len(into) < size:
        into += bytes(size - len(into))
    del into[size:]
    if memory is not None:
        raw.copy(raw.address_of(into), memory.base, size)
