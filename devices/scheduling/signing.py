"""Signatures that take milliseconds, made in threads while the event loop goes on (spec/09 §3).

A thread that was sent for one draft goes on with the next ones, so that a busy scheduler pays no
hop to a thread per signature, and the loop is only woken for the draft that it waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from hyperbeam_trio.devices.scheduling.assignment import Draft

Signatures = Sequence[bytes]
"""One of each wallet that signs."""

TURN: Final = 32
"""Drafts that a thread signs before it lets others have its place."""


class Order:
    """A draft that is to be signed, and its `signatures` once it is."""

    __slots__ = ("draft", "signatures")

    def __init__(self, draft: Draft, signatures: Signatures | None = None) -> None:
        self.draft = draft
        self.signatures = signatures


class DraftSigners:
    """Signs drafts in their order, as many at once as `limiter` has places."""

    def __init__(self, sign: Callable[[Draft], Signatures], limiter: trio.CapacityLimiter) -> None:
        self._sign = sign
        self._limiter = limiter
        self._orders: deque[Order] = deque()
        self._resting = trio.lowlevel.ParkingLot()
        self._awaited: Order | None = None
        self._arrived = trio.Event()

    def order(self, draft: Draft) -> Order:
        """Have a draft signed soon."""
        order = Order(draft)
        self._orders.append(order)
        self._resting.unpark()
        return order

    def clear(self) -> None:
        """Forget what nobody has begun to sign yet."""
        self._orders.clear()

    async def signed(self, order: Order) -> None:
        """Wait until `order` is signed; one task may wait at a time."""
        while order.signatures is None:
            self._arrived = trio.Event()
            self._awaited = order
            # A thread that has just signed it may not have seen yet that it is awaited.
            if order.signatures is None:
                await self._arrived.wait()
        self._awaited = None

    async def run(self) -> None:
        """Sign until cancelled."""
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            for _ in range(int(self._limiter.total_tokens)):
                nursery.start_soon(self._serve, token)

    async def _serve(self, token: trio.lowlevel.TrioToken) -> None:
        while True:
            while not self._orders:
                await self._resting.park()
            await trio.to_thread.run_sync(self._sign_some, token, limiter=self._limiter)

    def _sign_some(self, token: trio.lowlevel.TrioToken) -> None:
        """The work of a thread: what it shares with the loop is only set, never taken back."""
        for _ in range(TURN):
            try:
                order = self._orders.popleft()
            except IndexError:
                return
            order.signatures = self._sign(order.draft)
            if order is self._awaited:
                token.run_sync_soon(self._announce)

    def _announce(self) -> None:
        self._arrived.set()
