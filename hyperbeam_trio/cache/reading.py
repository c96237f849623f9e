"""Reading messages from a store, whole and by key (spec/04 §6.3).

What comes back is checked: records by their checksums, binaries by their hash; `CorruptData` names
what is damaged. Nested messages and large binaries come as links, which `loading` follows. Nothing
here takes a checkpoint unless the store has to wait or a long walk gives way to others.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import trio

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.layout import ALIAS, COMMITMENTS, DATA, MESSAGE, PACKED, PARTS, escape
from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.cache.packing import PAGE_BYTES, Packed, Page, read_packed
from hyperbeam_trio.cache.parts import JOIN_BYTES, Checker, listed_parts
from hyperbeam_trio.cache.record import MISSING, Missing, damaged
from hyperbeam_trio.cache.staging import HASH_INLINE_BYTES, commitment_key
from hyperbeam_trio.cache.vouching import EVIDENCE, note_of, stored_commitment, with_evidence
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import NecessaryMessageNotFound, TooLarge
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

LARGE_ONES: Final = 4096
"""Records known to be large: one key of them is read in place, without copying the record."""

_ID = re.compile(r"[A-Za-z0-9_-]{43}")


class Alias(NamedTuple):
    """What a signed id stands for: a message, and the commitments to show with it."""

    message: str
    commitments: tuple[str, ...]


class Reader:
    """The reading half of a cache over `store`."""

    def __init__(self, store: Store, *, join_bytes: int = JOIN_BYTES) -> None:
        self.store = store
        self._join_bytes = join_bytes
        self._get_nowait = store.get_nowait
        self._large: set[str] = set()
        self._aliases: Memo[str, Alias] = Memo(ALIASES)
        self._bare: Memo[str, bool] = Memo(ALIASES)
        self._commits = 0
        self.hashing = trio.CapacityLimiter(2)

    @property
    def join_bytes(self) -> int:
        """The most bytes that are put together in memory."""
        return self._join_bytes

    async def read(self, id: str, *, commitments: Wanted = "asked") -> Loaded | None:
        """The message, list or binary of an id; `None` when it is not stored.

        `id` is an unsigned id, the id of a commitment, or the combined id of several. Nested
        messages and lists come as `Link(id)`, binaries over `BLOB_BYTES` as `Link(kind="binary")`.
        Commitments "asked": those that the id names, and the unsigned one where one was stored;
        "all": every one that is known; "none": none. Raises `CorruptData`.

        Where the store has to wait, an unsigned commitment that was not there is not asked for
        again before this cache writes one: it says nothing that the message does not.
        """
        if len(id) != 43 or "/" in id or "\0" in id:
            return None
        content = await self._content(id)
        if content is None:
            return await self._read_alias(id, commitments)
        if type(content) is list or commitments == "none":
            return content
        if commitments == "asked":
            # Nearly always there is none, so ask for it in the cheapest way.
            try:
                unsigned = self._get_nowait(f"{COMMITMENTS}{id}/{id}")
            except trio.WouldBlock:
                unsigned = await self._unsigned(id)
            if unsigned is None:
                return content
        return await self._with_commitments(content, id, (), commitments)

    async def read_key(
        self, id: str, key: str, default: D | Missing = MISSING
    ) -> Value | D | Missing:
        """The value of exactly this key of a stored message or list, without reading the others.

        `default` when the message has no such key, or when there is no such message: ask `exists`
        to tell. Nested messages and large binaries come as links.
        """
        if len(id) != 43 or "/" in id or "\0" in id:
            return default
        found = await self._find(MESSAGE + id, key)
        if found is None:
            alias = await self._alias(id)
            found = await self._find(MESSAGE + alias.message, key) if alias else None
        return default if found is None or found[0] is MISSING else found[0]

    async def keys(self, id: str) -> list[str] | None:
        """The keys of a stored message, sorted, or "1".."n" of a list; `None` without it."""
        if _ID.fullmatch(id) is None:
            return None
        name = MESSAGE + id
        data = await self._get(name)
        if data is None and (alias := await self._alias(id)):
            name = MESSAGE + alias.message
            data = await self._get(name)
        return None if data is None else record.keys(name, data)

    async def exists(self, id: str) -> bool:
        """Whether a message, list or binary of this id is stored; nothing of it is read."""
        if _ID.fullmatch(id) is None:
            return False
        for key in (MESSAGE + id, DATA + id, PARTS + id):
            if await self.store.view(key, len) is not None:
                return True
        alias = await self._alias(id)
        return alias is not None and await self.store.view(MESSAGE + alias.message, len) is not None

    async def load_evidence(self, message: Message) -> Message:
        """A message that was read, its commitments with the evidence that was stored with them.

        `read` brings along only what is small.
        """
        id = fresh_id(message)
        loaded = []
        for commitment in message.commitments.values():
            items = dict(await self._note(commitment_key(id, commitment.id)) or {})
            for name in EVIDENCE:
                items[name] = await self._unblob(items.get(name))
            loaded.append(with_evidence(commitment, items, message))
        return message.with_commitments(loaded)

    async def linked_evidence(self, message: Message, commitment: Commitment) -> Evidence | None:
        """The header of the item that was signed, and the link to its data, where it lies apart."""
        items = await self._note(commitment_key(fresh_id(message), commitment.id)) or {}
        head, tail = await self._unblob(items.get("item")), items.get("item-tail")
        if not isinstance(head, bytes) or not isinstance(tail, Link):
            return None
        # Nothing is read of the data, but the names of the values are those of any evidence.
        named = with_evidence(commitment, {**items, "item": head, "item-tail": b""}, message)
        return named.evidence and replace(named.evidence, item=head, tail=tail)

    # Messages.

    async def _unsigned(self, id: str) -> bytes | None:
        """The stored unsigned commitment, asked for once while there is none."""
        if self._bare.get(id):
            return None
        begun = self._commits
        found = await self.store.get(f"{COMMITMENTS}{id}/{id}")
        if found is None and begun == self._commits:
            self._bare.set(id, True)
        return found

    def _note_commitment(self, id: str) -> None:
        """A commitment of the message `id` was written."""
        self._bare.discard(id)
        self._commits += 1

    async def _read_alias(self, id: str, commitments: Wanted) -> Loaded | None:
        alias = await self._alias(id)
        if alias is None:
            return await self._blob(id)
        content = await self._content(alias.message)
        if content is None:
            return None
        return await self._with_commitments(content, alias.message, alias.commitments, commitments)

    async def _find(self, name: str, key: str) -> tuple[Value | Missing] | None:
        """The value of one key, in a tuple, or `None` when there is no such record."""
        if name in self._large:
            return await self.store.view(name, lambda view: (record.find(name, view, key),))
        try:
            data = self._get_nowait(name)
        except trio.WouldBlock:
            data = await self.store.get(name)
        if data is None:
            return None
        if len(data) > WHOLE_BYTES:
            self._note_large(name)
        return (record.find(name, data, key),)

    def _note_large(self, name: str) -> None:
        if len(self._large) >= LARGE_ONES:
            self._large.clear()
        self._large.add(name)

    async def _get(self, key: str) -> bytes | None:
        """`store.get`, without the cost of a coroutine where the store need not wait."""
        try:
            return self._get_nowait(key)
        except trio.WouldBlock:
            return await self.store.get(key)

    async def _content(self, id: str) -> Message | list[Value] | None:
        key = MESSAGE + id
        try:
            data = self._get_nowait(key)
        except trio.WouldBlock:
            data = await self.store.get(key)
        if data is None:
            return None
        if len(data) > WHOLE_BYTES:
            items = await _decode_in_turns(key, data)
        else:
            items = record.decode(key, data)
        if not isinstance(items, dict):
            return items
        message = Message.of(items)
        message._id = id
        return message

    async def _with_commitments(
        self, content: Message | list[Value], id: str, named: Sequence[str], wanted: Wanted
    ) -> Message | list[Value]:
        """A message with the commitments `named`, and the unsigned one; or with others `wanted`."""
        if wanted == "none" or type(content) is not Message:
            return content
        held: list[Commitment | None] = []
        if wanted == "all":
            keys = await self.store.list(f"{COMMITMENTS}{id}/")
            held = [await self._commitment(key, content) for key in keys]
        else:
            for name in named:
                held.append(await self._vouched(commitment_key(id, name), content))
            if id not in named:
                held.append(await self._commitment(f"{COMMITMENTS}{id}/{id}", content))
        found = [commitment for commitment in held if commitment is not None]
        return content.with_commitments(found) if found else content

    async def _vouched(self, key: str, content: Message) -> Commitment:
        commitment = await self._commitment(key, content)
        if commitment is None:
            raise damaged(key, "an alias names it, but it is gone")
        return commitment

    async def _commitment(self, key: str, content: Message) -> Commitment | None:
        data = await self._get(key)
        if data is None:
            return None
        return stored_commitment(key, data, content)

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
        data = await self._get(key)
        if data is None:
            return None
        return note_of(key, data)

    # Binaries.

    async def _unblob(self, value: Value) -> Value:
        if not isinstance(value, Link) or value.size > self._join_bytes:
            return value
        return await self._blob(value.id)

    async def read_pieces(self, link: Link) -> AsyncGenerator[bytes, None]:
        """A binary part by part, each checked before it comes, and the whole before the end.

        Constant memory for what was written in pieces; close it when you stop early. Raises
        `NecessaryMessageNotFound` and `CorruptData`.
        """
        parts = await self._parts(link.id)
        if parts is None:
            whole = await self._whole_blob(link.id)
            if whole is None:
                raise NecessaryMessageNotFound(link.id)
            yield whole
            return
        checker = Checker(link.id, self.hashing)
        for part in parts:
            piece = await self._part(part)
            if piece is None:
                raise damaged(DATA + part.id, "it is gone, but a larger binary consists of it")
            if len(piece) != part.size:
                # Whoever listed the parts may be another node.
                raise damaged(PARTS + link.id, f"it lists {part.id} with {part.size} bytes")
            await checker.add(piece)
            yield piece
        checker.finish()

    async def parts(self, id: str) -> Sequence[Link] | None:
        """The parts of a binary that was stored in pieces, in their order; none for any other."""
        return await self._parts(id) if _ID.fullmatch(id) else None

    async def _blob(self, id: str) -> bytes | None:
        data = await self._whole_blob(id)
        if data is not None or (parts := await self._parts(id)) is None:
            return data
        size = sum(part.size for part in parts)
        if size > self._join_bytes:
            raise TooLarge(
                f"The binary {id} has {size} bytes; over {self._join_bytes} are only read in "
                "pieces."
            )
        return b"".join([piece async for piece in self.read_pieces(Link(id, "binary", size))])

    async def _parts(self, id: str) -> Sequence[Link] | None:
        data = await self._get(PARTS + id)
        return None if data is None else listed_parts(id, data)

    async def _part(self, part: Link) -> bytes | None:
        page = await self._page(part.id) if part.size <= PAGE_BYTES else None
        return await self._whole_blob(part.id) if page is None else page.content()

    async def _page(self, id: str) -> Page | None:
        """A page as it is stored, with what it differs from."""
        packed = await self._packed(id)
        if packed is None or packed.base is None:
            return None if packed is None else Page(packed)
        base = await self._packed(packed.base)
        if base is None or base.base is not None:
            raise damaged(PACKED + id, f"the page {packed.base} that it differs from is gone")
        return Page(packed, base)

    async def _packed(self, id: str) -> Packed | None:
        data = await self._get(PACKED + id)
        return None if data is None else read_packed(id, data)

    async def _whole_blob(self, id: str) -> bytes | None:
        data = await self.store.get(DATA + id)
        if data is not None and await self._hash(data) != id:
            raise damaged(DATA + id, "its hash does not hold")
        return data

    async def _hash(self, data: bytes) -> str:
        if len(data) <= HASH_INLINE_BYTES:
            return hash_id(data)
        return await trio.to_thread.run_sync(hash_id, data, limiter=self.hashing)


async def _decode_in_turns(key: str, data: bytes) -> dict[str, Value] | list[Value]:
    items: dict[str, Value] = {}
    for number, page in enumerate(record.pages(key, data), 1):
        items.update(page)
        if number % PAGES_AT_A_TIME == 0:
            await trio.lowlevel.checkpoint()
    return record.gather(key, data, items)
