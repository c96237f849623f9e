"""Reading messages from a store, whole and by key (spec/04 §6.3).

What comes back is checked: records by their checksums, binaries by their hash; `CorruptData` names
what is damaged. Nested messages and large binaries come as links, which `loading` follows. Nothing
here takes a checkpoint unless the store has to wait or a long walk gives way to others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import trio

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.layout import ALIAS, COMMITMENTS, DATA, MESSAGE, escape
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.cache.record import MISSING, Missing, damaged
from hyperbeam_trio.cache.staging import HASH_INLINE_BYTES, commitment_key
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Store

D = TypeVar("D")
Loaded: TypeAlias = "Message | list[Value] | bytes"
Wanted: TypeAlias = Literal["asked", "all", "none"]

WHOLE_BYTES: Final = 64 * 1024
"""Larger records are decoded page by page, giving way to other tasks in between."""
PAGES_AT_A_TIME: Final = 32
ALIASES: Final = 8192
"""Aliases that are remembered; each costs some 400 bytes."""

_EVIDENCE = ("base", "item", "item-tail")
_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Alias(NamedTuple):
    """What a signed id stands for: a message, and the commitments to show with it."""

    message: str
    commitments: tuple[str, ...]


class Reader:
    """The reading half of a cache over `store`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._aliases: Memo[str, Alias] = Memo(ALIASES)
        self._hashing = trio.CapacityLimiter(2)

    async def read(self, id: str, *, commitments: Wanted = "asked") -> Loaded | None:
        """The message, list or binary of an id; `None` when it is not stored.

        `id` is an unsigned id, the id of a commitment, or the combined id of several. Nested
        messages and lists come as `Link(id)`, binaries over `BLOB_BYTES` as `Link(kind="binary")`.
        Commitments "asked": those that the id names, and the unsigned one where one was stored;
        "all": every one that is known; "none": none. Raises `CorruptData`.
        """
        if _ID.fullmatch(id) is None:
            return None
        content = await self._content(id)
        if content is not None:
            return await self._with_commitments(content, Alias(id, ()), commitments)
        alias = await self._alias(id)
        if alias is None:
            return await self._blob(id)
        content = await self._content(alias.message)
        if content is None:
            return None
        return await self._with_commitments(content, alias, commitments)

    async def read_key(
        self, id: str, key: str, default: D | Missing = MISSING
    ) -> Value | D | Missing:
        """The value of exactly this key of a stored message or list, without reading the others.

        `default` when the message has no such key, or when there is no such message: ask `exists`
        to tell. Nested messages and large binaries come as links.
        """
        name = MESSAGE + id
        found = await self.store.view(name, lambda view: (record.find(name, view, key),))
        if found is None:
            alias = await self._alias(id) if _ID.fullmatch(id) else None
            if alias is None:
                return default
            name = MESSAGE + alias.message
            found = await self.store.view(name, lambda view: (record.find(name, view, key),))
        return default if found is None or found[0] is MISSING else found[0]

    async def keys(self, id: str) -> list[str] | None:
        """The keys of a stored message, sorted, or "1".."n" of a list; `None` without it."""
        if _ID.fullmatch(id) is None:
            return None
        for target in (id, (await self._alias(id) or Alias(id, ())).message):
            name = MESSAGE + target
            data = await self.store.get(name)
            if data is not None:
                return record.keys(name, data)
        return None

    async def exists(self, id: str) -> bool:
        """Whether a message, list or binary of this id is stored; nothing of it is read."""
        if _ID.fullmatch(id) is None:
            return False
        for key in (MESSAGE + id, DATA + id):
            if await self.store.view(key, len) is not None:
                return True
        alias = await self._alias(id)
        return alias is not None and await self.exists(alias.message)

    async def load_evidence(self, message: Message) -> Message:
        """A message that was read, its commitments with the evidence that was stored with them.

        `read` brings along only what is small.
        """
        id = fresh_id(message)
        loaded = []
        for commitment in message.commitments.values():
            items = dict(await self._note(commitment_key(id, commitment.id)) or {})
            for name in _EVIDENCE:
                items[name] = await self._unblob(items.get(name))
            loaded.append(_with_evidence(commitment, items, message))
        return message.with_commitments(loaded)

    # Messages.

    async def _content(self, id: str) -> Message | list[Value] | None:
        key = MESSAGE + id
        items = await self.store.view(key, lambda view: _open(key, view))
        if isinstance(items, bytes):
            items = await _decode_in_turns(key, items)
        if not isinstance(items, dict):
            return items
        message = Message.of(items)
        message._id = id
        return message

    async def _with_commitments(
        self, content: Message | list[Value], alias: Alias, wanted: Wanted
    ) -> Message | list[Value]:
        if wanted == "none" or type(content) is not Message:
            return content
        if wanted == "all":
            keys = await self.store.list(f"{COMMITMENTS}{alias.message}/")
        else:
            keys = [commitment_key(alias.message, id) for id in alias.commitments]
        held = [await self._commitment(key, content) for key in keys]
        if None in held:
            raise damaged(keys[held.index(None)], "an alias names it, but it is gone")
        if wanted == "asked" and alias.message not in alias.commitments:
            held.append(
                await self._commitment(commitment_key(alias.message, alias.message), content)
            )
        found = [commitment for commitment in held if commitment is not None]
        return content.with_commitments(found) if found else content

    async def _commitment(self, key: str, content: Message) -> Commitment | None:
        items = await self._note(key)
        if items is None:
            return None
        commitment = _commitment_of(key, items)
        if any(isinstance(items.get(name), Link) for name in _EVIDENCE):
            return commitment
        return _with_evidence(commitment, items, content)

    async def _alias(self, id: str) -> Alias | None:
        known = self._aliases.get(id)
        if known is not None:
            return known
        key = ALIAS + escape(id)
        items = await self._note(key)
        if items is None:
            return None
        target, ids = items.get("message"), items.get("commitments")
        if not isinstance(target, Link) or not isinstance(ids, list):
            raise damaged(key, "it names no message")
        alias = Alias(target.id, tuple([id.decode() for id in ids if isinstance(id, bytes)]))
        self._aliases.set(id, alias)
        return alias

    async def _note(self, key: str) -> dict[str, Value] | None:
        """A record of ours that is no message."""
        data = await self.store.get(key)
        if data is None:
            return None
        items = record.decode(key, data)
        if not isinstance(items, dict):
            raise damaged(key, "it is a list")
        return items

    # Binaries.

    async def _unblob(self, value: Value) -> Value:
        return await self._blob(value.id) if isinstance(value, Link) else value

    async def _blob(self, id: str) -> bytes | None:
        data = await self.store.get(DATA + id)
        if data is not None and await self._hash(data) != id:
            raise damaged(DATA + id, "its hash does not hold")
        return data

    async def _hash(self, data: bytes) -> str:
        if len(data) <= HASH_INLINE_BYTES:
            return hash_id(data)
        return await trio.to_thread.run_sync(hash_id, data, limiter=self._hashing)


