"""The tasks of `cron@1.0`: kept in the store, run by one process of the node (spec/05 §8).

A task is a record under the name `cron@1.0/NODE/ID`: `request`, and `interval` in milliseconds, 0
for once. Nodes on one store have tasks of their own, by their addresses. A run that was under way
when the node died is made again.
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from hyperbeam_trio.errors import Busy, DeadlineExceeded, HyperbeamError, StoreError
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.service.registry import TaskRegistry

log = logging.getLogger("hyperbeam_trio.cron")

LOOK_SECONDS: Final = 1.0
"""How often the process that runs the tasks looks for those that other processes were given."""
_LONGEST_PAUSE: Final = 3600.0
"""Seconds to which the pauses of a task that keeps failing grow."""
_WATCH: Final = "cron@1.0"


class Timers:
    """The tasks of one node. In a node of several processes the first one runs them all."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._running = TaskRegistry(node.workers, "cron")
        self._prefix = prefix_of(node)

    async def add(self, id: str, request: Message, interval: int) -> None:
        """Keep a task and start it; one that is kept already goes on as it is.

        Raises `Busy` beyond option `cron-max-tasks`.
        """
        if await self._kept(id) is not None:
            return
        if len(await self._active()) >= self._node.config.cron_max_tasks:
            raise Busy(f"{self._node.config.cron_max_tasks} tasks exist; no more can start now.")
        record = Message.of({"request": request, "interval": interval})
        await self._node.cache.write(record, names=[self._prefix + id])
        if self._node.leads:
            await self._start(id, record)

    async def stop(self, id: str) -> bool:
        """End a task; false if there is none of that id."""
        if await self._kept(id) is None:
            return False
        await end(id, self._node)
        self._running.stop(id)
        return True

    async def resume(self) -> list[str]:
        """Start what is kept and does not run; the ids of those tasks."""
        if not self._node.leads:
            return []
        if self._node.config.processes > 1:
            await self._node.services.ensure(_WATCH, self._watch)
        return await self._start_missing()

    async def _watch(self, task_status: trio.TaskStatus[Timers]) -> None:
        task_status.started(self)
        while True:
            await trio.sleep(LOOK_SECONDS)
            try:
                await self._start_missing()
                for id in set(self._running.names()).difference(await self._active()):
                    self._running.stop(id)
            except HyperbeamError as error:
                log.warning("Tasks could not be looked for: %s", error.text)

    async def _start_missing(self) -> list[str]:
        started = []
        for id, record in (await self._active()).items():
            if id not in self._running.names():
                await self._start(id, record)
                started.append(id)
        return started

    async def _start(self, id: str, record: Message) -> None:
        request, interval = record.message("request"), record.int("interval")
        try:
            await self._running.ensure(id, Task(id, request, interval, self._node).run)
        except Busy as error:
            log.warning("Task %s can't start: %s", id, error.text)

    async def _active(self) -> dict[str, Message]:
        """The tasks that are kept and have not ended, by their ids."""
        names = await self._node.cache.names(self._prefix)
        ids = [name.removeprefix(self._prefix) for name in names]
        found = {id: await self._kept(id) for id in ids}
        return {id: record for id, record in found.items() if record is not None}

    async def _kept(self, id: str) -> Message | None:
        """The record of a task that has not ended; damaged ones are left alone."""
        cache = self._node.cache
        try:
            root = await cache.lookup(self._prefix + id)
            record = None if root is None else await cache.load_all(await cache.read(root))
        except HyperbeamError as error:
            log.error("Task %s can't be read: %s", id, error.text)
            return None
        return record if isinstance(record, Message) and "request" in record else None


class Task:
    """A request that is made once (`interval` 0), or every so many milliseconds."""

    def __init__(self, id: str, request: Message, interval: int, node: Node) -> None:
        self._id = id
        self._request = request
        self._interval = interval / 1000
        self._node = node

    async def run(self, task_status: trio.TaskStatus[Task]) -> None:
        """Make the request, and again after each pause; a failure is logged, and pauses grow."""
        task_status.started(self)
        failures = 0
        while True:
            failures = 0 if await self._made() else failures + 1
            if not self._interval:
                await end(self._id, self._node)
                return
            grown = self._interval * 2 ** min(failures, 20)
            await trio.sleep(min(grown, max(self._interval, _LONGEST_PAUSE)))

    async def _made(self) -> bool:
        seconds = self._node.config.cron_time_limit / 1000
        try:
            with trio.fail_after(seconds):
                await self._node.context().resolve_many(parse_request(self._request))
        except trio.TooSlowError:
            error: HyperbeamError = DeadlineExceeded(f"It took more than {seconds:g} s.")
        except HyperbeamError as failure:
            error = failure
        else:
            return True
        log.warning("Task %s failed: %s", self._id, error.text)
        return False


async def end(id: str, node: Node) -> None:
    """A task is over, also after a restart."""
    name = prefix_of(node) + id
    try:
        await node.cache.unlink(name)
    except StoreError:
        # Some stores keep everything.
        await node.cache.write(Message(stopped="true"), names=[name])


def prefix_of(node: Node) -> str:
    """What the names of a node's tasks begin with."""
    return f"cron@1.0/{node.address}/"
