"""Signatures made in threads: every draft gets its own, and clearing forgets the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from threading import Semaphore

import trio

from hyperbeam_trio.devices.scheduling.assignment import Draft, Tip
from hyperbeam_trio.devices.scheduling.signing import TURN, DraftSigners


def draft(slot: int) -> Draft:
    return Draft({}, b"slot %d" % slot, Tip(slot))


def sign(given: Draft) -> Sequence[bytes]:
    return [b"signed " + given.lines]


@asynccontextmanager
async def working(
    sign: Callable[[Draft], Sequence[bytes]], threads: int
) -> AsyncIterator[DraftSigners]:
    signers = DraftSigners(sign, trio.CapacityLimiter(threads))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signers.run)
        yield signers
        nursery.cancel_scope.cancel()


async def test_each_draft_gets_its_own_signature_however_many_wait():
    async with working(sign, threads=3) as signers:
        orders = [signers.order(draft(slot)) for slot in range(5 * TURN)]
        with trio.fail_after(10):
            for order in reversed(orders):
                await signers.signed(order)
    assert [order.signatures for order in orders] == [
        [b"signed slot %d" % slot] for slot in range(5 * TURN)
    ]


async def test_who_waits_for_what_is_signed_already_goes_on_at_once():
    async with working(sign, threads=1) as signers:
        first, second = signers.order(draft(1)), signers.order(draft(2))
        with trio.fail_after(10):
            await signers.signed(second)
            await signers.signed(first)
    assert first.signatures == [b"signed slot 1"]


async def test_what_is_cleared_is_never_signed():
    gate, begun = Semaphore(0), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def sign_slowly(given: Draft) -> Sequence[bytes]:
        token.run_sync_soon(begun.set)
        gate.acquire()
        return sign(given)

    async with working(sign_slowly, threads=1) as signers:
        under_way, waiting = signers.order(draft(1)), signers.order(draft(2))
        with trio.fail_after(10):
            await begun.wait()
            signers.clear()
            gate.release()
            await signers.signed(under_way)
    assert under_way.signatures is not None
    assert waiting.signatures is None
