"""Several worker processes on one port: `--processes N` (spec/09 §3).

Each worker has a listening socket of its own on the common port, and the kernel deals out the
connections: from one common socket the worker that wakes first would take nearly all. The
supervisor holds all the sockets, so when a worker dies, what waits at its socket waits for the
next one. The workers hold no truth in memory. They are started as new programs, not forked: a
fork could not open a store that its parent has open.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

import trio

from hyperbeam_trio.errors import ConfigError, NodeError
from hyperbeam_trio.http.listener import BACKLOG, open_sockets
from hyperbeam_trio.service.siblings import Siblings, place_of

log = logging.getLogger("hyperbeam_trio.http")

Command = Callable[["Inheritance"], Sequence[str]]

STABLE_SECONDS = 5.0
"""A worker that lives shorter counts as one that can't start."""

FALSE_STARTS = 5
"""So many of them in a row end the whole."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """File descriptors that a worker gets, under the same numbers as in its parent.

    `sockets` listen; `lifeline` is a pipe that ends when the parent does. `number` is the worker's
    own, from 0 on; the one that takes a dead worker's place has its number. At the socket `asked`
    the workers, which are `count`, listen to each other; the directory `place` has them all.
    """

    sockets: tuple[int, ...]
    lifeline: int
    number: int = 0
    count: int = 1
    asked: int = -1
    place: str = ""

    @classmethod
    def read(cls, text: str) -> Inheritance:
        """In the worker: what `as_text` gave in its parent."""
        sockets, lifeline, number, count, asked, place = text.split(":", 5)
        fds = tuple(map(int, sockets.split(",")))
        return cls(fds, int(lifeline), int(number), int(count), int(asked), place)

    def as_text(self) -> str:
        """All of it in one argument."""
        numbers = (self.lifeline, self.number, self.count, self.asked)
        return ":".join([",".join(map(str, self.sockets)), *map(str, numbers), self.place])

    def siblings(self) -> Siblings:
        """In the worker: the others."""
        listening = socket.socket(fileno=self.asked)
        return Siblings(self.number, self.count, Path(self.place), listening)

    def open_sockets(self) -> list[socket.socket]:
        """In the worker: the sockets, for `serve(…, sockets=…)`."""
        return [socket.socket(fileno=fd) for fd in self.sockets]

    async def wait_orphaned(self) -> None:
        """In the worker: return when the parent has died without a word."""
        await trio.lowlevel.wait_readable(self.lifeline)
        if self.place:
            shutil.rmtree(self.place, ignore_errors=True)


async def open_shares(host: str | None, port: int, processes: int) -> list[list[socket.socket]]:
    """Sockets that listen on `port` of `host`, a list for each worker; `ConfigError` as ever."""
    # The first are exclusive, so that a port in use is an error and not shared with a stranger.
    first = await open_sockets(host, port)
    names = [(sock.family, sock.getsockname()) for sock in first]
    for sock in first:
        sock.close()
    return [[_share(family, name) for family, name in names] for _ in range(processes)]


def _share(family: int, name: tuple[str, int]) -> socket.socket:
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(name)
    sock.listen(BACKLOG)
    return sock


@dataclass(slots=True)
class Supervisor:
    """Keeps a worker alive for each inheritance, started with `command(inheritance)`."""

    command: Command
    inheritances: Sequence[Inheritance]
    grace_seconds: float
    failure: NodeError | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until `scope` is cancelled; then every worker gets SIGTERM and is waited for."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                for inheritance in self.inheritances:
                    nursery.start_soon(self._keep_one, inheritance)
                task_status.started()
        if self.failure is not None:
            raise self.failure

    async def _keep_one(self, inheritance: Inheritance) -> None:
        false_starts = 0
        while True:
            begun = trio.current_time()
            code = await self._run_one(inheritance)
            lived = trio.current_time() - begun
            false_starts = false_starts + 1 if lived < STABLE_SECONDS else 0
            if false_starts >= FALSE_STARTS:
                self.failure = NodeError(f"The workers can't start; the last ended with {code}.")
                self.scope.cancel()
            log.warning("a worker ended with %d after %.1f s; starting another", code, lived)
            await trio.sleep(0.1 * 2**false_starts if false_starts else 0)

    async def _run_one(self, inheritance: Inheritance) -> int:
        inherited = [*inheritance.sockets, inheritance.lifeline, inheritance.asked]
        argv = list(self.command(inheritance))
        process = await trio.lowlevel.open_process(argv, pass_fds=inherited)
        try:
            return await process.wait()
        finally:
            with trio.CancelScope(shield=True):
                await self._end(process)

    async def _end(self, process: trio.Process) -> None:
        if process.poll() is None:
            process.terminate()
        with trio.move_on_after(self.grace_seconds):
            await process.wait()
        if process.poll() is None:
            log.error("worker %d did not stop in time", process.pid)
            process.kill()
            await process.wait()


async def supervise(
    command: Command,
    shares: Sequence[Sequence[socket.socket]],
    *,
    grace_seconds: float = inf,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a worker for each of `shares`, until SIGTERM, SIGINT or cancellation.

    `command` makes a worker's argument vector. A worker that ends is replaced. At the end all get
    SIGTERM and `grace_seconds` to finish. `NodeError` when workers end as soon as they start.
    Call it in the main thread; nothing of the node may be open in this process but these.
    """
    lifeline, held = os.pipe()
    place = tempfile.TemporaryDirectory(prefix="hyperbeam-trio-", ignore_cleanup_errors=True)
    asked = [_asked(Path(place.name), number) for number in range(len(shares))]
    inheritances = [
        Inheritance(
            tuple([sock.fileno() for sock in share]),
            *(lifeline, number, len(shares), asked[number].fileno(), place.name),
        )
        for number, share in enumerate(shares)
    ]
    supervisor = Supervisor(command, inheritances, grace_seconds)
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_at_signal, signals, supervisor.scope)
                await supervisor.run(task_status)
                nursery.cancel_scope.cancel()
    except* NodeError as errors:
        raise errors.exceptions[0] from None
    finally:
        os.close(lifeline)
        os.close(held)
        for sock in asked:
            sock.close()
        place.cleanup()


def _asked(place: Path, number: int) -> socket.socket:
    """The socket at which the others ask worker `number`."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(place_of(place, number))
    except OSError as error:
        raise ConfigError(f"Processes can't talk to each other in {place}: {error}.") from error
    sock.listen(BACKLOG)
    return sock


async def _stop_at_signal(signals: AsyncIterable[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
