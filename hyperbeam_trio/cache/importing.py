"""Taking over what a store of HyperBEAM's holds (spec/04 §6.2, §12), proven on the way in.

Messages come first, then binaries, then names; each is stored in our own layout under the ids that
it had. What does not prove itself is told and left out. The source is only read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.flights import fetch_each
from hyperbeam_trio.cache.layout import ALIAS, DATA, MESSAGE, NAME, escape
from hyperbeam_trio.cache.older_layout import OlderMessages, Pointer, Proven, Tree, is_id
from hyperbeam_trio.cache.results import Cache
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.errors import BadRequest, CorruptData, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import MAX_VALUE_BYTES

AT_ONCE: Final = 256
"""Messages, binaries or names that become durable together."""
BATCH_BYTES: Final = 4 * 1024 * 1024

_PHASES: Final = (MESSAGE, DATA, NAME)
_MATCHES: Final = "~match@1.0&"
"""An index that is made anew from the messages."""
_SAID: Final = frozenset({"edges", "node", "assignment"})
"""Keys of what a scheduler of legacynet says of a slot (spec/05 §4.7)."""
_ASSIGNMENTS: Final = "~scheduler@1.0/assignments/"
_RENAMED: Final = {"assignments/": _ASSIGNMENTS}
"""What June 2025 called what has another name today (spec/05 §4.6)."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is no part of what proved itself, such as a result among a message's keys."""

    key: str
    reason: str


Finding: TypeAlias = "Progress | Damage | LeftOut"


async def import_tree(
    tree: Tree, cache: Cache, *, after: str = "", binaries: bool = True
) -> AsyncGenerator[Finding, None]:
    """Store what `tree` holds behind the cursor `after`; `BadRequest` for a cursor of others.

    Yields a `Progress` when a batch is durable, a `Damage` for what is left out since it does not
    prove itself, and a `LeftOut` for parts that are not taken. Without `binaries`, only those that
    a message holds are stored. Doing it again is harmless. Memory: a batch or the largest value,
    and what the tree needs to list its names. Nobody may write to the tree meanwhile.
    """
    begun = next((n for n, phase in enumerate(_PHASES) if after.startswith(phase)), 0)
    if after and not after.startswith(_PHASES):
        raise BadRequest(f"An import can't go on from {after!r}; it says where by itself.")
    importer = _Importer(tree, cache, Progress(after))
    for phase in _PHASES[begun:]:
        behind = after.removeprefix(phase) if after.startswith(phase) else ""
        if phase == MESSAGE:
            steps = importer.messages(behind)
        elif phase == DATA:
            steps = importer.binaries(behind) if binaries else _none()
        else:
            steps = importer.names(behind)
        async with aclosing(steps):
            async for finding in steps:
                yield finding


async def _none() -> AsyncGenerator[Finding, None]:
    return
    yield


