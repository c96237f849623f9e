"""What happens to connections when the server stops."""

from __future__ import annotations

from functools import partial

import trio
from trio import open_nursery

from hyperbeam_trio.http.exchange import Handler, HttpRequest, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.server import DoorName, serve
from hyperbeam_trio.http.traffic import Traffic
from tests.http.client import can_connect, connect, request
from tests.http.conftest import echo


class Running:
    """A server that the test stops."""

    def __init__(self, handler: Handler, door: DoorName, **limits: float) -> None:
        self.traffic = Traffic(Limits(**limits))
        self.stopped = trio.Event()
        self._scope = trio.CancelScope()
        self._start = partial(serve, handler, "127.0.0.1", 0, door=door, traffic=self.traffic)

    def stop(self) -> None:
        self._scope.cancel()

    async def run(self, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
        async with open_nursery() as nursery:
            with self._scope:
                async with open_nursery() as serving:
                    [address] = await serving.start(self._start)
                    task_status.started(address)
            self.stopped.set()
            nursery.cancel_scope.cancel()


async def test_a_request_in_flight_is_answered_and_its_connection_closed(door: DoorName) -> None:
    entered, opened = trio.Event(), trio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        entered.set()
        await opened.wait()
        return await echo(request)

    running = Running(wait, door)
    with trio.fail_after(20):
        async with open_nursery() as nursery:
            address = await nursery.start(running.run)
            async with connect(address) as client:
                await client.send(request("/last"))
                await entered.wait()
                running.stop()
                while await can_connect(address):
                    await trio.lowlevel.checkpoint()
                assert not running.stopped.is_set()
                opened.set()
                response = await client.response()
                assert (response.status, response.body) == (200, b"/last|")
                assert await client.closed()
            await running.stopped.wait()


async def test_idle_connections_are_closed_at_once(door: DoorName) -> None:
    running = Running(echo, door)
    with trio.fail_after(20):
        async with open_nursery() as nursery:
            address = await nursery.start(running.run)
            async with connect(address) as used, connect(address) as fresh:
                assert (await used.get()).status == 200
                assert (await fresh.get()).status == 200
                running.stop()
                assert await used.closed()
                assert await fresh.closed()
            await running.stopped.wait()


async def test_a_request_that_does_not_end_is_cut_off_after_the_grace(door: DoorName) -> None:
    entered, ended = trio.Event(), trio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        try:
            entered.set()
            return await trio.sleep_forever()
        finally:
            ended.set()

    running = Running(wait, door, grace_seconds=0.05)
    with trio.fail_after(20):
        async with open_nursery() as nursery:
            address = await nursery.start(running.run)
            async with connect(address) as client:
                await client.send(request())
                await entered.wait()
                running.stop()
                await running.stopped.wait()
                assert ended.is_set()
                await client.rest()


async def test_no_grace_means_now(door: DoorName) -> None:
    entered = trio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        entered.set()
        return await trio.sleep_forever()

    running = Running(wait, door, grace_seconds=0)
    with trio.fail_after(20):
        async with open_nursery() as nursery:
            address = await nursery.start(running.run)
            async with connect(address) as client:
                await client.send(request())
                await entered.wait()
                running.stop()
                await running.stopped.wait()


async def test_a_server_that_is_stopped_as_it_starts_ends(door: DoorName) -> None:
    with trio.fail_after(20):
        async with open_nursery() as nursery:
            await nursery.start(partial(serve, echo, "127.0.0.1", 0, door=door))
            nursery.cancel_scope.cancel()
