"""Named tasks of which at most one of a name runs: schedulers, workers, devices' services."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

import trio

from hyperbeam_trio.errors import Busy, NodeError, single_cause

log = logging.getLogger("hyperbeam_trio.service")

Service = Callable[..., Awaitable[None]]
"""`await nursery.start(service)`: what it passes to `task_status.started` is its handle."""


class _Entry:
    __slots__ = ("error", "handle", "ready", "scope")

    def __init__(self) -> None:
        self.ready = trio.Event()
        self.scope = trio.CancelScope()
        self.handle: Any = None
        self.error: Exception | None = None


class TaskRegistry:
    """Starts named tasks in one nursery, on demand, and forgets them when they end.

    `what` names the kind of task in errors; `limit` bounds how many run at once (`Busy` beyond).
    """

    def __init__(self, nursery: trio.Nursery, what: str, limit: int = 10_000) -> None:
        self._nursery = nursery
        self._what = what
        self._limit = limit
        self._entries: dict[str, _Entry] = {}

    async def ensure(self, name: str, service: Service) -> Any:
        """The handle of the task called `name`, which is started with `service` if need be.

        Many callers at once start it once. Raises what the service raised before it was ready.
        """
        entry = self._entries.get(name)
        if entry is None:
            if len(self._entries) >= self._limit:
                raise Busy(f"{self._limit} {self._what} tasks are running; no more can start now.")
            entry = self._entries[name] = _Entry()
            # The task outlives who starts it, so what is true of that task is not of this one.
            Context().run(self._nursery.start_soon, self._run, name, service, entry)
        await entry.ready.wait()
        if entry.error is not None:
            raise entry.error
        return entry.handle

    def handle(self, name: str) -> Any:
        """The handle of a task that is ready, or `None`."""
        entry = self._entries.get(name)
        return entry.handle if entry is not None else None

    def names(self) -> list[str]:
        """Names of the tasks that run, sorted."""
        return sorted(self._entries)

    def stop(self, name: str) -> None:
        """Cancel a task if it runs."""
        if name in self._entries:
            self._entries[name].scope.cancel()

    async def _run(self, name: str, service: Service, entry: _Entry) -> None:
        try:
            with entry.scope:
                await self._serve(service, entry)
        except Exception as error:
            log.error("%s %s failed: %s", self._what, name, error, exc_info=error)
            entry.error = cause if isinstance(cause := single_cause(error), Exception) else error
        finally:
            if not entry.ready.is_set() and entry.error is None:
                entry.error = NodeError(f"The {self._what} {name} stopped before it was ready.")
            del self._entries[name]
            entry.ready.set()

    async def _serve(self, service: Service, entry: _Entry) -> None:
        async with trio.open_nursery() as nursery:
            entry.handle = await nursery.start(service)
            entry.ready.set()