class _Importer:
    def __init__(self, tree: Tree, cache: Cache, done: Progress) -> None:
        self._tree = tree
        self._older = OlderMessages(tree)
        self._cache = cache
        self._done = done

    def _pages(self, path: str, after: str) -> Iterator[Sequence[str]]:
        while names := self._tree.children(path, after, AT_ONCE):
            yield names
            after = names[-1]

    def _plus(self, cursor: str, count: int, size: int) -> Progress:
        self._done = self._done.plus(cursor, count, size)
        return self._done

    async def messages(self, after: str) -> AsyncGenerator[Finding, None]:
        """All messages and lists, and the ids that they had."""
        for names in self._pages("", after):
            await trio.lowlevel.checkpoint()
            batch: dict[str, Proven] = {}
            count, held = 0, 0
            for name in names:
                found = self._message(name)
                if isinstance(found, Damage):
                    yield found
                elif found is not None:
                    for finding in _told(name, found):
                        yield finding
                    batch[name] = found
                    count, held = count + 1, held + sum(_sizes(found.value))
                if held > BATCH_BYTES:
                    await self._write(batch)
                    batch, held = {}, 0
            await self._write(batch)
            yield self._plus(MESSAGE + names[-1], count, 0)

    def _message(self, name: str) -> Proven | Damage | None:
        """The message of an id; `None` for what is no message."""
        try:
            if not is_id(name) or isinstance(self._tree.entry(name), Pointer | bytes):
                return None
            proven = self._older.message(name)
        except CorruptData as damage:
            return Damage(MESSAGE + name, damage.text)
        if proven is not None and max(_sizes(proven.value), default=0) > MAX_VALUE_BYTES:
            return Damage(MESSAGE + name, f"one of its values has over {MAX_VALUE_BYTES} bytes")
        return proven

    async def _write(self, batch: dict[str, Proven]) -> None:
        await self._cache.write_many([proven.value for proven in batch.values()])
        aliases = {}
        for name, proven in batch.items():
            if proven.alias:
                target = Link(fresh_id(_bare(proven.value)))
                key = ALIAS + escape(name)
                aliases[key] = record.encode(key, {"message": target, "commitments": []})
        if aliases:
            await self._cache.store.put(aliases)

    async def binaries(self, after: str) -> AsyncGenerator[Finding, None]:
        """All binaries, under their hashes."""
        for names in self._pages("data", after):
            batch: list[Value] = []
            count, size, held = 0, 0, 0
            for name in names:
                try:
                    value = self._older.binary(f"data/{name}")
                except CorruptData as damage:
                    yield Damage(DATA + name, damage.text)
                    continue
                count, size = count + 1, size + len(value)
                if len(value) > MAX_VALUE_BYTES:
                    await self._cache.write_pieces(_pieces(value))
                    continue
                batch.append(value)
                held += len(value)
                if held > BATCH_BYTES:
                    await self._cache.write_many(batch)
                    batch, held = [], 0
            await self._cache.write_many(batch)
            yield self._plus(DATA + names[-1], count, size)

    async def names(self, after: str) -> AsyncGenerator[Finding, None]:
        """All names, and whether each other id leads to what it led to."""
        for roots in self._pages("", after):
            for root in roots:
                count = 0
                if is_id(root):
                    if self._is_pointer(root) and not await self._cache.exists(root):
                        yield Damage(ALIAS + root, "nothing that was stored proves this id")
                elif root != "data":
                    for paths in _batches(self._leaves(root)):
                        for finding in await self._name(paths):
                            yield finding
                        count += len(paths)
                if count:
                    yield self._plus(NAME + root, count, 0)

    def _is_pointer(self, root: str) -> bool:
        try:
            return isinstance(self._tree.entry(root), Pointer)
        except CorruptData:
            # It was told when the messages were read.
            return False

    def _leaves(self, root: str) -> Iterator[str]:
        """The paths at and below `root` that are no groups."""
        walks = [iter((root,))]
        while walks:
            path = next(walks[-1], None)
            if path is None:
                walks.pop()
            elif path.startswith(_MATCHES):
                continue
            elif self._is_leaf(path):
                yield path
            else:
                walks.append(map(f"{path}/".__add__, self._older.members(path)))

    def _is_leaf(self, path: str) -> bool:
        try:
            entry = self._tree.entry(path)
        except CorruptData:
            # Whoever asks for it is told.
            return True
        return entry is not None and isinstance(entry, Pointer | bytes)

    async def _name(self, paths: Sequence[str]) -> list[Finding]:
        found = await fetch_each(self._name_one, paths, AT_ONCE)
        return [finding for finding in found if finding is not None]

    async def _name_one(self, path: str) -> Finding | None:
        try:
            id = await self._target(path)
            if id is None:
                return LeftOut(NAME + path, "it leads to nothing that is a message or a binary")
            name = _renamed(path)
            if name.startswith(_ASSIGNMENTS):
                id = await self._as_said(path) or id
            await self._cache.link(name, id)
        except (CorruptData, NecessaryMessageNotFound) as damage:
            return Damage(NAME + path, damage.text, "missing")
        return None

    async def _as_said(self, path: str) -> str | None:
        """The id of a slot of legacynet as JSON: as a message it would lose the signatures inside.

        `None` for an assignment of today's form.
        """
        found = self._older.find(path)
        if found is None or isinstance(found[1], bytes):
            return None
        names = {name.removesuffix("+link") for name in self._older.members(found[0])}
        if names.isdisjoint(_SAID):
            return None
        return await self._cache.write(self._older.plain_json(path))

    async def _target(self, path: str) -> str | None:
        """The id that a name stands for: where its link leads, or that of the bytes it holds."""
        entry = self._tree.entry(path)
        if isinstance(entry, Pointer) and is_id(entry.target):
            # As it stands there: a signed id shows its signature.
            return entry.target
        found = self._older.find(path)
        if found is None:
            return None
        if isinstance(found[1], bytes):
            return await self._cache.write(self._older.binary(path))
        return found[0] if is_id(found[0]) else None


def _told(name: str, proven: Proven) -> Iterator[Finding]:
    for id in proven.false:
        yield Damage(
            f"{MESSAGE}{name}/commitments/{id}", "this commitment does not hold, or can't be read"
        )
    for key in proven.left_out:
        yield LeftOut(f"{MESSAGE}{name}/{key}", "no part of what its id or signatures cover")
    if not proven.named:
        reason = "its signatures hold, but not this id; it is stored under theirs"
        yield Damage(MESSAGE + name, reason)


def _sizes(value: Message | list[Value]) -> list[int]:
    items = value.values() if isinstance(value, Message) else value
    return [len(item) for item in items if isinstance(item, bytes)]


async def _pieces(value: bytes) -> AsyncGenerator[memoryview, None]:
    view = memoryview(value)
    for start in range(0, len(view), BATCH_BYTES):
        yield view[start : start + BATCH_BYTES]


def _bare(value: Message | list[Value]) -> Message | list[Value]:
    return value.with_commitments(()) if isinstance(value, Message) else value


def _batches(paths: Iterator[str]) -> Iterator[Sequence[str]]:
    batch: list[str] = []
    for path in paths:
        batch.append(path)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _renamed(name: str) -> str:
    for old, new in _RENAMED.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
