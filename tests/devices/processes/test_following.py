"""Slots that are computed in a row: the scheduler is asked for several at once (spec/05 §4.8)."""

from __future__ import annotations

import pytest

from hyperbeam_trio.device import key
from hyperbeam_trio.devices.scheduler import SchedulerDevice
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.processes.conftest import Running, spawn

SLOTS = 40
asked: list[int] = []


class Asked(SchedulerDevice):
    """Notes behind which slots it was asked for the next."""

    @key
    async def next(self, base, request, context):
        asked.append(base.int("at-slot", -1))
        return await super().next(base, request, context)


DEVICES = {"scheduler@1.0": Asked}


@pytest.fixture(autouse=True)
def nothing_asked():
    asked.clear()


async def _process(node, slots: int = SLOTS) -> Running:
    process = await spawn(node, seed="1")
    for _ in range(slots):
        await process.send()
    return process


async def test_a_run_of_slots_asks_once_for_several():
    async with running_node(devices=DEVICES) as node:
        process = await _process(node)
        await process.state(SLOTS)
        assert 2 <= len(asked) <= SLOTS // 4
        assert asked == sorted(set(asked))


async def test_its_states_are_those_of_slots_computed_one_by_one():
    async with running_node(devices=DEVICES) as node:
        process = await _process(node)
        expected = await process.ids(SLOTS + 1)
        assert asked == list(range(-1, SLOTS))
    async with running_node() as node:
        process = await _process(node)
        await process.state(SLOTS)
        assert await process.ids(SLOTS + 1) == expected


async def test_without_looking_ahead_each_slot_is_asked_for():
    async with running_node(devices=DEVICES, scheduler_lookahead=False) as node:
        process = await _process(node, 10)
        await process.state(10)
        assert asked == list(range(-1, 10))


async def test_slots_scheduled_later_are_found():
    async with running_node(devices=DEVICES) as node:
        process = await _process(node, 12)
        await process.state(12)
        slot = await process.send()
        state = await process.state(slot)
        assert isinstance(state, Message)
        assert state["at-slot"] == slot
