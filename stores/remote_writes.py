"""What a batch of store entries is for another node: messages, binaries and names (spec/04 §8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import trio

from hyperbeam_trio.cache.layout import (
    ALIAS,
    COMMITMENTS,
    DATA,
    MESSAGE,
    NAME,
    PARTS,
    RESULT,
    escape,
)
from hyperbeam_trio.cache.linking import links
from hyperbeam_trio.cache.loading import Loader
from hyperbeam_trio.cache.parts import listed_parts, write_listing
from hyperbeam_trio.cache.record import decode
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import linked_body
from hyperbeam_trio.errors import CorruptData, StoreError
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.store import Store
from hyperbeam_trio.stores.memory import MemoryStore

LOAD_BYTES: Final = 8 << 20
"""Bytes of entries that one request carries, about; a single larger one goes by itself."""
LOAD_VALUES: Final = 256

_SENT: Final = (DATA, PARTS, MESSAGE, COMMITMENTS, NAME)
_IMPLIED: Final = (ALIAS, RESULT)

Content: TypeAlias = "Message | list[Value] | bytes"


class Large(NamedTuple):
    """What is written of something too large to be sent whole, once its parts are there.

    `kind` "parts": the binary `id`, of which `body` lists the parts; "item": the message of an item
    with the header `body`, whose data is the binary `id`; "linked": a message without commitments,
    `body` in httpsig@1.0 but for its `key`, which is the binary `id`.
    """

    kind: Literal["parts", "item", "linked"]
    id: str
    body: bytes
    key: str = ""


Shipped: TypeAlias = "Content | Large"


class Parcel(NamedTuple):
    """A content to write: its id, about its size, and its level, above all that it links to."""

    id: str
    content: Shipped
    size: int
    level: int

    @property
    def path(self) -> str:
        """Where the other node says that it has put it."""
        is_binary = isinstance(self.content, bytes) or (
            isinstance(self.content, Large) and self.content.kind == "parts"
        )
        return f"{DATA}{self.id}" if is_binary else self.id


@dataclass(slots=True)
class Shipment:
    """What to write, then what to name."""

    parcels: list[Parcel] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids of all contents."""
        return [parcel.id for parcel in self.parcels]

    def loads(self) -> Iterator[Mapping[str, Shipped]]:
        """The contents by their paths, as many at a time as fit into a request; large ones alone.

        What a content links to is in an earlier one: another node takes no link to nowhere.
        """
        load: dict[str, Shipped] = {}
        size = level = 0
        for parcel in sorted(self.parcels, key=lambda parcel: parcel.level):
            full = size + parcel.size > LOAD_BYTES or len(load) >= LOAD_VALUES
            alone = isinstance(parcel.content, Large)
            if load and (full or alone or parcel.level > level):
                yield load
                load, size = {}, 0
            if alone:
                yield {parcel.path: parcel.content}
                level = parcel.level
                continue
            load[parcel.path] = parcel.content
            size, level = size + parcel.size, parcel.level
        if load:
            yield load


async def shipment_of(items: Mapping[str, bytes], behind: Store) -> Shipment:
    """What has to be sent for a batch; `behind` has what the batch refers to and does not hold.

    Raises `StoreError` for keys that are none of the cache's, before anything is sent.
    """
    for key in items:
        if not key.startswith((*_SENT, *_IMPLIED)):
            raise StoreError(f"Another node takes messages, binaries and names, not {key[:80]!r}.")
    overlay = _Overlay(behind)
    await overlay.put(items)
    loader = Loader(overlay)
    shipment = Shipment()
    inside: set[str] = set()
    levels: dict[str, int] = {}
    for id in _message_ids(items):
        content, blobs = await _message(id, loader)
        large = isinstance(content, Large)
        size = 0 if large else sum(link.size for link in blobs)
        size += len(items.get(MESSAGE + id, b""))
        below = [levels.get(_target(link.id, items), -1) for link in _links(content)]
        levels[id] = 1 + max(below, default=-1)
        shipment.parcels.append(Parcel(id, content, size, levels[id]))
        inside.update(link.id for link in blobs if not large)
    shipment.parcels += _binaries_apart(items, inside)
    shipment.parcels += _lists_of_parts(items)
    shipment.names = [_name(key, items[key]) for key in items if key.startswith(NAME)]
    return shipment


