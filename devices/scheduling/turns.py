"""Turns among the nodes that schedule for one process in one far store.

The store decides who has a slot, so nothing here is needed for that. But where every key costs a
round trip, a group of messages takes many, and nodes that write theirs at once take slots from
under each other and do most of their work twice. So a node holds the process's turn while it writes
a group. A holder that died is passed over; whoever passes it over wrongly, or knows nothing of
turns, only costs time.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.store import Store

T = TypeVar("T")

log = logging.getLogger("hyperbeam_trio.scheduler")

_TURNS: Final = "turn"
LOOK_SECONDS: Final = 0.02
"""Between two looks of a node that waits."""
COURTESY_SECONDS: Final = 0.045
"""A node among several lets them look before it takes the next turn."""
STALE_SECONDS: Final = 3.0
"""A holder that has held its turn longer than this is taken for dead."""
RIVAL_SECONDS: Final = 10.0
"""How long nodes that were met are thought to be there still."""


class Turns:
    """This node's turns at one process. Its keys lie beside what is copied, verified and kept."""

    def __init__(self, store: Store, process: str) -> None:
        self._store = store
        self._key = f"{_TURNS}/{process}"
        self._hint = f"{_TURNS}/{process}/newest"
        self._held = False
        self._left_at = self._met_at = -RIVAL_SECONDS

    async def take(self) -> None:
        """Return when it is this node's turn; at once if it is already. Raises as the store."""
        if self._held:
            return
        now = trio.current_time()
        if now - self._met_at < RIVAL_SECONDS and now - self._left_at < COURTESY_SECONDS:
            await trio.sleep_until(self._left_at + COURTESY_SECONDS)
        own = secrets.token_hex(8).encode()
        while not await self._store.create(self._key, own):
            self._met_at = trio.current_time()
            await self._wait()
        self._held = True

    async def _wait(self) -> None:
        """Return when the turn is free; one that is held for too long is taken away."""
        holder = None
        while (found := await self._store.get_current(self._key)) is not None:
            if found != holder:
                holder, since = found, trio.current_time()
            elif trio.current_time() - since > STALE_SECONDS:
                await self._store.delete([self._key])
            await trio.sleep(LOOK_SECONDS)

    def met_others(self) -> None:
        """Somebody else has written to the schedule."""
        self._met_at = trio.current_time()

    async def leave(self, newest: int) -> None:
        """End this node's turn, if it has one; slot `newest` is there for sure.

        Trouble is told, not raised: the slots are written, and the others wait for a while only.
        """
        if not self._held:
            return
        self._held = False
        self._left_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._try, self._store.put, {self._hint: b"%d" % newest})
            nursery.start_soon(self._try, self._store.delete, [self._key])

    async def _try(self, change: Callable[[T], Awaitable[None]], argument: T) -> None:
        try:
            await change(argument)
        except HyperbeamError as error:
            log.warning("The turn at %s was not ended as it should be: %s", self._key, error.text)

    async def newest(self) -> int:
        """A slot that was written at the end of some turn, -1 if none is told."""
        found = await self._store.get_current(self._hint)
        return int(found) if found is not None and found.isdigit() else -1
