"""Items and bundles that come in pieces: found, hashed and stored as they come (spec/02 §11.4).

The bundle is stored once. It is cut into parts where the data of an item begins and ends, so that
the data of each item is a binary of its own, made of some of these parts: nothing is copied. What
is held in memory is the index, the headers, and values that are too small to lie apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.cache.intake import Intake, Sinks
from hyperbeam_trio.cache.item_source import ItemSource
from hyperbeam_trio.cache.parts import PART_BYTES, parts_record
from hyperbeam_trio.cache.staging import BLOB_BYTES
from hyperbeam_trio.codec.ans104 import is_binary, linked_item, linked_value, read_item
from hyperbeam_trio.codec.ids import fresh_id, linked_body
from hyperbeam_trio.codec.tagged import data_key, is_bundle, read_tags
from hyperbeam_trio.crypto.bundle import (
    COUNT_BYTES,
    ENTRY_BYTES,
    MAX_DEPTH,
    read_count,
    read_entries,
    read_manifest,
)
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.item_header import ItemHeader, read_fields
from hyperbeam_trio.errors import TooLarge
from hyperbeam_trio.message import Link, Message, Value

if TYPE_CHECKING:
    from hashlib import _Hash

ITEM_BYTES: Final = 2048
"""What an item takes in memory beside its bytes, about."""


@dataclass(slots=True)
class Span:
    """An item whose data goes into the parts from `first` to before `last` of an upload."""

    header: ItemHeader
    first: int = 0
    last: int = 0
    size: int = 0
    children: list[tuple[str, Span | DataItem]] | None = None
    content: BlobHash = field(default_factory=BlobHash)
    whole: _Hash = field(default_factory=sha256)

    @property
    def sinks(self) -> Sinks:
        """What wants to have the data."""
        return (self.content.update, self.whole.update)

    @property
    def deep_hash(self) -> bytes:
        """The deep hash of the data."""
        return self.content.digest()

    @property
    def verifies(self) -> bool:
        """Whether the signature holds for the data."""
        return self.header.verifies_with(self.deep_hash)

    def ids(self) -> tuple[str, str]:
        """The signed and the unsigned id of the item."""
        item = linked_item(self.header, Elsewhere(self.whole.digest(), self.deep_hash))
        return item.id, item.unsigned_id


class SpanReader:
    """Takes items apart as they come; at most `room` bytes of them are held."""

    def __init__(self, source: ItemSource, intake: Intake, room: int) -> None:
        self._source = source
        self._intake = intake
        self._room = self._left = room

    async def read(self, span: Span, sinks: Sinks, size: int | None, depth: int = 0) -> None:
        """Take the data of an item, of `size` bytes or all there is; `sinks` get it too."""
        inner = (*sinks, *span.sinks)
        before = self._intake.size
        span.first = await self._intake.cut()
        if holds_bundle(span.header):
            span.children = await self._bundle(span.header, inner, size, depth + 1)
        else:
            await self._source.store(self._intake, inner, size)
        span.last = await self._intake.cut()
        span.size = self._intake.size - before

    async def _bundle(
        self, header: ItemHeader, sinks: Sinks, size: int | None, depth: int
    ) -> list[tuple[str, Span | DataItem]]:
        if depth > MAX_DEPTH:
            raise InvalidField("bundle", "bundles within bundles are nested too deep")
        most = self._left if size is None else size - COUNT_BYTES
        count, order = read_count(await self._take(COUNT_BYTES, sinks), most)
        self._hold(ITEM_BYTES * count)
        entries = list(read_entries(await self._take(ENTRY_BYTES * count, sinks), order))
        listed = COUNT_BYTES + ENTRY_BYTES * count + sum(length for length, _ in entries)
        if size is not None and listed != size:
            raise InvalidField("bundle", f"{size} bytes, by its index {listed}")
        manifest = (header.tag(b"bundle-map") or b"").decode("latin-1")
        found = []
        for length, raw_id in entries:
            id = human_id(raw_id)
            found.append((id, await self._item(length, sinks, depth, whole=id == manifest)))
        return found

    async def _item(self, size: int, sinks: Sinks, depth: int, *, whole: bool) -> Span | DataItem:
        if whole or size <= BLOB_BYTES:
            return DataItem.parse(await self._take(size, sinks))
        header = await self._header(size, sinks)
        left = size - len(header.raw)
        if left <= (PART_BYTES if holds_bundle(header) else BLOB_BYTES):
            return DataItem.parse(header.raw + await self._take(left, sinks))
        span = Span(header)
        await self.read(span, sinks, left, depth)
        return span

    async def _header(self, size: int, sinks: Sinks) -> ItemHeader:
        raw = b""
        fields = read_fields(memoryview(raw))
        while isinstance(fields, int):
            if fields > size:
                raise InvalidField("item", f"{size} bytes, its header takes {fields} or more")
            raw += await self._take(fields - len(raw), sinks)
            fields = read_fields(memoryview(raw))
        return ItemHeader(*fields)

    async def _take(self, size: int, sinks: Sinks) -> bytes:
        self._hold(size)
        taken = await self._source.take(size)
        await self._intake.add(taken, sinks)
        return taken

    def _hold(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLarge(
                f"The index, the headers and the small items of a bundle take over {self._room} "
                "bytes."
            )


class SpanValues:
    """The values of items that were read, once all parts are known.

    `records` are the store entries of binaries that consist of several parts.
    """

    def __init__(self, intake: Intake) -> None:
        self.records: dict[str, bytes] = {}
        self._intake = intake

    async def value(self, item: Span | DataItem) -> Value:
        """The value of an item; commitments of which it is known that they hold are marked so."""
        # A signature is checked here, or an item decoded.
        await trio.lowlevel.checkpoint()
        if isinstance(item, DataItem):
            return read_item(item)
        link = self.link(item)
        header = item.header
        if is_binary(header):
            return link
        members: dict[str, Value] = {data_key(read_tags(header.tags)): link}
        if item.children is not None:
            members = await self._members(header, item.children)
        proved = item.verifies or not header.is_signed
        value = linked_value(header, members, link, item.deep_hash, proved=proved)
        if isinstance(value, Message) and linked_body(value) is not None:
            # Known from the hash of the data, so that nobody loads that for the id.
            fresh_id(value)
        return value

    def link(self, span: Span) -> Link:
        """The link to the data of an item."""
        parts = self._intake.links[span.first : span.last]
        if len(parts) == 1:
            return parts[0]
        id = human_id(span.whole.digest())
        self.records.update(parts_record(id, parts))
        return Link(id, "binary", span.size)

    async def _members(
        self, header: ItemHeader, children: list[tuple[str, Span | DataItem]]
    ) -> dict[str, Value]:
        for id, item in children:
            own = item.ids() if isinstance(item, Span) else (item.id, item.unsigned_id)
            if id not in own:
                raise InvalidField("bundle", f"an item is listed as {id}, but is {own[0]}")
        manifest = header.tag(b"bundle-map")
        if manifest is None:
            return {str(n): await self.value(item) for n, (_, item) in enumerate(children, 1)}
        items = dict(reversed(children))
        named = _named(items, manifest.decode("latin-1"))
        return {key: await self.value(items[id]) for key, id in named.items()}


def _named(items: dict[str, Span | DataItem], manifest: str) -> dict[str, str]:
    listed = items.get(manifest)
    if not isinstance(listed, DataItem):
        raise InvalidField("bundle-map", f"the bundle lists no manifest {manifest}")
    named = read_manifest(listed)
    for key, id in named.items():
        if id not in items:
            raise InvalidField("bundle-map", f"key {key!r} names {id}, which the bundle lacks")
    return named


def holds_bundle(header: ItemHeader) -> bool:
    """Whether the data of an item is to be read as a bundle."""
    return is_bundle(read_tags(header.tags)) and not is_binary(header)