def _open(key: str, view: memoryview) -> dict[str, Value] | list[Value] | bytes:
    """A record's items, or the bytes of one that takes long to decode."""
    data = bytes(view)
    return data if len(data) > WHOLE_BYTES else record.decode(key, data)


async def _decode_in_turns(key: str, data: bytes) -> dict[str, Value] | list[Value]:
    items: dict[str, Value] = {}
    for number, page in enumerate(record.pages(key, data), 1):
        items.update(page)
        if number % PAGES_AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
    return record.gather(key, data, items)


def _commitment_of(key: str, items: Mapping[str, Value]) -> Commitment:
    fields, id = items.get("commitment"), items.get("id")
    if not isinstance(fields, Message) or not isinstance(id, bytes):
        raise damaged(key, "it holds no commitment")
    try:
        return Commitment.from_message(id.decode(), fields)
    except ValueError as problem:
        raise damaged(key, str(problem)) from problem


def _with_evidence(
    commitment: Commitment, items: Mapping[str, Value], content: Message
) -> Commitment:
    """The commitment with what was signed, if that was stored, about the values of `content`."""
    base, head, tail = map(items.get, _EVIDENCE)
    named = items.get("values")
    names = commitment.committed
    if isinstance(named, list):
        names = tuple([name.decode() for name in named if isinstance(name, bytes)])
    item = head + tail if isinstance(head, bytes) and isinstance(tail, bytes) else None
    if (base is None and item is None) or not content.keys() >= frozenset(names):
        return commitment
    values = {name: content[name] for name in names}
    return commitment.with_evidence(
        Evidence(values, base if isinstance(base, bytes) else None, item)
    )
