"""Proving that a store is intact: every binary and message is hashed again (spec/04 §11.3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.layout import (
    ALIAS,
    COMMITMENTS,
    DATA,
    MESSAGE,
    NAME,
    PACKED,
    PARTS,
    RESULT,
    escape,
)
from hyperbeam_trio.cache.linking import Content, links
from hyperbeam_trio.cache.reading import Reader
from hyperbeam_trio.cache.staging import commitment_key
from hyperbeam_trio.cache.walk import Found, Progress, Walk, read_window, windows
from hyperbeam_trio.codec.ids import fresh_id, june_link_id, linked_body
from hyperbeam_trio.crypto.encoding import combine_ids, hash_id
from hyperbeam_trio.errors import BadRequest, CorruptData
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Store

MOST_SUSPECTS: Final = 10_000
"""Keys whose referrers are looked for after a walk; of more only the first."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A stored value that is not what it should be (`damaged`), or is not there (`missing`).

    What links to a message may be stored before the message is: missing is not always wrong.
    """

    key: str
    reason: str
    kind: Literal["damaged", "missing"] = "damaged"


@dataclass(frozen=True, slots=True)
class Reference:
    """`referrer` points at `key`, which is damaged or missing. Both are store keys."""

    key: str
    referrer: str


async def verify(
    store: Store, *, after: str = "", referrers: bool = True
) -> AsyncGenerator[Progress | Damage | Reference, None]:
    """Check all that lies behind the key `after`; say what is wrong, then who points at it.

    The second part is left out without `referrers`. Binaries are hashed, ids of messages computed
    again from their records, links followed by one step. Memory: a batch of keys and one message
    with its binaries. Close it when you stop early.
    """
    inspector = Inspector(store)
    done = Progress(after)
    suspects: set[str] = set()
    walk = Walk(store, after=after)
    while keys := await walk.more():
        size = 0
        for window in windows(keys):
            for key, found in await read_window(store, window):
                size += len(found) if isinstance(found, bytes) else 0
                for damage in await inspector.inspect(key, found):
                    if damage.kind == "damaged" and len(suspects) < MOST_SUSPECTS:
                        suspects.add(damage.key)
                    yield damage
        done = done.plus(keys[-1], len(keys), size)
        yield done
    # Aliases first: who points at an alias of a suspect points at the suspect.
    walk = Walk(store, namespaces=(PACKED, PARTS, ALIAS, COMMITMENTS, MESSAGE, RESULT, NAME))
    while referrers and suspects and (keys := await walk.more()):
        for reference in await _references(store, keys, suspects):
            yield reference


async def _references(store: Store, keys: Sequence[str], suspects: set[str]) -> list[Reference]:
    """Which of `keys` point at suspects; aliases that do become suspects themselves."""
    references = []
    for window in windows(keys):
        for key, found in await read_window(store, window):
            if not isinstance(found, bytes) or check(key, found) is not None:
                continue
            hit = suspects.intersection(targets(key, record.decode(key, found)))
            references += [Reference(target, key) for target in sorted(hit)]
            if hit and key.startswith((PACKED, PARTS, ALIAS)):
                suspects.add(key)
    return references


def check(key: str, found: Found) -> Damage | None:
    """What hash or checksum say of a stored value."""
    if found is None:
        return Damage(key, "it is not stored", "missing")
    if isinstance(found, CorruptData):
        return Damage(key, found.text)
    if key.startswith(DATA):
        sound = hash_id(found) == key.removeprefix(DATA)
        return None if sound else Damage(key, "its hash does not hold")
    try:
        record.check(key, found)
    except CorruptData as damage:
        return Damage(key, damage.text)
    return None


def targets(key: str, content: Content) -> Iterator[str]:
    """The store keys that a record under `key` points at, aliases in both their forms."""
    for link in links(content):
        if link.kind == "binary":
            yield DATA + link.id
            yield PACKED + link.id
            yield PARTS + link.id
        else:
            yield MESSAGE + link.id
            yield ALIAS + escape(link.id)
    if key.startswith(COMMITMENTS):
        yield MESSAGE + key.split("/")[1]
    if key.startswith(ALIAS) and isinstance(content, dict):
        yield from _alias_targets(content)


def _alias_targets(content: Mapping[str, Value]) -> Iterator[str]:
    message = content.get("message")
    if isinstance(message, Link):
        for id in _ids(content.get("commitments")):
            yield commitment_key(message.id, id)


class Inspector(Reader):
    """Looks at one stored value at a time."""

    async def inspect(self, key: str, found: Found) -> list[Damage]:
        """What is wrong with the value under `key`, or missing for it."""
        if found is None:
            return []
        damage = check(key, found)
        if damage is not None or not isinstance(found, bytes) or key.startswith(DATA):
            return [damage] if damage is not None else []
        try:
            content = record.decode(key, found)
        except CorruptData as problem:
            return [Damage(key, problem.text)]
        report = [
            Damage(target, f"{key} points at it, but it is not stored", "missing")
            for target in await self._missing(key, content)
        ]
        wrong = await self._wrong_id(key, content)
        return [*report, Damage(key, wrong)] if wrong else report

    async def _missing(self, key: str, content: Content) -> list[str]:
        missing = []
        for link in links(content):
            if link.kind == "message":
                if not await self.exists(link.id):
                    missing.append(MESSAGE + link.id)
            elif not await self._has_binary(link):
                missing.append(DATA + link.id)
        others = [t for t in targets(key, content) if t.startswith(COMMITMENTS)]
        if key.startswith(COMMITMENTS):
            others.append(MESSAGE + key.split("/")[1])
        return missing + [key for key in others if not await self._has(key)]

    async def exists(self, id: str) -> bool:
        """Whether something of this id is stored, be it damaged: that is reported by itself."""
        try:
            return await super().exists(id)
        except CorruptData:
            return True

    async def _has(self, key: str) -> bool:
        try:
            return await self.store.view(key, len) is not None
        except CorruptData:
            return True

    async def _has_binary(self, link: Link) -> bool:
        keys = (DATA + link.id, PACKED + link.id, PARTS + link.id)
        return any([await self._has(key) for key in keys])

    async def _wrong_whole(self, key: str) -> str | None:
        """What is wrong with the parts that are listed under `key`, read one by one."""
        try:
            async with aclosing(self.read_pieces(Link(key.removeprefix(PARTS), "binary"))) as parts:
                async for _ in parts:
                    pass
        except CorruptData as damage:
            return damage.text
        return None

    async def _wrong_page(self, id: str) -> str | None:
        try:
            page = await self._page(id)
            if page is not None:
                page.content()
        except CorruptData as damage:
            return damage.text
        return None

    async def _wrong_id(self, key: str, content: Content) -> str | None:
        """What is wrong with the id in `key`, computed again."""
        if key.startswith(PARTS):
            return await self._wrong_whole(key)
        if key.startswith(PACKED):
            return await self._wrong_page(key.removeprefix(PACKED))
        try:
            if key.startswith(MESSAGE):
                whole = await self._with_binaries(content)
                id = None if whole is None else fresh_id(whole)
            elif key.startswith(ALIAS) and isinstance(content, dict):
                id = await self._alias_id(content)
            else:
                return None
        except BadRequest as problem:
            return f"it has no id: {problem.text}"
        named = key.partition("/")[2]
        return None if id in (None, named) else f"its content has the id {id}"

    async def _alias_id(self, content: Mapping[str, Value]) -> str | None:
        """The id that an alias should have: that of its commitments together, or of June 2025."""
        target, ids = content.get("message"), _ids(content.get("commitments"))
        if ids or not isinstance(target, Link):
            return combine_ids(ids)
        ((key, found),) = await read_window(self.store, [MESSAGE + target.id])
        if not isinstance(found, bytes):
            return None
        whole = await self._with_binaries(record.decode(key, found))
        return None if whole is None else june_link_id(whole)

    async def _with_binaries(self, content: Content) -> Message | list[Value] | None:
        """A record's content as its id is computed; `None` when a binary can't be had."""
        items = content if isinstance(content, dict) else dict(_numbered(content))
        loaded = dict(items)
        body = linked_body(items) if content is items else None
        for key, value in items.items():
            if isinstance(value, Link) and value.kind == "binary":
                ((where, found),) = await read_window(self.store, [DATA + value.id])
                if found is None and key == body:
                    # In parts: those are checked as such, and the link's id is all that counts.
                    continue
                if not isinstance(found, bytes) or check(where, found) is not None:
                    return None
                loaded[key] = found
        return Message.of(loaded) if content is items else list(loaded.values())


def _numbered(items: list[Value]) -> Iterator[tuple[str, Value]]:
    return ((str(number), item) for number, item in enumerate(items, 1))


def _ids(value: Value) -> list[str]:
    items = value if isinstance(value, list) else []
    return [item.decode() for item in items if isinstance(item, bytes)]
