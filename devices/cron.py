"""`cron@1.0`: requests that the node makes by itself, later or again and again (spec/05 §8)."""

from __future__ import annotations

import re
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, default, key
from hyperbeam_trio.devices.timers import Timers
from hyperbeam_trio.errors import BadRequest, Forbidden, KeyNotFound
from hyperbeam_trio.message import Message, Value, is_private

_INTERVAL: Final = re.compile(r"(-?[0-9]+)-([A-Za-z]+)")
_UNITS: Final = {
    "millisecond": 1,
    "second": 1000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
}
_PATHS: Final = {
    "once": "resolve cron-path now, in the background",
    "every": "resolve cron-path now and after every interval",
    "stop": "end the task whose id is in task",
    "resume": "start what is kept and does not run",
}
_OWN: Final = frozenset({"path", "cron-path", "interval", "once", "every", "method"})


class CronDevice(Device):
    """`once` and `every` make the node resolve `cron-path`; `stop` ends such a task.

    Option `cron-access` says who may; by default the operator alone. Options `cron-max-tasks`,
    `cron-min-interval` and `cron-time-limit` say how much. Tasks are kept in the store: a node that
    starts goes on with those of its earlier run.
    """

    name = "cron@1.0"
    volatile = True
    excludes = frozenset({"set", "keys", "id"})

    def __init__(self) -> None:
        self._timers: Timers | None = None

    @key
    async def info(self, base: Message, request: Message, context: Context) -> Value:
        """What the device is; `body` has `description`, `version`, and `paths` with their use."""
        described = await super().info(base, request, context)
        body = Message(description=_summary(type(self)), version="1.0", paths=_PATHS)
        whole = described if isinstance(described, Message) else Message()
        return whole.set(status=200, body=body)

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
        if not await self._of(context).stop(task):
            raise BadRequest("Task not found.")
        body = Message(message="Task stopped successfully", task_id=task)
        return Message(status=200, body=body)

    @key
    async def resume(self, base: Message, request: Message, context: Context) -> Value:
        """Start what is kept and does not run; the ids of those tasks.

        The node does so itself when it starts to serve (option `at-start`).
        """
        if "transport" in request.caller.private:
            _authorise(request, context)
        resumed: list[Value] = [task.encode() for task in await self._of(context).resume()]
        return Message.of({"status": 200, "body": resumed})

    def _of(self, context: Context) -> Timers:
        if self._timers is None:
            self._timers = Timers(context.node)
        return self._timers

    async def _add(self, request: Message, path: str, interval: int, context: Context) -> Message:
        """Keep and start a task; a request that was made before is the task that it was."""
        _authorise(request, context)
        task = signed_id(request.caller)
        own = _OWN | {request.text("path")}
        kept = {k: v for k, v in request.items() if k not in own and not is_private(k)}
        asked = await context.load_all(Message.of({**kept, "path": path.encode()}))
        if not isinstance(asked, Message):
            raise BadRequest("A task should be a message.")
        await self._of(context).add(task, asked, interval)
        return Message({"status": 200, "cache-control": ["no-store"], "body": task})


def _summary(device: type[Device]) -> str:
    return (device.__doc__ or "").partition("\n")[0]


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
