"""One connection's bytes in and out, and how long the present wait may last."""

from __future__ import annotations

from enum import Enum
from math import inf

import trio

from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.head import HEAD_END, HeadBuffer
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.patience import Patience
from hyperbeam_trio.http.response import bad
from hyperbeam_trio.http.stream import parts
from hyperbeam_trio.http.watch import Watch


class Phase(Enum):
    """What a connection does; it decides what happens when its time is up."""

    IDLE = "idle"
    HEAD = "head"
    WORK = "work"
    BODY = "body"
    WRITE = "write"


class Line:
    """A stream, what was read ahead of it (`held`), and the time its present wait ends (`due`).

    `expire` cancels `scope`, which its owner holds around all its use; `expired` then tells the
    phase in which that happened.
    """

    __slots__ = ("_limits", "_watch", "due", "expired", "held", "phase", "scope", "stream")

    def __init__(self, stream: trio.abc.Stream, held: bytes, limits: Limits, watch: Watch) -> None:
        self.stream = stream
        self.held = held
        self.scope = trio.CancelScope()
        self.due = inf
        self.phase = Phase.IDLE
        self.expired: Phase | None = None
        self._limits = limits
        self._watch = watch

    def expire(self) -> None:
        """End the present wait."""
        self.expired = self.phase
        self.scope.cancel()

    def begin_work(self) -> None:
        """The node is at work, for as long as it takes."""
        self.phase = Phase.WORK
        self.due = inf

    async def wait_idle(self) -> bool:
        """Wait for the first bytes of a request; false when the peer has gone."""
        self.phase = Phase.IDLE
        self.due = self._watch.now + self._limits.idle_seconds
        self.held = bytes(await self.stream.receive_some())
        return bool(self.held)

    async def read_head(self) -> bytes:
        """The next head with its empty line, from `held` and what follows; empty at the end."""
        data = self.held
        end = data.find(HEAD_END) + len(HEAD_END)
        if end < len(HEAD_END) or end > self._limits.head_bytes or data[0] == 13:
            return await self._gather_head()
        self.held = data[end:]
        return data[:end]

    async def _gather_head(self) -> bytes:
        self.phase = Phase.HEAD
        self.due = self._watch.now + self._limits.head_seconds
        buffer = HeadBuffer(self._limits)
        piece = self.held
        while piece:
            found = buffer.feed(piece)
            if found is not None:
                head, self.held = found
                return head
            piece = bytes(await self.stream.receive_some())
        if buffer:
            raise bad("The connection ended within the head.")
        return b""

    async def receive_body(self, patience: Patience, most: int | None = None) -> bytes:
        """More of a body, within its patience; `BadRequest` at the end of the stream.

        At most `most` bytes, or as many as the stream likes to read.
        """
        self.phase = Phase.BODY
        self.due = patience.begin_wait()
        try:
            data = bytes(await self.stream.receive_some(most))
        except trio.BrokenResourceError:
            data = b""
        patience.end_wait(len(data))
        self.begin_work()
        if not data:
            raise BadRequest("The connection ended within the body.")
        return data

    async def send(self, data: bytes | memoryview) -> None:
        """Send, as long as the peer keeps taking it."""
        self.phase = Phase.WRITE
        for part in parts(data):
            self.due = self._watch.now + self._limits.write_seconds
            await self.stream.send_all(part)
        self.begin_work()
