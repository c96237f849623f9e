"""Several calls of a guest in one go (spec/06 §3.1, §7.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.series import Outcome, Runner, can_run
from hyperbeam_trio.errors import BadRequest
from tests.devices.wasm.conftest import assemble

PROGRAM = """
(module
  (memory (export "memory") {index} 2 4)
  (global $next (mut {word}) ({word}.const 4096))
  (func (export "malloc") (param $size {word}) (result {word}) (local $at {word})
    (if (result {word})
      ({word}.gt_u ({word}.add (global.get $next) (local.get $size)) ({word}.const 131072))
      (then ({word}.const 0))
      (else
        (local.set $at (global.get $next))
        (global.set $next ({word}.add (local.get $at) (local.get $size)))
        (local.get $at))))
  (func (export "handle") (param $message {word}) (param $process {word}) (result {word})
    ;; Answers with the process's text, after it has counted in its second byte; `!` is refused.
    (if (i32.eq (i32.load8_u (local.get $message)) (i32.const 33)) (then unreachable))
    (i32.store8 ({word}.const 9) (i32.add (i32.load8_u ({word}.const 9)) (i32.const 1)))
    (i32.store8 offset=1 (local.get $process) (i32.add (i32.const 65)
      (i32.rem_u (i32.load8_u ({word}.const 9)) (i32.const 26))))
    (local.get $process)))
"""
WIDE, NARROW = (
    assemble(PROGRAM.format(index=index, word=word))
    for index, word in (("i64", "i64"), ("", "i32"))
)
ENGINE = Engine()


def _guest(code: bytes, fuel: int | None = None) -> Instance:
    return Instance(ENGINE.compile(code, metered=fuel is not None), limits=Limits(fuel=fuel))


def _one_by_one(guest: Instance, calls: list[tuple[bytes, bytes]]) -> list[Outcome]:
    outcomes = []
    for texts in calls:
        addresses = [guest.write_string(text) for text in texts]
        (result,) = guest.call("handle", addresses)
        outcomes.append(Outcome(tuple(addresses), int(result), guest.read_string(int(result))))
    return outcomes


texts = st.binary(min_size=2, max_size=40).filter(lambda text: 0 not in text and text[:1] != b"!")


@pytest.mark.parametrize("code", [WIDE, NARROW], ids=["64 bit", "32 bit"])
@pytest.mark.parametrize("fuel", [None, 1_000_000], ids=["not metered", "metered"])
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=9))
def test_a_series_does_what_the_calls_do_one_by_one(code, fuel, calls):
    single, together = _guest(code), _guest(code, fuel)
    runner = Runner(together)
    for part in (calls, calls[::-1]):
        assert runner.run(part) == _one_by_one(single, part)
    assert bytes(together.require_memory().view()) == bytes(single.require_memory().view())
    assert not together.damaged


def test_a_call_that_traps_ends_the_series_before_it():
    guest = _guest(WIDE)
    outcomes = Runner(guest).run([(b"ab", b"cd"), (b"!b", b"cd"), (b"ab", b"cd")])
    assert outcomes == _one_by_one(_guest(WIDE), [(b"ab", b"cd")])
    assert guest.damaged


def test_a_guest_without_memory_left_ends_the_series():
    guest = _guest(WIDE)
    long = b"x" * 50_000
    assert len(Runner(guest).run([(long, b"ab"), (long, b"ab"), (long, b"ab")])) == 2
    assert guest.damaged


def test_answers_may_be_longer_than_the_desk():
    guest = _guest(WIDE)
    long = b"x" * 60_000
    outcomes = Runner(guest).run([(b"ab", long), (b"ab", long)])
    assert [len(outcome.text) for outcome in outcomes] == [60_000, 60_000]


@given(st.integers(1, 2000))
def test_a_series_shares_the_fuel_of_one_call(fuel):
    calls = [(b"ab", b"cd")] * 8
    guest = _guest(WIDE, fuel)
    outcomes = Runner(guest).run(calls)
    assert outcomes == _one_by_one(_guest(WIDE), calls)[: len(outcomes)]
    assert guest.damaged == (len(outcomes) < len(calls))
    assert not outcomes or _one_by_one(_guest(WIDE, fuel), calls)


def test_a_series_that_its_fuel_ends_has_done_the_calls_before():
    alone = _guest(WIDE, 10_000)
    _one_by_one(alone, [(b"ab", b"cd")])
    done = [len(Runner(_guest(WIDE, times * 200)).run([(b"ab", b"cd")] * 8)) for times in (1, 2, 9)]
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