class _Overlay(MemoryStore):
    """A batch, and what lies behind it."""

    scope = "remote"

    def __init__(self, behind: Store) -> None:
        super().__init__()
        self._behind = behind

    def get_nowait(self, key: str) -> bytes | None:
        found = super().get_nowait(key)
        if found is None:
            raise trio.WouldBlock
        return found

    async def get(self, key: str) -> bytes | None:
        try:
            return self.get_nowait(key)
        except trio.WouldBlock:
            return await self._behind.get(key)


def _message_ids(items: Mapping[str, bytes]) -> Sequence[str]:
    """Messages that the batch holds, or commitments of."""
    ids: dict[str, None] = {}
    for key in items:
        namespace, _, rest = key.partition("/")
        if namespace in (MESSAGE[:-1], COMMITMENTS[:-1]):
            ids[rest.partition("/")[0]] = None
    return list(ids)


async def _message(id: str, loader: Loader) -> tuple[Shipped, list[Link]]:
    """A message with its commitments and large binaries, and the links that these came from."""
    content = await loader.read(id, commitments="all")
    if content is None:
        raise CorruptData(f"The batch has commitments of {id}, which is nowhere.")
    if isinstance(content, bytes):
        return content, []
    if isinstance(content, list):
        return [await _loaded(item, loader) for item in content], _binaries(content)
    large = [link for link in _binaries(content.values()) if link.size > LOAD_BYTES]
    if large:
        return await _item(content, large, loader), large
    evident = await loader.load_evidence(content) if content.commitments else content
    return await loader.load_binaries(evident), _binaries(content.values())


async def _item(content: Message, large: Sequence[Link], loader: Loader) -> Large:
    for commitment in content.commitments.values():
        evidence = await loader.linked_evidence(content, commitment)
        tail = evidence.tail if evidence is not None else None
        if evidence is not None and evidence.item is not None and tail in large and tail:
            return Large("item", tail.id, evidence.item)
    key = linked_body(content)
    link = content[key] if key is not None else None
    if content.commitments or key is None or not isinstance(link, Link):
        sizes = ", ".join(str(link.size) for link in large)
        raise StoreError(
            f"Another node takes binaries of {sizes} bytes only as the data of items, and as the "
            "body of messages without commitments."
        )
    rest = Message.of({name: value for name, value in content.items() if name != key})
    return Large("linked", link.id, HTTPSIG.to_bytes(rest, bundle=False), key)


async def _loaded(item: Value, loader: Loader) -> Value:
    return await loader.load(item) if isinstance(item, Link) and item.kind == "binary" else item


def _binaries(values: Iterable[Value]) -> list[Link]:
    return [v for v in values if isinstance(v, Link) and v.kind == "binary"]


def _links(content: Shipped) -> Iterator[Link]:
    """The links to messages that a message or list itself holds."""
    if not isinstance(content, Large):
        yield from (link for link in links(content) if link.kind == "message")


def _target(id: str, items: Mapping[str, bytes]) -> str:
    """The message that an id stands for, as far as the batch says so."""
    key = ALIAS + escape(id)
    alias = decode(key, items[key]) if key in items else None
    target = alias.get("message") if isinstance(alias, dict) else None
    return target.id if isinstance(target, Link) else id


def _binaries_apart(items: Mapping[str, bytes], inside: set[str]) -> Iterator[Parcel]:
    """Binaries that are in no message; first of all where there are lists of them."""
    level = -2 if any(key.startswith(PARTS) for key in items) else 0
    for key, value in items.items():
        id = key.removeprefix(DATA)
        if key.startswith(DATA) and id not in inside:
            yield Parcel(id, value, len(value), level)


def _lists_of_parts(items: Mapping[str, bytes]) -> Iterator[Parcel]:
    for key, value in items.items():
        if key.startswith(PARTS):
            id = key.removeprefix(PARTS)
            listing = write_listing(listed_parts(id, value))
            yield Parcel(id, Large("parts", id, listing), len(listing), -1)


def _name(key: str, data: bytes) -> tuple[str, str]:
    items = decode(key, data)
    target = items.get("id") if isinstance(items, dict) else None
    name = items.get("name") if isinstance(items, dict) else None
    if not isinstance(target, Link) or not isinstance(name, bytes):
        raise CorruptData(f"The record {key!r} holds no name.", details={"damaged": key})
    return name.decode("utf-8", "surrogatepass"), target.id
