"""Request bodies of HTTP/1: `BodyReader`s over a `Line` (RFC 9112 §6)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import trio

from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.http.chunked import ChunkDecoder
from hyperbeam_trio.http.fields import CHUNKED, Fields
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.line import Line
from hyperbeam_trio.http.patience import Patience
from hyperbeam_trio.http.wire import CONTINUE

DISCARD_BYTES = 64 * 1024
"""What is read of a body that nobody wanted, to keep its connection."""
LARGE_READ = 1024 * 1024
"""What is read in one go of a body of which so much has come already."""


class Body(ABC):
    """A request's body. `ended`: all of it was read."""

    ended = True

    @property
    def reusable(self) -> bool:
        """Whether its connection may go on, as far as one can tell by now."""
        return True

    @abstractmethod
    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in parts as they arrive."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    @abstractmethod
    async def __anext__(self) -> bytes: ...

    @abstractmethod
    async def finish(self) -> bool:
        """Swallow a little that was not read; whether another request can follow."""


class NoBody(Body):
    """The body of a request that has none."""

    async def read(self, limit: int) -> bytes:
        """Nothing."""
        return b""

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def finish(self) -> bool:
        """Yes: another request can follow."""
        return True


NO_BODY = NoBody()


class LineBody(Body):
    """A body that is still on its line; subclasses know where it ends."""

    def __init__(self, line: Line, limits: Limits, expects_continue: bool) -> None:
        self.ended = False
        self._sound = True
        self._line = line
        self._limit = limits.body_bytes
        self._patience = Patience(limits)
        self._received = 0
        self._expects_continue = expects_continue

    @property
    def reusable(self) -> bool:
        """Whether it is well so far, and the peer knows whether to send it."""
        return self._sound and not self._expects_continue

    @abstractmethod
    async def _next(self) -> bytes:
        """The next part; it sets `ended` with the last one, which may be empty."""

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        bound = min(limit, self._limit)
        parts = []
        while not self.ended:
            parts.append(await self._bounded(bound))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def __anext__(self) -> bytes:
        while not self.ended:
            part = await self._bounded(self._limit)
            if part:
                return part
        raise StopAsyncIteration

    async def _bounded(self, bound: int) -> bytes:
        try:
            await self._invite()
            part = await self._next()
        except BadRequest:
            self._sound = False
            raise
        self._received += len(part)
        if self._received > bound:
            self._sound = False
            raise TooLarge(f"The body is longer than {bound} bytes.")
        return part

    async def _invite(self) -> None:
        if self._expects_continue:
            self._expects_continue = False
            if not self._line.held:
                await self._line.send(CONTINUE)

    async def _take(self) -> bytes:
        data = self._line.held
        if not data:
            most = LARGE_READ if self._received > LARGE_READ else None
            return await self._line.receive_body(self._patience, most)
        self._line.held = b""
        await trio.lowlevel.checkpoint_if_cancelled()
        return data

    async def finish(self) -> bool:
        """Swallow a little that was not read; whether another request can follow."""
        bound = self._received + DISCARD_BYTES
        try:
            while self.reusable and not self.ended:
                await self._bounded(bound)
        except (BadRequest, TooLarge):
            return False
        return self.reusable


class LengthBody(LineBody):
    """A body of `length` bytes, above zero."""

    def __init__(self, line: Line, limits: Limits, fields: Fields) -> None:
        super().__init__(line, limits, fields.expects_continue)
        self._left = fields.length

    @property
    def reusable(self) -> bool:
        """Whether it is well so far, and little enough is left to swallow."""
        return super().reusable and self._left <= DISCARD_BYTES

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes; a longer one is refused before it is read."""
        if self._left > limit:
            raise TooLarge(f"The body is longer than {limit} bytes.")
        return await super().read(limit)

    async def _next(self) -> bytes:
        data = await self._take()
        if len(data) > self._left:
            data, self._line.held = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.ended = not self._left
        return data


class ChunkedBody(LineBody):
    """A body in the chunked transfer coding."""

    def __init__(self, line: Line, limits: Limits, fields: Fields) -> None:
        super().__init__(line, limits, fields.expects_continue)
        self._decoder = ChunkDecoder()

    async def _next(self) -> bytes:
        data = self._decoder.feed(await self._take())
        if self._decoder.ended:
            self.ended = True
            self._line.held = self._decoder.rest
        return data


def open_body(fields: Fields, line: Line, limits: Limits) -> Body:
    """The reader of the body that `fields` announce."""
    if fields.length == CHUNKED:
        return ChunkedBody(line, limits, fields)
    return LengthBody(line, limits, fields) if fields.length else NO_BODY
