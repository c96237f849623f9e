"""Signing beside the event loop: `Signers`, and `call_aside`, which finds them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest
import trio
import trio.testing

from hyperbeam_trio.crypto.signers import NICENESS, Signers, call_aside, make_way
from hyperbeam_trio.errors import NodeError

LIMITER = trio.CapacityLimiter(1)


async def test_calls_come_back_from_threads_of_their_own(nursery: trio.Nursery) -> None:
    signers = Signers(2)
    await nursery.start(signers.run)
    names = {await call_aside(_thread_name, limiter=LIMITER) for _ in range(8)}
    assert names <= {"signer 0", "signer 1"}


async def test_what_a_call_raises_is_raised_where_it_was_made(nursery: trio.Nursery) -> None:
    await nursery.start(Signers(1).run)
    with pytest.raises(ZeroDivisionError):
        await call_aside(divmod, 1, 0, limiter=LIMITER)


async def test_many_calls_at_once_get_each_its_own_result(nursery: trio.Nursery) -> None:
    await nursery.start(Signers(2).run)
    found: dict[int, int] = {}

    async def square(number: int) -> None:
        found[number] = await call_aside(pow, number, 2, limiter=LIMITER)

    async with trio.open_nursery() as calls:
        for number in range(200):
            calls.start_soon(square, number)
    assert found == {number: number**2 for number in range(200)}


async def test_a_cancelled_call_that_waits_for_its_turn_is_never_made(
    nursery: trio.Nursery,
) -> None:
    await nursery.start(Signers(1).run)
    gate, made = threading.Event(), list[int]()
    async with trio.open_nursery() as calls:
        calls.start_soon(lambda: call_aside(gate.wait, limiter=LIMITER))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as cancelled:
            cancelled.start_soon(lambda: call_aside(made.append, 1, limiter=LIMITER))
            await trio.testing.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        gate.set()
    await call_aside(made.append, 2, limiter=LIMITER)
    assert made == [2]


async def test_the_threads_end_with_the_service() -> None:
    async with trio.open_nursery() as service:
        await service.start(Signers(3).run)
        thread = await call_aside(threading.current_thread, limiter=LIMITER)
        assert thread.is_alive()
        service.cancel_scope.cancel()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("started", [True, False])
async def test_a_call_after_the_end_is_refused(*, started: bool) -> None:
    signers = Signers(1)
    async with trio.open_nursery() as service:
        await service.start(signers.run)
        if started:
            assert await signers.call(abs, -1) == 1
        service.cancel_scope.cancel()
    with trio.fail_after(10), pytest.raises(NodeError, match="signing threads have ended"):
        await signers.call(abs, -1)


async def test_a_call_that_waited_for_its_turn_at_the_end_is_made() -> None:
    signers, gate, found = Signers(1), threading.Event(), list[int]()

    async def call() -> None:
        found.append(await signers.call(abs, -1))

    async with trio.open_nursery() as calls, trio.open_nursery() as service:
        await service.start(signers.run)
        calls.start_soon(signers.call, gate.wait)
        calls.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        service.cancel_scope.cancel()
        gate.set()
    assert found == [1]


def test_threads_that_nobody_ended_let_the_process_end() -> None:
    program = (
        "import trio; from hyperbeam_trio.crypto.signers import Signers; "
        "print(trio.run(Signers(1).call, abs, -1))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (ended.stdout.strip(), ended.returncode) == (b"1", 0)


async def test_a_thread_that_can_not_start_is_not_waited_for(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    await nursery.start(Signers(1).run)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await call_aside(abs, -1, limiter=LIMITER)
    assert await call_aside(abs, -1, limiter=LIMITER) == 1


async def test_without_signers_a_thread_of_trio_does_it() -> None:
    assert not (await call_aside(_thread_name, limiter=LIMITER)).startswith("signer")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority")
async def test_the_event_loop_goes_first(nursery: trio.Nursery) -> None:
    await nursery.start(Signers(1).run)
    theirs = await call_aside(os.getpriority, os.PRIO_PROCESS, 0, limiter=LIMITER)
    assert theirs == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


async def test_whoever_has_become_ready_goes_before_one_who_makes_way(
    nursery: trio.Nursery,
) -> None:
    ours, theirs = socket.socketpair()
    served = bytearray()

    async def serve() -> None:
        while True:
            await trio.lowlevel.wait_readable(theirs)
            served.extend(theirs.recv(1))

    with ours, theirs:
        nursery.start_soon(serve)
        await trio.testing.wait_all_tasks_blocked()
        # Trio runs those who are ready in any order, so that once would say little.
        for asked in range(1, 65):
            ours.send(b"?")
            await make_way()
            assert len(served) == asked
        nursery.cancel_scope.cancel()


def _thread_name() -> str:
    return threading.current_thread().name
