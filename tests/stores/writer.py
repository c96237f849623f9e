"""A process that writes until it is killed: `python -m tests.stores.writer MODE URI [NAME]`.

`batches` writes numbered batches from many tasks and prints each number when it is acknowledged.
`slots` creates slots 0 … 199 with its NAME as the value and prints the slots that it won.
"""

import os
import sys
from hashlib import sha256

import trio

from hyperbeam_trio.store import Store, open_store

WRITERS = 8
ITEMS = 6
SLOTS = 200


def batch(name: str) -> dict[str, bytes]:
    """The items of a batch: each value tells whether it is whole."""
    seeds = (sha256(f"{name}/{item}".encode()).digest() for item in range(ITEMS))
    return {f"b/{name}/{item}": seed * (1 + seed[0]) for item, seed in enumerate(seeds)}


async def write_batches(store: Store, writer: int) -> None:
    for number in range(1_000_000):
        await store.put(batch(f"{writer}-{number}"))
        os.write(1, f"{writer}-{number}\n".encode())


async def take_slots(store: Store, name: str, first: int) -> None:
    for slot in range(first, SLOTS, WRITERS):
        if await store.create(f"slot/{slot:04}", name.encode()):
            os.write(1, f"{slot:04}\n".encode())


async def main(mode: str, uri: str, name: str = "") -> None:
    store = await open_store(uri)
    async with trio.open_nursery() as nursery:
        for writer in range(WRITERS):
            if mode == "batches":
                nursery.start_soon(write_batches, store, writer)
            else:
                nursery.start_soon(take_slots, store, name, writer)
    await store.close()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
