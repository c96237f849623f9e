"""Store entries in ANS-104 bundles: each a signed item whose tags say its store key.

`export` writes them as an archive, a directory of bundles that permanent storage takes as they are;
one bundle of those, from wherever it comes, is enough to take back what is in it.
"""

from __future__ import annotations

import mmap
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import trio

from hyperbeam_trio.cache.copying import BATCH_BYTES
from hyperbeam_trio.cache.layout import NAMESPACES
from hyperbeam_trio.cache.verify import Damage, check
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.crypto.bundle import Bundle
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.store import Store, check_key

KEY: Final = b"Store-Key"
OPERATION: Final = b"Store-Operation"
"""Absent where the item's data is the value of the key from now on."""
MANIFEST: Final = b"Store-Manifest"
"""On the item that lists the others of its bundle."""
_AT_ONCE: Final = 256


def mapped_bundle(path: Path) -> Bundle:
    """The bundle in a file, which is not read whole; `BadRequest` for a file that is none."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise BadRequest(f"{path} is empty, and so neither exported lines nor a bundle.")
        # Closed with the last view of it.
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return Bundle(view)
    except InvalidField as error:
        raise BadRequest(
            f"{path} holds neither exported lines nor an ANS-104 bundle ({error})."
        ) from error


async def import_bundle(bundle: Bundle, store: Store) -> AsyncGenerator[Progress | Damage, None]:
    """Put the entries of a bundle into `store`, each checked: its signature, and its value.

    Yields a `Progress` when a batch is durable, and a `Damage` for each item that is left out.
    Doing it again is harmless. Memory: a batch, or one value.
    """
    done, batch, size = Progress(""), dict[str, bytes](), 0
    for place in range(len(bundle)):
        found = await trio.to_thread.run_sync(_entry, bundle, place)
        if isinstance(found, Damage):
            yield found
        elif found is not None:
            batch[found[0]] = found[1]
            size += len(found[1])
        if size >= BATCH_BYTES or len(batch) >= _AT_ONCE or (batch and place == len(bundle) - 1):
            await store.put(batch)
            done = done.plus(next(reversed(batch)), len(batch), size)
            yield done
            batch, size = {}, 0


def _entry(bundle: Bundle, place: int) -> tuple[str, bytes] | Damage | None:
    where = f"item {bundle.ids[place]}"
    try:
        item = bundle[place]
        if item.tag(MANIFEST) is not None:
            return None
        if not item.verify():
            return Damage(where, "its signature does not hold")
        return _read(where, item)
    except (InvalidField, UnicodeDecodeError, ValueError) as problem:
        return Damage(where, f"it can't be read: {problem}")


def _read(where: str, item: DataItem) -> tuple[str, bytes] | Damage:
    key = (item.tag(KEY) or b"").decode()
    if not key.startswith(NAMESPACES) or item.tag(OPERATION) is not None:
        return Damage(where, "it is no entry of a message store")
    check_key(key)
    value = bytes(item.data)
    return check(key, value) or (key, value)
