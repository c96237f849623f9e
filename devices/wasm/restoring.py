"""Putting a snapshot back into a new instance (spec/06 §1.5).

A new instance's memory is zero outside of its data segments, and costs nothing until it is
touched; so only pages that are not zero are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyperbeam_trio.devices.wasm import raw
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.layout import PAGE_BYTES
from hyperbeam_trio.devices.wasm.memory import Memory
from hyperbeam_trio.devices.wasm.snapshot import ZERO_PAGE
from hyperbeam_trio.errors import BadRequest

_zero = raw.address_of(ZERO_PAGE)


def restore(instance: Instance, body: bytes | bytearray, *, own: bool = True) -> None:
    """Make `body`, a whole memory, the memory of `instance`; grows it if need be.

    `own=False` is for snapshots that another node took: the reference's engine appends one page of
    its own to a memory, so a body that is one page longer than the memory is cut, not grown into.
    Raises `BadRequest` for a body that can't be this module's memory and `GuestLimit` if it does
    not fit the limits. Blocks: about 25 ms for 64 MiB, nearly all of it the kernel's page faults.
    """
    size = len(body)
    memory = instance.memory
    if memory is not None and not own and size == memory.size + PAGE_BYTES:
        size = memory.size
    _restore(instance, size, _pages_with_content(raw.address_of(body), size))


def restore_pages(instance: Instance, size: int, pages: Iterable[tuple[int, bytes]]) -> None:
    """The same from numbered pages of 64 KiB; all other pages of `size` bytes are zero."""
    _restore(instance, size, ((number, raw.address_of(page)) for number, page in _checked(pages)))


def _checked(pages: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for number, page in pages:
        if len(page) != PAGE_BYTES:
            raise BadRequest(
                f"Page {number} of a snapshot has {len(page)} bytes, not {PAGE_BYTES}."
            )
        yield number, page


def _pages_with_content(source: int, size: int) -> Iterator[tuple[int, int]]:
    for at in range(0, size, PAGE_BYTES):
        if raw.compare(source + at, _zero, PAGE_BYTES):
            yield at // PAGE_BYTES, source + at


def _restore(instance: Instance, size: int, pages: Iterable[tuple[int, int]]) -> None:
    """Write `pages` (number, address of the content), zero the rest."""
    memory = instance.memory
    if memory is None:
        if size:
            raise BadRequest(f"A snapshot of {size} bytes for a module without memory.")
        return
    if size % PAGE_BYTES or size < memory.size:
        raise BadRequest(f"A snapshot of {size} bytes does not fit a memory of {memory.size}.")
    stale = _pages_in_use(instance, memory)
    memory.grow_to(size)
    memory.touched = True
    base = memory.base
    for number, source in pages:
        if not 0 <= number < size // PAGE_BYTES:
            raise BadRequest(f"Page {number} is outside of a snapshot of {size} bytes.")
        raw.expect_write(base + number * PAGE_BYTES, PAGE_BYTES)
        raw.copy(base + number * PAGE_BYTES, source, PAGE_BYTES)
        stale.discard(number)
    for number in stale:
        raw.fill(base + number * PAGE_BYTES, 0, PAGE_BYTES)


def _pages_in_use(instance: Instance, memory: Memory) -> set[int]:
    """Pages that may hold something now, found without touching the others if possible."""
    initial = instance.image.initial_pages
    if initial is not None and not memory.touched:
        return set(initial)
    base = memory.base
    return {number for number, _ in _pages_with_content(base, memory.size)}
