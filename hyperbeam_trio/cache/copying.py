"""Copying one store into another, checked on the way."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from hyperbeam_trio.cache.verify import Damage, check
from hyperbeam_trio.cache.walk import Progress, Walk, read_window, windows
from hyperbeam_trio.store import Store

BATCH_BYTES: Final = 4 * 1024 * 1024


async def copy(
    source: Store, target: Store, *, after: str = ""
) -> AsyncGenerator[Progress | Damage, None]:
    """Put all that `source` holds behind the key `after` into `target`.

    Yields a `Progress` after each batch that is durable in the target, and a `Damage` for each
    value that does not match its hash or checksum and was therefore left out. Content goes first,
    names last. Memory: a batch, or one binary if that is larger. Close it when you stop early.
    """
    done = Progress(after)
    walk = Walk(source, after=after)
    while keys := await walk.more():
        batch: dict[str, bytes] = {}
        for window in windows(keys):
            for key, found in await read_window(source, window):
                damage = check(key, found)
                if isinstance(found, bytes) and damage is None:
                    batch[key] = found
                elif damage is not None and found is not None:
                    yield damage
            if sum(map(len, batch.values())) >= BATCH_BYTES:
                done = await _put(target, batch, done, window[-1])
                batch = {}
                yield done
        done = await _put(target, batch, done, keys[-1])
        yield done


async def _put(target: Store, batch: dict[str, bytes], done: Progress, cursor: str) -> Progress:
    if batch:
        await target.put(batch)
    return done.plus(cursor, len(batch), sum(map(len, batch.values())))
