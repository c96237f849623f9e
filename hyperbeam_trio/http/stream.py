"""A stream that gives back bytes already read, and does not wait for ever for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import trio

PART_BYTES = 64 * 1024


def parts(data: bytes | bytearray | memoryview) -> Iterator[bytes | bytearray | memoryview]:
    """`data` in pieces of at most `PART_BYTES`, without copies."""
    if len(data) <= PART_BYTES:
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(data), PART_BYTES):
        yield view[start : start + PART_BYTES]


class DoorStream(trio.abc.Stream):
    """A byte stream for those that take over a connection.

    `prefix` is what was read before and is read again first. Each 64 KiB that the peer does not
    take within `write_seconds` raise `trio.BrokenResourceError`, even where the sender is
    shielded from cancellation, as hypercorn's is. `socket` is the transport's.
    """

    def __init__(self, stream: trio.abc.Stream, prefix: bytes, write_seconds: float) -> None:
        self._stream = stream
        self._prefix = prefix
        self._write_seconds = write_seconds
        self.socket: Any = getattr(stream, "socket", None)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; empty at the end."""
        if not self._prefix:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        size = len(self._prefix) if max_bytes is None else max_bytes
        data, self._prefix = self._prefix[:size], self._prefix[size:]
        return data

    async def peek(self) -> bytes:
        """The next bytes, which will be read again; empty at the end."""
        self._prefix = await self.receive_some(PART_BYTES)
        return self._prefix

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or break when the peer does not read."""
        for part in parts(data):
            with trio.move_on_after(self._write_seconds) as scope:
                await self._stream.send_all(part)
            if scope.cancelled_caught:
                await trio.aclose_forcefully(self._stream)
                raise trio.BrokenResourceError(
                    f"the peer took no bytes for {self._write_seconds} s"
                )

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream below."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent, where the stream below can."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()


class SecureDoorStream(DoorStream):
    """A `DoorStream` over TLS that was agreed on, which hypercorn shall know for what it is."""

    def __init__(
        self, stream: trio.SSLStream[DoorStream], prefix: bytes, write_seconds: float
    ) -> None:
        super().__init__(stream, prefix, write_seconds)
        self.transport_stream = stream.transport_stream

    async def do_handshake(self) -> None:
        """Nothing: it was done."""
        await trio.lowlevel.checkpoint()

    def selected_alpn_protocol(self) -> str:
        """HTTP/1.1, in which the bytes to be read again were understood."""
        return "http/1.1"


def take_over(stream: trio.abc.Stream, prefix: bytes, write_seconds: float) -> DoorStream:
    """A `DoorStream` of the kind that fits `stream`."""
    if isinstance(stream, trio.SSLStream):
        return SecureDoorStream(stream, prefix, write_seconds)
    return DoorStream(stream, prefix, write_seconds)
