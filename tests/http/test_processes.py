"""Worker processes on one socket: real processes, real signals."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.errors import ConfigError, NodeError
from hyperbeam_trio.http.listener import addresses
from hyperbeam_trio.http.processes import Inheritance, open_shares, supervise
from tests.http.client import can_connect, connect

WORKER = """
import os, sys, signal, trio
from functools import partial
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.http.processes import Inheritance
from hyperbeam_trio.http.server import serve

async def pid(request):
    if request.target == b"/die":
        os._exit(3)
    return HttpResponse(200, [(b"connection", b"close")], b"%d" % os.getpid())

async def main(inheritance):
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, pid, sockets=inheritance.open_sockets()))
            nursery.start_soon(stop_when, inheritance.wait_orphaned(), nursery.cancel_scope)
            async for _ in signals:
                nursery.cancel_scope.cancel()

async def stop_when(waited, scope):
    await waited
    scope.cancel()

trio.run(main, Inheritance.read(sys.argv[1]))
"""

SUPERVISOR = """
import sys, trio
from tests.http.test_processes import worker_command
from hyperbeam_trio.http.listener import addresses
from hyperbeam_trio.http.processes import open_shares, supervise

async def main():
    shares = await open_shares("127.0.0.1", 0, 2)
    print(addresses(shares[0])[0][1], flush=True)
    await supervise(worker_command, shares)

trio.run(main)
"""


def worker_command(inheritance: Inheritance) -> list[str]:
    return [sys.executable, "-c", WORKER, inheritance.as_text()]


@asynccontextmanager
async def supervisor() -> AsyncIterator[tuple[trio.Process, tuple[str, int]]]:
    """A supervisor of two workers in a process of its own."""
    argv = [sys.executable, "-c", SUPERVISOR]
    process = await trio.lowlevel.open_process(argv, stdout=-1)
    with trio.fail_after(60):
        try:
            yield process, ("127.0.0.1", int(await process.stdout.receive_some()))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            await process.stdout.aclose()


async def ask(address: tuple[str, int], target: str = "/") -> int:
    async with connect(address) as client:
        return int((await client.get(target)).body)


async def pids(address: tuple[str, int], other_than: frozenset[int] = frozenset()) -> set[int]:
    """The two workers, once both have answered."""
    found: set[int] = set()
    while len(found) < 2:
        found |= {await ask(address)} - other_than
        await trio.sleep(0.001)
    return found


async def gone(pid: int) -> None:
    """Return when there is no process `pid` any more."""
    with suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            with suppress(FileNotFoundError):
                if b") Z " in await trio.Path(f"/proc/{pid}/stat").read_bytes():
                    return
            await trio.sleep(0.01)


async def test_two_workers_serve_one_socket_and_stop_at_sigterm() -> None:
    async with supervisor() as (process, address):
        workers = await pids(address)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        for pid in workers:
            await gone(pid)
        assert not await can_connect(address)


async def test_a_worker_that_dies_is_replaced_and_the_other_goes_on() -> None:
    async with supervisor() as (_, address):
        before = await pids(address)
        with pytest.raises(EOFError):
            await ask(address, "/die")
        after: set[int] = set()
        while not after - before or not after & before:
            after.add(await ask(address))
        assert len(after) == 2


async def test_workers_end_when_their_supervisor_is_killed() -> None:
    async with supervisor() as (process, address):
        workers = await pids(address)
        process.kill()
        await process.wait()
        for pid in workers:
            await gone(pid)


def test_what_a_worker_inherits_goes_through_its_arguments() -> None:
    given = Inheritance((3, 4), 5, 1, 2, 6, "/tmp/a place: here")
    assert Inheritance.read(given.as_text()) == given


FINDING = """
import os, sys
from hyperbeam_trio.http.processes import Inheritance
given = Inheritance.read(sys.argv[1])
mode = os.stat(given.place).st_mode & 0o777
with open(f"{os.environ['TMPDIR']}/told-{given.number}", "w") as file:
    print(given.count, oct(mode), *sorted(os.listdir(given.place)), file=file)
os.kill(os.getppid(), 15)
"""
"""Tells what it finds, and ends the whole."""


def finding_command(inheritance: Inheritance) -> list[str]:
    return [sys.executable, "-c", FINDING, inheritance.as_text()]


async def test_workers_find_each_other_and_leave_nothing_behind(tmp_path: Path) -> None:
    code = SUPERVISOR.replace("worker_command", "finding_command")
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with trio.fail_after(60):
        await trio.run_process([sys.executable, "-c", code], env=env)
    told = sorted(os.listdir(tmp_path))
    assert told
    assert set(told) <= {"told-0", "told-1"}
    said = {await trio.Path(tmp_path / name).read_text() for name in told}
    # Who is done first ends the whole, perhaps before the other has said anything.
    assert said - {""} == {"2 0o700 0 1\n"}


async def test_workers_that_can_not_start_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperbeam_trio.http.processes.FALSE_STARTS", 2)
    [sockets] = await open_shares("127.0.0.1", 0, 1)
    with pytest.raises(NodeError, match="can't start; the last ended with 7"):
        await supervise(lambda _: [sys.executable, "-c", "exit(7)"], [sockets])
    for sock in sockets:
        sock.close()


async def test_a_port_in_use_is_not_shared_with_a_stranger() -> None:
    shares = await open_shares("127.0.0.1", 0, 2)
    [[address], [same]] = [addresses(share) for share in shares]
    assert address == same
    with pytest.raises(ConfigError, match=f"port {address[1]}"):
        await open_shares(*address, 2)
    for sock in itertools.chain(*shares):
        sock.close()


async def test_the_kernel_deals_out_the_connections() -> None:
    async with supervisor() as (_, address):
        workers = await pids(address)
        answers = [await ask(address) for _ in range(100)]
    assert all(answers.count(pid) >= 10 for pid in workers)


async def test_one_process_loads_nothing_of_this() -> None:
    code = (
        "import sys, hyperbeam_trio.http.server;"
        "print('hyperbeam_trio.http.processes' in sys.modules)"
    )
    done = await trio.run_process([sys.executable, "-c", code], capture_stdout=True)
    assert done.stdout == b"False\n"
