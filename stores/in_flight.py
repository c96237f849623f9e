"""Counts the calls under way, so that closing can wait for them."""

from __future__ import annotations

import trio

from hyperbeam_trio.errors import StoreError


class InFlight:
    """`with in_flight:` around each call; `aclose` refuses new ones and waits for the others."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._calls = 0
        self._quiet = trio.Event()
        self.closed = False

    def check_open(self) -> None:
        """`StoreError` after `aclose`."""
        if self.closed:
            raise StoreError(f"store {self._place}: it is closed.")

    def __enter__(self) -> None:
        self.check_open()
        self._calls += 1

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if self.closed and not self._calls:
            self._quiet.set()

    async def aclose(self) -> None:
        """Wait for the calls under way, whatever is cancelled: each has a deadline of its own."""
        self.closed = True
        if self._calls:
            with trio.CancelScope(shield=True):
                await self._quiet.wait()
