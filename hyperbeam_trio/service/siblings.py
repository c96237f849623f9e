"""What the worker processes of one node ask each other (`--processes N`).

Each listens at a socket of its own, in a directory that only the node's user can enter. The
supervisor holds these sockets, so a question to a worker that is being replaced waits for the one
that takes its place. A question is a line; the answer is what comes until the end.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio

from hyperbeam_trio.errors import HyperbeamError, RemoteError

log = logging.getLogger("hyperbeam_trio.node")

SECONDS: Final = 2.0
"""So long all others together may take to answer a question that they are all asked."""
LONGEST_QUESTION: Final = 4096
LONGEST_ANSWER: Final = 16 << 20

Answer = Callable[[str], Awaitable[bytes]]
"""The answer to a question, and nothing where there is none."""


class Siblings:
    """The `count` workers of a node as worker `number` knows them; it listens at `listening`."""

    def __init__(self, number: int, count: int, place: Path, listening: socket.socket) -> None:
        self.number = number
        self._count = count
        self._place = place
        self._listening = listening

    async def serve(
        self,
        answer: Answer,
        *,
        task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer the others until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listening))
        handler = partial(_reply, answer)
        await trio.serve_listeners(handler, [listener], task_status=task_status)

    async def ask(self, number: int, question: str) -> bytes:
        """The answer of one worker, however long it takes; `RemoteError` if it does not come.

        Empty where the worker has none, or ends before it gives it.
        """
        received = b""
        try:
            async with await trio.open_unix_socket(place_of(self._place, number)) as stream:
                await stream.send_all(question.encode() + b"\n")
                async for chunk in stream:
                    received += chunk
                    if len(received) > LONGEST_ANSWER:
                        raise RemoteError(f"Worker {number} answers without end.")
        except trio.BrokenResourceError:
            return b""
        except OSError as error:
            raise RemoteError(f"Worker {number} can't be asked: {error}.") from error
        return received

    async def ask_others(self, question: str) -> dict[int, bytes]:
        """The answers of all others that give one in time, by their numbers."""
        answers: dict[int, bytes] = {}

        async def ask_one(number: int) -> None:
            try:
                answers[number] = await self.ask(number, question)
            except RemoteError as error:
                log.warning("%s", error.text)

        with trio.move_on_after(SECONDS):
            async with trio.open_nursery() as nursery:
                for number in range(self._count):
                    if number != self.number:
                        nursery.start_soon(ask_one, number)
        return {number: answer for number, answer in answers.items() if answer}


def place_of(place: Path, number: int) -> str:
    """Where a worker listens."""
    return str(place / str(number))


async def _reply(answer: Answer, stream: trio.SocketStream) -> None:
    async with stream:
        try:
            question = await _line(stream)
            if question is not None:
                await stream.send_all(await answer(question))
        except HyperbeamError as error:
            log.warning("Another process of this node got no answer: %s", error.text)
        except (trio.BrokenResourceError, UnicodeDecodeError) as error:
            log.info("Another process of this node went away: %s", error)


async def _line(stream: trio.SocketStream) -> str | None:
    received = b""
    while b"\n" not in received:
        chunk = await stream.receive_some()
        received += chunk
        if not chunk or len(received) > LONGEST_QUESTION:
            return None
    return received.partition(b"\n")[0].decode()
