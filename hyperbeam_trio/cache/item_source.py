"""The bytes of an upload, asked for by number, on their way into a store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hyperbeam_trio.cache.intake import Intake, Sinks
from hyperbeam_trio.errors import BadRequest, TooLarge


class ItemSource:
    """What `begun` holds and `chunks` bring, at most `most` bytes in all."""

    def __init__(self, begun: bytes, chunks: AsyncIterator[bytes], most: int) -> None:
        self._held = memoryview(begun)
        self._chunks = chunks
        self._left = most
        self._most = most
        self._spend(len(begun))

    @property
    def taken(self) -> int:
        """Bytes that have come so far."""
        return self._most - self._left

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(f"The item is longer than {self._most} bytes.")

    async def _fill(self) -> bool:
        """Have some bytes at hand, unless all are gone."""
        while not self._held:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return False
            self._spend(len(chunk))
            self._held = memoryview(chunk)
        return True

    async def take(self, size: int) -> bytes:
        """The next `size` bytes; `BadRequest` if there are not as many."""
        taken = bytearray()
        while len(taken) < size:
            if not await self._fill():
                raise BadRequest(f"The item ends {size - len(taken)} bytes too early.")
            piece = self._held[: size - len(taken)]
            taken += piece
            self._held = self._held[len(piece) :]
        return bytes(taken)

    async def store(self, intake: Intake, sinks: Sinks, size: int | None = None) -> None:
        """Hand the next `size` bytes, or all that come, to `intake`."""
        left = size
        while left is None or left > 0:
            if not await self._fill():
                if left is None:
                    return
                raise BadRequest(f"The item ends {left} bytes too early.")
            piece = self._held if left is None else self._held[:left]
            self._held = self._held[len(piece) :]
            await intake.add(piece, sinks)
            left = None if left is None else left - len(piece)

    async def expect_end(self) -> None:
        """`BadRequest` if anything follows."""
        if await self._fill():
            raise BadRequest("The item goes on behind what the index of its bundle lists.")
