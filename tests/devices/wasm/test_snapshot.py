"""Snapshots, restoring, and state outside the memory (spec/06 §1.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperbeam_trio.cache.paging import Paged
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.outside import StateOutsideMemory
from hyperbeam_trio.devices.wasm.restoring import Restorer, restore, restore_copy
from hyperbeam_trio.devices.wasm.snapshot import ZERO_ID, copy_memory, take_snapshot
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


def test_a_snapshot_names_the_memory_and_its_pages_by_their_hashes(guest):
    paged = guest(PAGES)
    snapshot = take_snapshot(paged)
    whole = contents(paged)
    assert snapshot.size == len(whole) == 40 * PAGE
    assert snapshot.id == hash_id(whole)
    for number, id in enumerate(snapshot.pages):
        page = whole[number * PAGE : (number + 1) * PAGE]
        assert id == hash_id(page)
        assert snapshot.content(number) == page
    assert {n for n, id in enumerate(snapshot.pages) if id != ZERO_ID} == {0, 1, 20}


def test_pages_that_did_not_change_have_the_same_names_again(guest):
    paged = guest(PAGES)
    first = take_snapshot(paged)
    assert take_snapshot(paged).pages == first.pages
    paged.call("poke", [5 * PAGE + 17, 1])
    paged.call("poke", [39 * PAGE, 1])
    second = take_snapshot(paged)
    assert [n for n in range(40) if first.pages[n] != second.pages[n]] == [5, 39]
    paged.call("poke", [5 * PAGE + 17, 0])
    assert take_snapshot(paged).pages[5] == first.pages[5] == ZERO_ID


def test_grown_memory_is_taken_whole(guest):
    paged = guest(PAGES)
    paged.call("grow", [10])
    paged.call("poke", [45 * PAGE, 1])
    snapshot = take_snapshot(paged)
    assert snapshot.size == 50 * PAGE
    assert snapshot.pages[45] != ZERO_ID


def test_module_without_memory_has_no_snapshot(guest):
    assert take_snapshot(guest("(module)")) is None
    assert take_snapshot(guest('(module (memory (export "memory") 0))')) is None


def test_a_copy_brings_a_memory_back(guest):
    used, fresh = used_guest(guest), guest(PAGES)
    copy = copy_memory(used)
    used.call("poke", [5, 1])
    assert [number for number, _ in copy.pages] == [0, 1, 7]
    restore_copy(fresh, copy)
    restore_copy(used, copy)
    assert contents(fresh) == contents(used)


def test_a_copy_of_no_memory_is_empty(guest):
    copy = copy_memory(guest("(module)"))
    assert copy.size == 0
    restore_copy(guest("(module)"), copy)


# Restoring.


def restore_from(instance: Instance, snapshot: Paged) -> None:
    restorer = Restorer(instance, snapshot.size)
    numbered = enumerate(snapshot.pages)
    restorer.write((n, snapshot.content(n)) for n, id in numbered if id != ZERO_ID)
    restorer.finish()


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
    fresh = guest(PAGES)
    restore_from(fresh, take_snapshot(used))
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
        Restorer(guest(PAGES), 40 * PAGE).write([(number, bytes(PAGE))])


def test_page_of_another_size_is_refused(guest):
    with pytest.raises(BadRequest, match="Page 3 of a snapshot has 5 bytes"):
        Restorer(guest(PAGES), 40 * PAGE).write([(3, b"short")])


pokes = st.lists(st.tuples(st.integers(0, 40 * PAGE - 1), st.integers(0, 255)), max_size=5)


@settings(max_examples=30)
@given(rounds=st.lists(pokes, min_size=1, max_size=4))
def test_pages_kept_by_hash_always_rebuild_the_memory(rounds):
    engine_image = ENGINE.compile(assemble(PAGES))
    live, kept = Instance(engine_image), {}
    for round_of_pokes in rounds:
        for address, value in round_of_pokes:
            live.call("poke", [address, value])
        snapshot = take_snapshot(live)
        kept |= {id: snapshot.content(n) for n, id in enumerate(snapshot.pages) if id not in kept}
        rebuilt = Instance(engine_image)
        contents_by_number = [kept[id] for id in snapshot.pages]
        restore_from(rebuilt, replace(snapshot, content=contents_by_number.__getitem__))
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
    live.call("quiet", [])
    assert take_snapshot(live).pages != (ZERO_ID,)


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
        take_snapshot(live)
    assert caught.value.status == 500
    assert str(caught.value.details["place"]).endswith(place)
    with pytest.raises(StateOutsideMemory):
        copy_memory(live)


def test_state_that_is_gone_again_is_no_state(guest):
    live = guest(GLOBALS)
    for function in ("count", "back", "table", "clear"):
        live.call(function, [])
    assert take_snapshot(live).size == PAGE


def test_what_start_functions_set_is_no_state(guest):
    live = guest(
        """(module (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
          (func (export "emscripten_stack_init") (global.set $g (i32.const 4096))))"""
    )
    assert take_snapshot(live).size == PAGE


def test_reference_that_can_not_be_compared_is_state(guest):
    live = guest(
        """(module (memory (export "memory") 1) (tag $t) (global $g (mut exnref) (ref.null exn))
          (func (export "keep")
            (global.set $g (block $h (result exnref)
              (try_table (catch_all_ref $h) (throw $t)) unreachable))))"""
    )
    assert take_snapshot(live).size == PAGE
    live.call("keep", [])
    with pytest.raises(StateOutsideMemory):
        take_snapshot(live)
