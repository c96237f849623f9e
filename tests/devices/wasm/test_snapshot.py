"""Snapshots, restoring, and state outside the memory (spec/06 §1.5)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.outside import StateOutsideMemory
from hyperbeam_trio.devices.wasm.restoring import restore, restore_pages
from hyperbeam_trio.devices.wasm.snapshot import ZERO_DIGEST, Snapshots, copy_memory
from hyperbeam_trio.errors import BadRequest, GuestLimit

from .conftest import assemble

PAGE = 1 << 16

PAGES = """
(module
  (memory (export "memory") 40 60)
  (data (i32.const 65530) "across two pages")
  (data (i32.const 1310720) "page 20")
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
"""


def contents(instance: Instance) -> bytes:
    return instance.memory.read(0, instance.memory.size)


# Taking.


def test_first_snapshot_lists_every_page_that_is_not_zero(guest):
    snapshots = Snapshots(guest(PAGES))
    snapshot = snapshots.take()
    assert snapshot.size == 40 * PAGE
    assert snapshot.changed == (0, 1, 20)
    assert {n for n, digest in enumerate(snapshot.pages) if digest != ZERO_DIGEST} == {0, 1, 20}


def test_pages_are_named_by_their_hash(guest):
    paged = guest(PAGES)
    snapshots = Snapshots(paged)
    snapshot = snapshots.take()
    for number, digest in enumerate(snapshot.pages):
        assert hashlib.sha256(snapshots.page(number)).digest() == digest
    assert snapshots.body() == contents(paged)


def test_next_snapshot_lists_what_changed_since(guest):
    paged = guest(PAGES)
    snapshots = Snapshots(paged)
    first = snapshots.take()
    assert snapshots.take().changed == ()
    paged.call("poke", [5 * PAGE + 17, 1])
    paged.call("poke", [39 * PAGE, 1])
    second = snapshots.take()
    assert second.changed == (5, 39)
    paged.call("poke", [5 * PAGE + 17, 0])
    third = snapshots.take()
    assert third.changed == (5,)
    assert third.pages[5] == first.pages[5] == ZERO_DIGEST


def test_grown_memory_is_taken_whole(guest):
    paged = guest(PAGES)
    snapshots = Snapshots(paged)
    snapshots.take()
    paged.call("grow", [10])
    paged.call("poke", [45 * PAGE, 1])
    snapshot = snapshots.take()
    assert snapshot.size == 50 * PAGE
    assert snapshot.changed == (45,)


def test_module_without_memory_has_an_empty_snapshot(guest):
    snapshots = Snapshots(guest("(module)"))
    assert snapshots.take().pages == ()
    assert snapshots.body() == b""


def test_copy_reuses_its_buffer_whatever_its_size_was(guest):
    paged = guest(PAGES)
    for buffer in (bytearray(), bytearray(b"x" * 50 * PAGE), bytearray(5)):
        copy_memory(paged, buffer)
        assert buffer == contents(paged)


def test_copy_of_no_memory_is_empty(guest):
    buffer = bytearray(b"old")
    copy_memory(guest("(module)"), buffer)
    assert buffer == b""


# Restoring.


def used_guest(guest) -> Instance:
    used = guest(PAGES)
    used.call("poke", [7 * PAGE + 3, 9])
    used.memory.write(20 * PAGE, bytes(PAGE))
    return used


def test_restored_guest_has_the_memory_of_the_other(guest):
    used = used_guest(guest)
    fresh = guest(PAGES)
    restore(fresh, contents(used))
    assert contents(fresh) == contents(used)


def test_guest_restored_from_pages_has_it_too(guest):
    used = used_guest(guest)
    snapshots = Snapshots(used)
    snapshot = snapshots.take()
    pages = [(n, snapshots.page(n)) for n in range(40) if snapshot.pages[n] != ZERO_DIGEST]
    fresh = guest(PAGES)
    restore_pages(fresh, snapshot.size, pages)
    assert contents(fresh) == contents(used)


def test_used_guest_can_be_restored_too(guest):
    body = contents(guest(PAGES))
    used = used_guest(guest)
    restore(used, body)
    assert contents(used) == body


def test_guest_with_start_functions_is_cleared_of_what_they_wrote(guest):
    started = guest(
        """(module (memory (export "memory") 3)
          (func $f (i32.store (i32.const 70000) (i32.const 1))) (start $f))"""
    )
    restore(started, bytes(3 * PAGE))
    assert contents(started) == bytes(3 * PAGE)


def test_guest_with_computed_data_offsets_is_restored(guest):
    wat = """(module (memory (export "memory") 3)
      (data (i32.add (i32.const 65536) (i32.const 5)) "x"))"""
    fresh = guest(wat)
    restore(fresh, bytes(3 * PAGE))
    assert contents(fresh) == bytes(3 * PAGE)


def test_bytearray_serves_as_well(guest):
    used, fresh = used_guest(guest), guest(PAGES)
    restore(fresh, bytearray(contents(used)))
    assert contents(fresh) == contents(used)


def test_longer_snapshot_grows_the_memory(guest):
    used = guest(PAGES)
    used.call("grow", [1])
    used.call("poke", [40 * PAGE + 1, 1])
    fresh = guest(PAGES)
    restore(fresh, contents(used))
    assert contents(fresh) == contents(used)
    assert fresh.call("grow", [0]) == [41]


def test_one_page_of_the_other_engine_is_left_out(guest):
    foreign = contents(guest(PAGES)) + b"\xaa" * PAGE
    fresh = guest(PAGES)
    restore(fresh, foreign, own=False)
    assert contents(fresh) == foreign[: 40 * PAGE]


def test_a_foreign_memory_that_really_grew_is_kept(guest):
    foreign = contents(guest(PAGES)) + b"\xaa" * (3 * PAGE)
    fresh = guest(PAGES)
    restore(fresh, foreign, own=False)
    assert contents(fresh) == foreign


@pytest.mark.parametrize("size", [0, 39 * PAGE, 40 * PAGE - 1, 40 * PAGE + 1])
def test_snapshot_that_can_not_be_this_memory_is_refused(guest, size):
    with pytest.raises(BadRequest, match=f"{size} bytes does not fit"):
        restore(guest(PAGES), bytes(size))


def test_snapshot_for_a_module_without_memory_is_refused(guest):
    with pytest.raises(BadRequest, match="without memory"):
        restore(guest("(module)"), bytes(PAGE))
    restore(guest("(module)"), b"")


def test_snapshot_beyond_the_limits_is_a_limit_error(guest):
    with pytest.raises(GuestLimit):
        restore(guest(PAGES), bytes(61 * PAGE))
    with pytest.raises(GuestLimit):
        restore(guest(PAGES, limits=Limits(memory=41 * PAGE)), bytes(42 * PAGE))


@pytest.mark.parametrize("number", [-1, 40, 2**40])
def test_page_outside_of_the_snapshot_is_refused(guest, number):
    with pytest.raises(BadRequest, match=f"Page {number} is outside"):
        restore_pages(guest(PAGES), 40 * PAGE, [(number, bytes(PAGE))])


def test_page_of_another_size_is_refused(guest):
    with pytest.raises(BadRequest, match="Page 3 of a snapshot has 5 bytes"):
        restore_pages(guest(PAGES), 40 * PAGE, [(3, b"short")])


pokes = st.lists(st.tuples(st.integers(0, 40 * PAGE - 1), st.integers(0, 255)), max_size=5)


@settings(max_examples=30)
@given(rounds=st.lists(pokes, min_size=1, max_size=4))
def test_pages_kept_by_hash_always_rebuild_the_memory(rounds):
    engine_image = ENGINE.compile(assemble(PAGES))
    live, kept = Instance(engine_image), {}
    snapshots = Snapshots(live)
    for round_of_pokes in rounds:
        for address, value in round_of_pokes:
            live.call("poke", [address, value])
        snapshot = snapshots.take()
        kept |= {snapshot.pages[n]: snapshots.page(n) for n in snapshot.changed}
        rebuilt = Instance(engine_image)
        pages = [(n, kept[d]) for n, d in enumerate(snapshot.pages) if d != ZERO_DIGEST]
        restore_pages(rebuilt, snapshot.size, pages)
        assert contents(rebuilt) == contents(live)


ENGINE = Engine()


# State outside the memory.


GLOBALS = """
(module
  (memory (export "memory") 1)
  (table $t 4 funcref)
  (table $e 1 externref)
  (global $stack (mut i32) (i32.const 65536))
  (global $counter (export "counter") (mut i64) (i64.const 0))
  (global $vector (mut v128) (v128.const i64x2 0 0))
  (global $function (mut funcref) (ref.null func))
  (func (export "quiet")
    (global.set $stack (i32.sub (global.get $stack) (i32.const 16)))
    (i32.store (global.get $stack) (i32.const 7))
    (global.set $stack (i32.add (global.get $stack) (i32.const 16))))
  (func (export "count") (global.set $counter (i64.add (global.get $counter) (i64.const 1))))
  (func (export "back") (global.set $counter (i64.const 0)))
  (func (export "leak") (global.set $stack (i32.sub (global.get $stack) (i32.const 16))))
  (func (export "vector") (global.set $vector (v128.const i64x2 0 1)))
  (func $f (export "function") (global.set $function (ref.func $f)))
  (func (export "table") (table.set $t (i32.const 2) (ref.func $f)))
  (func (export "clear") (table.set $t (i32.const 2) (ref.null func)))
  (func (export "grow") (drop (table.grow $e (ref.null extern) (i32.const 1)))))
"""


def test_stack_pointer_that_is_back_is_no_state(guest):
    live = guest(GLOBALS)
    snapshots = Snapshots(live)
    live.call("quiet", [])
    assert snapshots.take().changed == (0,)


@pytest.mark.parametrize(
    ("function", "place"),
    [
        *(("count", "counter"), ("leak", "global:0"), ("vector", "global:2")),
        *(("function", "global:3"), ("table", "table:0"), ("grow", "table:1")),
    ],
)
def test_state_in_globals_and_tables_is_refused(guest, function, place):
    live = guest(GLOBALS)
    live.call(function, [])
    with pytest.raises(
        StateOutsideMemory, match=r"^Module keeps state outside its memory\.$"
    ) as caught:
        Snapshots(live).take()
    assert caught.value.status == 500
    assert str(caught.value.details["place"]).endswith(place)
    with pytest.raises(StateOutsideMemory):
        copy_memory(live, bytearray())


def test_state_that_is_gone_again_is_no_state(guest):
    live = guest(GLOBALS)
    for function in ("count", "back", "table", "clear"):
        live.call(function, [])
    assert Snapshots(live).take().size == PAGE


def test_what_start_functions_set_is_no_state(guest):
    live = guest(
        """(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
          (func (export "emscripten_stack_init") (global.set $g (i32.const 4096))))"""
    )
    assert Snapshots(live).take().size == PAGE


def test_reference_that_can_not_be_compared_is_state(guest):
    live = guest(
        """(module (memory (export "memory") 1) (tag $t) (global $g (mut exnref) (ref.null exn))
          (func (export "keep")
            (global.set $g (block $h (result exnref)
              (try_table (catch_all_ref $h) (throw $t)) unreachable))))"""
    )
    assert Snapshots(live).take().size == PAGE
    live.call("keep", [])
    with pytest.raises(StateOutsideMemory):
        Snapshots(live).take()
