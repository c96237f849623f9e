"""How many bytes strangers may bring in an hour."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.errors import QuotaExceeded, TooLarge

if TYPE_CHECKING:
    from hyperbeam_trio.cache.item_source import ItemSource
    from hyperbeam_trio.crypto.item_header import ItemHeader
    from hyperbeam_trio.node import Node

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE


class Quota:
    """Bytes that came within the last hour, added up by the minute."""

    def __init__(self) -> None:
        self._minutes: dict[int, int] = {}

    @property
    def used(self) -> int:
        """Bytes of the last hour."""
        return sum(self._recent().values())

    def take(self, size: int, limit: int) -> None:
        """Count `size` bytes, if they are within `limit` an hour; a limit of 0 is none.

        Raises `QuotaExceeded` (429), which says after how many seconds there is room for them, and
        `TooLarge` (413) for what never has room.
        """
        if limit and size > limit:
            raise TooLarge(f"This node takes uploads of {limit} bytes in an hour, not of {size}.")
        over = self.used + size - limit
        if limit and over > 0:
            raise QuotaExceeded(
                f"This node takes uploads of {limit} bytes in an hour, and has had {self.used}.",
                self._wait(over),
            )
        self.count(size)

    def count(self, size: int) -> None:
        """Count bytes that have come in any case."""
        minute = int(trio.current_time() // MINUTE)
        recent = self._recent()
        self._minutes = {**recent, minute: recent.get(minute, 0) + size}

    def _recent(self) -> dict[int, int]:
        first = trio.current_time() - HOUR
        return {m: size for m, size in self._minutes.items() if (m + 1) * MINUTE > first}

    def _wait(self, over: int) -> int:
        """Seconds until `over` of the bytes are an hour ago."""
        for minute, size in self._recent().items():
            over -= size
            if over <= 0:
                return math.ceil((minute + 1) * MINUTE + HOUR - trio.current_time())
        return HOUR


class Admission:
    """What one upload takes of the quota of its node; `length` is what its sender announced.

    Who says that it is by one who may write anyway is let in, and counted if that turns out false.
    """

    def __init__(self, header: ItemHeader, length: int | None, node: Node) -> None:
        self._node = node
        self._length = length
        writers = {node.operator, node.address, *node.config.cache_writers}
        self._is_stranger = not (header.is_signed and header.address in writers)
        if length is not None:
            self._take(length)

    def _take(self, size: int) -> None:
        if self._is_stranger:
            self._node.uploads.take(size, self._node.config.upload_quota)

    async def counted(
        self, begun: bytes, chunks: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """The chunks behind `begun`; where no length was announced they count one by one.

        Close it when you stop early.
        """
        if self._length is None:
            self._take(len(begun))
        async for chunk in chunks:
            if self._length is None:
                self._take(len(chunk))
            yield chunk

    @contextmanager
    def storing(self, source: ItemSource) -> Iterator[None]:
        """While what comes is stored; it was false if this is left by an error."""
        settled = False
        try:
            yield
            settled = True
        finally:
            if not settled and not self._is_stranger:
                self._node.uploads.count(source.taken)
