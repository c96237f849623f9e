"""Calls that a guest makes before they are asked for (spec/05 §2.4, spec/06 §3.1)."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.devices.wasm.ahead import LONGEST, Ahead
from hyperbeam_trio.devices.wasm.live import Handle, Live
from hyperbeam_trio.devices.wasm.wasi import Wasi
from tests.support.counting_guest import WIDE, called_one_by_one, guest_of

CALLS = [(b"call %d" % number, b"process %d" % number) for number in range(3 * LONGEST)]


@pytest.fixture
def live() -> Live:
    live = Live(guest_of(WIDE), Wasi())
    live.alone = True
    live.ahead = Ahead()
    live.ahead.pace = 1e-5
    return live


def _handle(live: Live, calls: int = 0) -> Handle:
    """What stands for the guest's state after so many calls."""
    return Handle(live.instance.image, live, 2 * calls)


async def _taken(live: Live, nursery: trio.Nursery, calls) -> list:
    """What `made_ahead` does for each slot, with all calls known."""
    ahead, outcomes = live.ahead, []
    for done, texts in enumerate(calls):
        if done == 0:
            await ahead.run(_handle(live), calls[: ahead.length(live)], None)
        made = await ahead.take(_handle(live, done), texts)
        outcomes.append(made.outcome)
        if ahead.hungry:
            await ahead.go_on(live, calls[done + 1 :], nursery)
    return outcomes


async def test_all_calls_have_the_outcomes_of_calls_one_by_one(live, nursery):
    assert await _taken(live, nursery, CALLS) == called_one_by_one(guest_of(WIDE), CALLS)


async def test_a_series_follows_the_other_without_being_asked(live, nursery):
    ahead = live.ahead
    await ahead.run(_handle(live), CALLS[:1], None)
    await ahead.take(_handle(live), CALLS[0])
    await ahead.go_on(live, CALLS[1:], nursery)
    # Nothing is said of what is to come any more.
    outcomes = [await ahead.take(_handle(live, done), CALLS[done]) for done in range(1, len(CALLS))]
    assert all(outcomes)
    assert live.generation == 2 * len(CALLS)


async def test_who_asks_for_something_else_ends_it(live, nursery):
    ahead = live.ahead
    await ahead.run(_handle(live), CALLS[:2], None)
    assert await ahead.take(_handle(live), (b"something", b"else")) is None
    assert await ahead.take(_handle(live), CALLS[0]) is not None
    await ahead.go_on(live, [(b"not", b"as made")], nursery)
    assert live.generation == 4


async def test_a_call_that_traps_is_left_to_whoever_asks_for_it(live, nursery):
    ahead, trap = live.ahead, (b"!", b"refused")
    await ahead.run(_handle(live), [CALLS[0], trap, CALLS[1]], None)
    assert await ahead.take(_handle(live), CALLS[0]) is not None
    assert await ahead.take(_handle(live, 1), trap) is None
    assert live.instance.damaged


async def test_a_guest_that_somebody_else_has_called_makes_no_more(live, nursery):
    ahead = live.ahead
    await ahead.run(_handle(live), CALLS[:1], None)
    await ahead.take(_handle(live), CALLS[0])
    live.generation += 2
    await ahead.go_on(live, CALLS[1:], nursery)
    assert live.generation == 4
    assert await ahead.take(_handle(live, 2), CALLS[1]) is None
