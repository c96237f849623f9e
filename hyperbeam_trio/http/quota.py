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
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes of the last hour."""
        gone = trio.current_time() - HOUR
        while self._minutes and ((oldest := next(iter(self._minutes))) + 1) * MINUTE <= gone:
            self._used -= self._minutes.pop(oldest)
        return self._used

    def check(self, size: int, limit: int) -> None:
        """Whether there is room for `size` bytes within `limit` an hour; a limit of 0 is none.

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

    def take(self, size: int, limit: int) -> None:
        """Count `size` bytes; raises as `check` does."""
        self.check(size, limit)
        self.count(size)

    def count(self, size: int) -> None:
        """Count bytes that have come in any case."""
        self._used = self.used + size
        minute = int(trio.current_time() // MINUTE)
        self._minutes[minute] = self._minutes.get(minute, 0) + size

    def _wait(self, over: int) -> int:
        """Seconds until `over` of the bytes are an hour ago."""
        for minute, size in self._minutes.items():
            over -= size
            if over <= 0:
                return math.ceil((minute + 1) * MINUTE + HOUR - trio.current_time())
        return HOUR


class Admission:
    """What one upload takes of the quota of its node.

    It counts as it comes: what was only announced, perhaps never to be sent, takes nothing of what
    others may bring. But an announced `length` for which there is no room is refused at once. Who
    says that it is by one who may write anyway is let in, and counted if that turns out false.
    """

    def __init__(self, header: ItemHeader, length: int | None, node: Node) -> None:
        self._node = node
        writers = {node.operator, node.address, *node.config.cache_writers}
        self._is_stranger = not (header.is_signed and header.address in writers)
        if self._is_stranger and length is not None:
            node.uploads.check(length, node.config.upload_quota)

    def _take(self, size: int) -> None:
        if self._is_stranger:
            self._node.uploads.take(size, self._node.config.upload_quota)

    async def counted(
        self, begun: bytes, chunks: AsyncIterator[bytes]
    ) -> AsyncGenerator[bytes, None]:
        """The chunks behind `begun`, all of them counted. Close it when you stop early."""
        self._take(len(begun))
        async for chunk in chunks:
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
