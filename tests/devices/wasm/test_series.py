"""Several calls of a guest in one go (spec/06 §3.1, §7.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.series import Runner, can_run
from hyperbeam_trio.errors import BadRequest
from tests.devices.wasm.conftest import assemble
from tests.support.counting_guest import ENGINE, NARROW, PROGRAM, WIDE, called_one_by_one, guest_of

texts = st.binary(min_size=2, max_size=40).filter(lambda text: 0 not in text and text[:1] != b"!")


@pytest.mark.parametrize("code", [WIDE, NARROW], ids=["64 bit", "32 bit"])
@pytest.mark.parametrize("fuel", [None, 1_000_000], ids=["not metered", "metered"])
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=9))
def test_a_series_does_what_the_calls_do_one_by_one(code, fuel, calls):
    single, together = guest_of(code), guest_of(code, fuel)
    runner = Runner(together)
    for part in (calls, calls[::-1]):
        assert runner.run(part) == called_one_by_one(single, part)
    assert bytes(together.require_memory().view()) == bytes(single.require_memory().view())
    assert not together.damaged


def test_a_call_that_traps_ends_the_series_before_it():
    guest = guest_of(WIDE)
    outcomes = Runner(guest).run([(b"ab", b"cd"), (b"!b", b"cd"), (b"ab", b"cd")])
    assert outcomes == called_one_by_one(guest_of(WIDE), [(b"ab", b"cd")])
    assert guest.damaged


def test_a_guest_without_memory_left_ends_the_series():
    guest = guest_of(WIDE)
    long = b"x" * 50_000
    assert len(Runner(guest).run([(long, b"ab"), (long, b"ab"), (long, b"ab")])) == 2
    assert guest.damaged


def test_answers_may_be_longer_than_the_desk():
    guest = guest_of(WIDE)
    long = b"x" * 60_000
    outcomes = Runner(guest).run([(b"ab", long), (b"ab", long)])
    assert [len(outcome.text) for outcome in outcomes] == [60_000, 60_000]


@given(st.integers(1, 2000))
def test_a_series_shares_the_fuel_of_one_call(fuel):
    calls = [(b"ab", b"cd")] * 8
    guest = guest_of(WIDE, fuel)
    outcomes = Runner(guest).run(calls)
    assert outcomes == called_one_by_one(guest_of(WIDE), calls)[: len(outcomes)]
    assert guest.damaged == (len(outcomes) < len(calls))
    assert not outcomes or called_one_by_one(guest_of(WIDE, fuel), calls)


def test_a_series_that_its_fuel_ends_has_done_the_calls_before():
    alone = guest_of(WIDE, 10_000)
    called_one_by_one(alone, [(b"ab", b"cd")])
    done = [
        len(Runner(guest_of(WIDE, times * 200)).run([(b"ab", b"cd")] * 8)) for times in (1, 2, 9)
    ]
    assert 0 < alone.fuel_used < 200
    assert 0 < done[0] < done[1] < done[2] == 8


def test_only_guests_with_the_convention_run_in_series():
    assert can_run(ENGINE.compile(WIDE))
    assert can_run(ENGINE.compile(WIDE, metered=True))
    assert not can_run(ENGINE.compile(assemble("(module)")))
    other = PROGRAM.replace('"handle"', '"manage"').format(index="i64", word="i64")
    assert not can_run(ENGINE.compile(assemble(other)))


def test_a_series_may_take_less_time_than_a_call():
    guest = Instance(ENGINE.compile(WIDE), limits=Limits(seconds=30.0))
    whole = guest.guest.ticks.value
    with guest.guest.hurried(1.0):
        assert guest.guest.ticks.value == 101
    assert guest.guest.ticks.value == whole
    with Instance(ENGINE.compile(WIDE), limits=Limits(seconds=0.1)).guest.hurried(1.0):
        pass


def test_a_guest_can_have_no_second_memory_though_the_engine_allows_it():
    with pytest.raises(BadRequest, match="Invalid WebAssembly image: "):
        ENGINE.compile(assemble("(module (memory 1) (memory 1))"))
