"""Three nodes on one bucket: clients post to all of them at once, and every slot is counted.

`stores.shared_slots` is how many slots a second they give to one process together, by the clock;
`stores.shared_slot_faults` counts slots that are missing, that were given twice, or that hold
another message than their client was told.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from bench.load import Load
from bench.scheduling import make_process, post_all
from bench.timing import Result
from hyperbeam_trio.cache import Cache
from hyperbeam_trio.crypto.key_file import generate_wallet, save_wallet
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.store import open_stores
from tests.interop.seaweed import running_seaweed

NODES: Final = 3
CLIENTS: Final = 16
"""Connections to each node, each with one message at a time."""


def measure(count: int) -> list[Result]:
    """`stores.shared_slots` and `stores.shared_slot_faults`, over `count` slots."""
    with TemporaryDirectory(prefix="bench-shared-") as directory, ExitStack() as stack:
        place = Path(directory)
        store = stack.enter_context(running_seaweed(place)).uri("shared", retries=20, timeout=60)
        wallet = place / "wallet.json"
        save_wallet(generate_wallet("ed25519"), wallet)
        options = f"store={store}", f"priv-key-location={wallet}"
        nodes = [stack.enter_context(Load.of_node(*options)) for _ in range(NODES)]
        process, requests = make_process(nodes[0], count, wallet)
        begun = time.perf_counter()
        told = post_all([node.port for node in nodes] * CLIENTS, iter(requests))
        seconds = time.perf_counter() - begun
        faults = trio.run(count_faults, store, process, told)
    note = f"{count:,} slots, {NODES} nodes on one bucket, wall clock"
    return [
        Result("stores.shared_slots", count / seconds, "/s", note=note),
        Result("stores.shared_slot_faults", faults, "", "lower", note="duplicates and holes"),
    ]


async def count_faults(uri: str, process: str, told: Sequence[int]) -> int:
    """Slots that were told twice, or told and not stored, or not told; and messages twice."""
    store = await open_stores([uri])
    try:
        slots = Slots(Cache(store), process)
        newest = await slots.newest()
        bodies: list[str] = []
        async with trio.open_nursery() as nursery:
            limiter = trio.CapacityLimiter(16)

            async def look(slot: int) -> None:
                async with limiter:
                    assignment = await slots.read(slot)
                    if assignment is not None and assignment.int("slot") == slot:
                        bodies.append(str(assignment.get("body")))

            for slot in range(newest + 1):
                nursery.start_soon(look, slot)
    finally:
        await store.close()
    # Slot 0 is the process itself, which was scheduled before.
    repeated = len(told) - len(set(told)) + len(bodies) - len(set(bodies))
    return repeated + len(set(told) ^ set(range(1, newest + 1))) + newest + 1 - len(bodies)


if __name__ == "__main__":
    for result in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        print(f"{result.name:34} {result.value:10.1f}")
