"""An empty ASGI application under hypercorn: what any answer costs at least."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.server import serve

BODY = b"x" * 200
HEADERS = [(b"x-header-%d" % number, b"value") for number in range(6)]


async def handle(request: HttpRequest) -> HttpResponse:
    """Two hundred bytes and six headers."""
    return HttpResponse(200, HEADERS, BODY)


async def _main() -> None:
    import sys

    door: Any = sys.argv[1] if len(sys.argv) > 1 else "hypercorn"
    async with trio.open_nursery() as nursery:
        serving: Callable[..., Awaitable[None]] = _serve
        addresses = await nursery.start(serving, door)
        print(f"url:     http://127.0.0.1:{addresses[0][1]}/", flush=True)


async def _serve(door: Any, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
    await serve(handle, "127.0.0.1", 0, door=door, task_status=task_status)


if __name__ == "__main__":
    trio.run(_main)
