"""Reading and writing a guest's memory (spec/06 §7.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm.engine import Engine
from hyperbeam_trio.devices.wasm.guest import Limits
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.traps import MemoryFault
from hyperbeam_trio.errors import GuestLimit

from .conftest import assemble

PAGE = 1 << 16
WAT = """
(module
  (memory (export "memory") {width} 1 4)
  (func (export "grow") (drop (memory.grow ({width}.const 1)))))
"""
NARROW, WIDE = WAT.format(width="i32"), WAT.format(width="i64")


@pytest.fixture(params=[NARROW, WIDE])
def guest_with_memory(request, guest) -> Instance:
    return guest(request.param)


@pytest.fixture
def memory(guest_with_memory):
    return guest_with_memory.memory


def test_written_bytes_are_read_again(memory):
    memory.write(100, b"Hello")
    assert memory.read(98, 9) == b"\x00\x00Hello\x00\x00"


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4]])
def test_any_bytes_can_be_written(memory, data):
    memory.write(0, data)
    assert memory.read(0, 3) == b"abc"


def test_the_last_byte_is_inside_and_the_next_is_not(memory):
    memory.write(PAGE - 1, b"x")
    assert memory.read(PAGE - 1, 1) == b"x"
    assert memory.read(PAGE, 0) == b""
    with pytest.raises(MemoryFault, match="1 bytes at 0x10000 are not within"):
        memory.read(PAGE, 1)
    with pytest.raises(MemoryFault):
        memory.write(PAGE - 1, b"xy")


@pytest.mark.parametrize("length", [-1, 2**31, 2**63, 2**64])
def test_absurd_lengths_are_refused(memory, length):
    with pytest.raises(MemoryFault):
        memory.read(0, length)


@pytest.mark.parametrize("address", [-1, 2**31, 2**32 - 1, 2**63])
def test_addresses_far_off_are_refused(guest, address):
    with pytest.raises(MemoryFault):
        guest(WIDE).memory.read(address, 1)


def test_signed_addresses_of_a_32_bit_guest_are_unsigned(guest):
    with pytest.raises(MemoryFault, match="at 0x80000000 "):
        guest(NARROW).memory.read(-(2**31), 1)


def test_string_ends_at_nul(memory):
    memory.write(10, b"one\x00two\x00")
    assert memory.read_string(10) == b"one"
    assert memory.read_string(14) == b"two"
    assert memory.read_string(17) == b""


def test_string_without_end_is_refused(memory):
    memory.write(PAGE - 3, b"end")
    with pytest.raises(MemoryFault, match="has no end"):
        memory.read_string(PAGE - 3)
    with pytest.raises(MemoryFault):
        memory.read_string(PAGE + 1)


def test_growth_by_the_guest_is_seen_at_once(guest_with_memory):
    memory = guest_with_memory.memory
    memory.write(PAGE - 1, b"x")
    guest_with_memory.call("grow", [])
    assert memory.size == 2 * PAGE
    assert memory.read(PAGE - 1, 2) == b"x\x00"


def test_growth_by_the_host_ends_at_the_modules_maximum(memory):
    memory.grow_to(4 * PAGE)
    assert memory.size == 4 * PAGE
    memory.grow_to(2 * PAGE)
    assert memory.size == 4 * PAGE
    with pytest.raises(GuestLimit, match="memory limit"):
        memory.grow_to(5 * PAGE)


def test_growth_by_the_host_ends_at_the_limit(guest):
    with pytest.raises(GuestLimit):
        guest(NARROW, limits=Limits(memory=2 * PAGE)).memory.grow_to(3 * PAGE)


def test_view_shows_the_whole_memory_without_a_copy(memory):
    view = memory.view()
    memory.write(5, b"x")
    assert len(view) == PAGE
    assert view[5] == ord("x")


@given(address=st.integers(-(2**65), 2**65), data=st.binary(max_size=20))
def test_no_address_does_worse_than_a_fault(address, data):
    memory = FUZZED.memory
    try:
        memory.write(address, data)
    except MemoryFault:
        assert address & memory.mask > PAGE - 20
        return
    assert memory.read(address, len(data)) == data


FUZZED = Instance(Engine().compile(assemble(WIDE)))
