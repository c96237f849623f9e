"""A request's body over ASGI's `receive`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import trio

from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.patience import Patience

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]


class AsgiBody:
    """A `BodyReader` over ASGI's `receive`, within the limits of size and patience."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._patience = Patience(limits)
        self._bound = limits.body_bytes
        self._received = 0
        self._early: Event | None = None
        self._watching = trio.CancelScope()
        self.ended = False

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        parts = []
        while part := await self._next(limit):
            parts.append(part)
        return b"".join(parts)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in parts as they arrive."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        part = await self._next(self._bound)
        if not part:
            raise StopAsyncIteration
        return part

    async def _next(self, limit: int) -> bytes:
        while not self.ended:
            event = await self._wait()
            part = bytes(event.get("body", b""))
            self._received += len(part)
            if self._received > min(limit, self._bound):
                raise TooLarge(f"The body is longer than {min(limit, self._bound)} bytes.")
            if part:
                return part
        return b""

    async def _wait(self) -> Event:
        self._watching.cancel()
        event, self._early = self._early, None
        if event is None:
            event = await self._receive_in_time()
        if event["type"] == "http.disconnect":
            self.ended = True
            raise BadRequest("The connection ended within the body.")
        self.ended = not event.get("more_body", False)
        return event

    async def _receive_in_time(self) -> Event:
        with trio.move_on_at(self._patience.begin_wait()):
            event = await self._receive()
            self._patience.end_wait(len(event.get("body", b"")))
            return event
        raise BadRequest("The body came too slowly.", status=408)

    async def disconnected(self) -> bool:
        """Wait until the client hangs up; false when there is a body to read before that."""
        with self._watching:
            while True:
                event = await self._receive()
                if event["type"] == "http.disconnect":
                    return True
                if event.get("body") or event.get("more_body"):
                    self._early = event
                    return False
                self.ended = True
        return False

    async def discard(self) -> None:
        """Swallow what is left: hypercorn stalls on a queue that nobody empties."""
        while not self.ended:
            event = await self._receive()
            self.ended = event["type"] == "http.disconnect" or not event.get("more_body", False)
