"""A Trio stream over a plain non-blocking socket, for servers that count microseconds."""

from __future__ import annotations

import socket

import trio

READ_BYTES = 64 * 1024


class SocketStream(trio.abc.HalfCloseableStream):
    """What `trio.SocketStream` is, at half its price for short answers (spec/09 §2).

    It receives after one wait and sends without any while the kernel takes the bytes. So
    `send_all` is a checkpoint only when it has to wait: who sends in a loop yields by itself.
    One task may receive and another send; nobody checks that there are not two.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; empty at the end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self.socket)
                return self.socket.recv(max_bytes or READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise self._broken(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Hand all of `data` to the kernel."""
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except (OSError, ValueError) as error:
            raise self._broken(error) from error
        if sent < len(data):
            await self._send_rest(memoryview(data)[sent:])

    async def _send_rest(self, rest: memoryview) -> None:
        while rest:
            try:
                await trio.lowlevel.wait_writable(self.socket)
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                continue
            except (OSError, ValueError) as error:
                raise self._broken(error) from error

    def _broken(self, error: OSError | ValueError) -> Exception:
        if self.socket.fileno() == -1:
            return trio.ClosedResourceError("the connection was closed on this side")
        return trio.BrokenResourceError(f"the connection broke: {error}")

    async def wait_send_all_might_not_block(self) -> None:
        """Until the kernel takes bytes."""
        try:
            await trio.lowlevel.wait_writable(self.socket)
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close without waiting; tasks that wait for the socket get `ClosedResourceError`."""
        if self.socket.fileno() != -1:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()

    async def aclose(self) -> None:
        """Close."""
        self.close()
        await trio.lowlevel.checkpoint()
