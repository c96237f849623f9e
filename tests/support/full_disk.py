"""A disk that is full, as far as one process can tell: its files may not grow beyond a size."""

from __future__ import annotations

import sys

import trio

_SCRIPT = """
import resource, signal, trio
from hyperbeam_trio.errors import StoreError
from hyperbeam_trio.store import open_store

async def main():
    store = await open_store({uri!r})
    await store.put({before!r})
    try:
        await store.put({{key: b"2" * size for key, size in {sizes!r}.items()}})
    except StoreError as error:
        print(error)
    await store.put({{"after": b"a"}})
    await store.close()

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
trio.run(main)
"""


async def put_on_full_disk(uri: str, before: dict[str, bytes], sizes: dict[str, int]) -> str:
    """What a store says when values of these sizes do not fit.

    `before` them it takes others, and the key `after` when it has refused them.
    """
    script = _SCRIPT.format(uri=uri, before=before, sizes=sizes)
    done = await trio.run_process([sys.executable, "-c", script], capture_stdout=True)
    return done.stdout.decode()
