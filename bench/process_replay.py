"""Replaying processes on an LMDB store: `process.replay_*`, `process.bytes_per_slot`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from bench.processes import Program, aos, compute, lua, scheduled
from bench.timing import ROUNDS, Result, summary
from hyperbeam_trio.message import Link
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node


def run(quick: bool) -> list[Result]:
    """Slots a second, a state kept for each; bytes a slot, with a snapshot at each too."""
    return [
        *replay("process.replay_aos", aos(), 150 if quick else 1000),
        *replay("process.replay_lua", lua(), 200 if quick else 1000),
        stored(aos(), 20 if quick else 200),
    ]


@asynccontextmanager
async def node_on_disk(**options: Any) -> AsyncIterator[tuple[Node, Path]]:
    """A node and the LMDB file that it writes to."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_node(store=[f"lmdb://{folder}/data"], **options) as node:
            yield node, Path(folder) / "data" / "data.mdb"


def replay(name: str, program: Program, slots: int) -> list[Result]:
    """Slots a second by the clock, and what one takes of all threads' CPU time.

    The clock counts only on a machine that does nothing else: guests run beside the loop.
    """
    spent, waited = trio.run(_replay, program, slots)
    note = f"{program.name}, {slots} slots"
    cpu = [1e6 * seconds / slots for seconds in spent]
    return [
        summary(name, [slots / seconds for seconds in waited], "slots/s", note=note),
        summary(f"{name}_cpu", cpu, "us/slot", "lower", "CPU time of all threads"),
    ]


async def _replay(program: Program, slots: int) -> tuple[list[float], list[float]]:
    """Seconds of CPU time and by the clock, each round with a process of its own."""
    spent, waited = [], []
    async with node_on_disk() as (node, _):
        for turn in range(-1, ROUNDS):
            process = await scheduled(node, program, slots, turn)
            # The first slots start the guest; the worker answers the second question when it has
            # kept the snapshot that it takes after the first.
            await compute(node, process, 2)
            await node.resolve(Link(process), "snapshot")
            cpu, clock = time.process_time(), time.perf_counter()
            await compute(node, process, slots)
            if turn >= 0:
                spent.append((time.process_time() - cpu) * slots / (slots - 2))
                waited.append((time.perf_counter() - clock) * slots / (slots - 2))
    return spent, waited


def stored(program: Program, slots: int) -> Result:
    """How much the store's file grows with each slot that leaves a state and a snapshot."""
    note = f"{program.name}, {slots} slots, growth of the LMDB file"
    value = trio.run(_stored, program, slots)
    return summary("process.bytes_per_slot", [value / 1000], "kB", "lower", note)


async def _stored(program: Program, slots: int) -> float:
    begun = 10
    async with node_on_disk(process_snapshot_slots=1) as (node, file):
        process = await scheduled(node, program, begun + slots, "stored")
        before = await _size(node, file, process, begun)
        return (await _size(node, file, process, begun + slots) - before) / slots


async def _size(node: Node, file: Path, process: str, slot: int) -> int:
    """Bytes that the file has on disk once a slot and its snapshot are kept."""
    await compute(node, process, slot)
    # The worker answers this after it has kept the snapshot.
    await node.resolve(Link(process), "snapshot")
    return (await trio.Path(file).stat()).st_blocks * 512
