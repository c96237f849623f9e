"""Doors to knock at: everything here runs against our listener and against hypercorn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from hyperbeam_trio.http.exchange import Handler, HttpRequest, HttpResponse
from hyperbeam_trio.http.server import DoorName, serve

OpenDoor = Callable[..., AbstractAsyncContextManager[tuple[str, int]]]


@pytest.fixture(params=["trio", "hypercorn"])
def door(request: pytest.FixtureRequest) -> DoorName:
    """Which of the two doors the test runs through."""
    return request.param


@pytest.fixture
def open_door(door: DoorName) -> OpenDoor:
    """`async with open_door(handler, **options) as address`: a door on a free port."""

    @asynccontextmanager
    async def open_(handler: Handler, **options: Any) -> AsyncIterator[tuple[str, int]]:
        async with trio.open_nursery() as nursery:
            start = partial(serve, handler, "127.0.0.1", 0, door=door, **options)
            [address] = await nursery.start(start)
            with trio.fail_after(30):
                yield address
            nursery.cancel_scope.cancel()

    return open_


async def echo(request: HttpRequest) -> HttpResponse:
    """Answers with method, target and body, and the headers it got as `x-got-…`."""
    body = await request.body.read(1 << 30)
    headers = [
        (b"x-method", request.method.encode()),
        (b"x-version", request.http_version.encode()),
    ]
    headers += [(b"x-got-" + name, value) for name, value in request.headers]
    return HttpResponse(200, headers, request.target + b"|" + body)


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Virtual time that stands still while the loopback interface is at work."""
    autojump_clock.autojump_threshold = 0.02
    return autojump_clock
