"""Start and stop of mounted ASGI applications."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from hyperbeam_trio.errors import NodeError
from hyperbeam_trio.http.draining import open_draining_nursery

log = logging.getLogger("hyperbeam_trio.http")

STOP_SECONDS = 10.0


@asynccontextmanager
async def running_lifespans(apps: Sequence[Callable[..., Awaitable[None]]]) -> AsyncIterator[None]:
    """Run `apps`, started in order, while the block lasts; then shut them down."""
    if not apps:
        yield
        return
    async with open_draining_nursery(STOP_SECONDS) as nursery:
        lifespans = [Lifespan(app) for app in apps]
        try:
            for lifespan in lifespans:
                await nursery.start(lifespan.run)
            yield
        finally:
            for lifespan in lifespans:
                lifespan.stopping.set()


class Lifespan:
    """One application's lifespan; an application without one is left alone (ASGI 3)."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app
        self.stopping = trio.Event()
        self._asked = self._up = False
        self._started = trio.Event()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until the application has shut down."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_app)
            await self._started.wait()
            task_status.started()

    async def _run_app(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self.app(scope, self._receive, self._send)
        except NodeError:
            raise
        except Exception as error:
            if self._up:
                log.exception("a mounted application failed in its lifespan")
            else:
                log.info("a mounted application has no lifespan: %r", error)
        self._started.set()

    async def _receive(self) -> dict[str, str]:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self.stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: MutableMapping[str, Any] | Mapping[str, Any]) -> None:
        if event["type"] == "lifespan.startup.complete":
            self._up = True
            self._started.set()
        elif event["type"] == "lifespan.startup.failed":
            raise NodeError(f"A mounted application did not start: {event.get('message', '')}")
        elif event["type"] == "lifespan.shutdown.failed":
            log.error("a mounted application did not stop well: %s", event.get("message", ""))
