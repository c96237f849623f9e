"""A store as one file of JSON lines, for keeping and moving with any tool, and back again.

The first line is `{"format": "hyperbeam-trio store 1"}`, each further one `{"key": …, "value": …}`
with the store key and its value in base64, content first and names last as in a copy, and the last
`{"end": true}`. Every value proves itself, by its hash or its checksum, so a line that was changed
is found; a file without its last line was cut. Lines may be dropped, repeated and put together.
"""

from __future__ import annotations

import binascii
from collections.abc import AsyncGenerator
from typing import Final, Protocol

import orjson
import pybase64

from hyperbeam_trio.cache.copying import BATCH_BYTES
from hyperbeam_trio.cache.layout import NAMESPACES
from hyperbeam_trio.cache.verify import Damage, check
from hyperbeam_trio.cache.walk import Progress, Walk, read_window, windows
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.store import Store, check_key

HEAD: Final = orjson.dumps({"format": "hyperbeam-trio store 1"}) + b"\n"
END: Final = orjson.dumps({"end": True}) + b"\n"


class LineWriter(Protocol):
    """What an export is written to, such as an open `trio.Path`."""

    async def write(self, data: bytes, /) -> object: ...


class LineReader(Protocol):
    """What an import is read from."""

    async def readlines(self, hint: int, /) -> list[bytes]: ...


async def export(
    store: Store, file: LineWriter, *, after: str = ""
) -> AsyncGenerator[Progress | Damage, None]:
    """Write all that lies behind the key `after`; the first line only when that is nothing.

    Yields a `Progress` when a batch is written and a `Damage` for each value that is left out.
    """
    if not after:
        await file.write(HEAD)
    done = Progress(after)
    walk = Walk(store, after=after)
    while keys := await walk.more():
        batch = _Batch()
        for window in windows(keys):
            for key, found in await read_window(store, window):
                damage = check(key, found)
                if isinstance(found, bytes) and damage is None:
                    batch.add(key, found)
                elif damage is not None and found is not None:
                    yield damage
            if batch.size >= BATCH_BYTES:
                done = await batch.write(file, done, window[-1])
                yield done
        done = await batch.write(file, done, keys[-1])
        yield done
    await file.write(END)


async def import_lines(file: LineReader, store: Store) -> AsyncGenerator[Progress | Damage, None]:
    """Put what a file holds into `store`, each value checked; `BadRequest` for another file.

    Yields a `Progress` when a batch is durable, and a `Damage` for each line that is left out and
    for a file that was cut. Doing it again is harmless. Memory: a batch, or one value's line.
    """
    if await file.readlines(1) != [HEAD]:
        raise BadRequest("This is no exported store: its first line does not say so.")
    done, count, ended = Progress(""), 1, False
    while lines := await file.readlines(BATCH_BYTES):
        batch: dict[str, bytes] = {}
        for number, line in enumerate(lines, count + 1):
            if line in (HEAD, END):
                ended = line == END
                continue
            found = _entry(number, line)
            if isinstance(found, Damage):
                yield found
            else:
                batch[found[0]] = found[1]
        count += len(lines)
        if batch:
            await store.put(batch)
            cursor = next(reversed(batch))
            done = done.plus(cursor, len(batch), sum(map(len, batch.values())))
            yield done
    if not ended:
        yield Damage(f"line {count}", "the file ends before its end: it was cut", "missing")


class _Batch:
    """Lines that are written together."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self.size = 0

    def add(self, key: str, value: bytes) -> None:
        text = pybase64.b64encode_as_string(value)
        self._lines.append(orjson.dumps({"key": key, "value": text}) + b"\n")
        self.size += len(value)

    async def write(self, file: LineWriter, done: Progress, cursor: str) -> Progress:
        """Write the lines, forget them, and say how far that is."""
        done = done.plus(cursor, len(self._lines), self.size)
        await file.write(b"".join(self._lines))
        self._lines, self.size = [], 0
        return done


def _entry(number: int, line: bytes) -> tuple[str, bytes] | Damage:
    try:
        entry = orjson.loads(line)
        key, value = entry["key"], pybase64.b64decode(entry["value"], validate=True)
        if not isinstance(key, str):
            raise TypeError(f"its key should be text, not {type(key).__name__}")
        check_key(key)
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError) as problem:
        return Damage(f"line {number}", f"it is no entry of a store: {problem}")
    if not key.startswith(NAMESPACES):
        return Damage(f"line {number}", f"{key!r} is no key of a message store")
    return check(key, value) or (key, value)
