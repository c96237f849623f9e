"""`cron@1.0`: requests that the node makes by itself, later or again and again (spec/05 §8)."""

from __future__ import annotations

import logging
import re
from typing import Final

import trio

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.errors import BadRequest, Busy, Forbidden, HyperbeamError, KeyNotFound
from hyperbeam_trio.message import Message, Value, is_private
from hyperbeam_trio.node import Node
from hyperbeam_trio.path import parse_request
from hyperbeam_trio.service.registry import TaskRegistry

log = logging.getLogger("hyperbeam_trio.cron")

_PREFIX: Final = "cron@1.0/"
_INTERVAL: Final = re.compile(r"(-?[0-9]+)-([A-Za-z]+)")
_UNITS: Final = {
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
}
_LONGEST_PAUSE: Final = 3600.0
"""Seconds to which the pauses of a task that keeps failing grow."""

_OWN: Final = frozenset({"path", "cron-path", "interval", "once", "every", "method"})


class CronDevice(Device):
    """`once` and `every` make the node resolve `cron-path`; `stop` ends such a task.

    Option `cron-access` says who may; by default the operator alone. Tasks are kept in the store:
    `resume` starts those of an earlier run again, as a start hook would have it.
    """

    name = "cron@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    def __init__(self) -> None:
        self._tasks: TaskRegistry | None = None

    @key
    async def once(self, base: Message, request: Message, context: Context) -> Value:
        """Resolve the path in `cron-path` (or `once`) now, in the background; the task's id."""
        return await self._add(request, _path_of("once", request), 0, context)

    @key
    async def every(self, base: Message, request: Message, context: Context) -> Value:
        """Resolve `cron-path` (or `every`) now and after every `interval`; the task's id."""
        if "interval" not in request:
            raise BadRequest("No interval found in message.")
        interval = _milliseconds(request.text("interval"), context)
        return await self._add(request, _path_of("every", request), interval, context)

    @default
    async def at_interval(
        self, name: str, base: Message, request: Message, context: Context
    ) -> Value:
        """As `every`, the key being the interval: `5-minutes="/path"`."""
        if not name[:1].isdigit():
            raise KeyNotFound("not_found")
        interval = _milliseconds(name, context)
        return await self._add(request, _path_of(name, request), interval, context)

    @key
    async def stop(self, base: Message, request: Message, context: Context) -> Value:
        """End the task whose id is in `task`."""
        _authorise(request, context)
        if "task" not in request:
            raise BadRequest("No task ID found in message.")
        task = request.text("task")
        if task not in self._running(context).names():
            raise BadRequest("Task not found.")
        self._running(context).stop(task)
        await _keep(task, Message(stopped="true"), context.node)
        body = Message(message="Task stopped successfully", task_id=task)
        return Message(status=200, body=body)

    @key
    async def resume(self, base: Message, request: Message, context: Context) -> Value:
        """Start again what was under way when the node stopped; the ids of those tasks."""
        _authorise(request, context)
        resumed: list[Value] = []
        for name in await context.cache.names(_PREFIX):
            id = await context.cache.lookup(name)
            found = await context.load_all(await context.cache.read(id)) if id else None
            if isinstance(found, Message) and "request" in found:
                task = name.removeprefix(_PREFIX)
                await self._start(task, found, context)
                resumed.append(task.encode())
        return Message.of({"status": 200, "body": resumed})

    def _running(self, context: Context) -> TaskRegistry:
        if self._tasks is None:
            limit = context.config.cron_max_tasks
            self._tasks = TaskRegistry(context.node.workers, "cron", limit)
        return self._tasks

    async def _add(self, request: Message, path: str, interval: int, context: Context) -> Message:
        """Keep and start a task; a request that was made before is the task that it was."""
        _authorise(request, context)
        task = signed_id(request.caller)
        if task not in self._running(context).names():
            own = _OWN | {request.text("path")}
            kept = {k: v for k, v in request.items() if k not in own and not is_private(k)}
            asked = await context.load_all(Message.of({**kept, "path": path.encode()}))
            described = Message.of({"request": asked, "interval": interval})
            await _keep(task, described, context.node)
            try:
                await self._start(task, described, context)
            except Busy:
                await _keep(task, Message(stopped="true"), context.node)
                raise
        return Message({"status": 200, "cache-control": ["no-store"], "body": task})

    async def _start(self, task: str, described: Message, context: Context) -> None:
        running = Task(task, described.message("request"), described.int("interval"), context.node)
        await self._running(context).ensure(task, running.run)


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
                await _keep(self._id, Message(stopped="true"), self._node)
                return
            grown = self._interval * 2 ** min(failures, 20)
            await trio.sleep(min(grown, max(self._interval, _LONGEST_PAUSE)))

    async def _made(self) -> bool:
        try:
            await self._node.context().resolve_many(parse_request(self._request))
        except HyperbeamError as error:
            log.warning("Task %s failed: %s", self._id, error.text)
            return False
        return True


async def _keep(task: str, described: Message, node: Node) -> None:
    await node.cache.write(described, names=[_PREFIX + task])


def _authorise(request: Message, context: Context) -> None:
    if context.config.cron_access == "anyone" or context.node.operator == "unclaimed":
        return
    if context.node.operator not in request.caller.signers:
        raise Forbidden("Only the node's operator may set timers here (option cron-access).")


def _path_of(name: str, request: Message) -> str:
    for key_ in ("cron-path", name):
        if key_ in request:
            return request.text(key_)
    raise BadRequest("No cron path found in message.")


def _milliseconds(text: str, context: Context) -> int:
    """An interval such as `5-minutes`, not shorter than option `cron-min-interval` allows."""
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise BadRequest(f"Error parsing interval {text!r}; expected a number, '-' and a unit.")
    unit = next((n for name, n in _UNITS.items() if found[2].lower().startswith(name)), None)
    if unit is None:
        raise BadRequest(f"Invalid time unit: {found[2]}")
    if int(found[1]) <= 0:
        raise BadRequest("Invalid interval value.")
    return max(int(found[1]) * unit, context.config.cron_min_interval)
