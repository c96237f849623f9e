"""A node in a process of its own that is killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial

import httpx
import trio

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.http.server import serve


class Bell:
    """A server of the test's own that waits to be rung."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str](100)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        self._send.send_nowait(request.target.decode())
        return HttpResponse(200, [(b"content-type", b"text/plain")], b"ding")

    async def rung(self) -> str:
        with trio.fail_after(60):
            return await self._receive.receive()


@asynccontextmanager
async def _started(tmp_path, *options: str):
    """The URL of a node, and how to kill it without a word."""
    start = [sys.executable, "-m", "hyperbeam_trio", "start", "--port", "0", *options]
    start += ["--store", f"lmdb:{tmp_path}/data", "--wallet", f"{tmp_path}/key.json"]
    start += ["--identity", "ed25519", "--option", "http-allow-private=127.0.0.1"]
    command = partial(trio.run_process, start, stdin=subprocess.DEVNULL, capture_stdout=False)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(command, stdout=subprocess.PIPE, check=False))
        said = b""
        with trio.fail_after(60):
            while b"\n" not in said:
                said += await process.stdout.receive_some()
        try:
            yield said.split(b"\n")[0].decode().partition("url:")[2].strip()
        finally:
            os.kill(process.pid, signal.SIGKILL)


async def _cron(url: str, path: str, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.get(f"{url}~cron@1.0/{path}", headers=named)
    assert answer.status_code == 200, answer.text
    return answer


async def test_timers_survive_a_kill_and_stay_stopped(tmp_path):
    bell = Bell()
    async with trio.open_nursery() as nursery:
        [(_, port)] = await nursery.start(serve, bell, "127.0.0.1", 0)
        ring = {"cron_path": "/~relay@1.0/call", "relay_path": f"http://127.0.0.1:{port}/ring"}
        start = partial(_started, tmp_path, "--option", "cron-access=anyone")
        async with start() as url:
            task = (await _cron(url, "every", interval="1-hour", **ring)).text
            assert await bell.rung() == "/ring"
        async with start() as url:
            assert await bell.rung() == "/ring"
            assert (await _cron(url, f"stop&task={task}")).status_code == 200
        async with start() as url:
            ring["relay_path"] += "-once"
            await _cron(url, "once", **ring)
            assert await bell.rung() == "/ring-once"
        nursery.cancel_scope.cancel()
