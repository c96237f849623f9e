"""What a batch of store entries is for another node: messages, binaries and names (spec/04 §8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import trio

from hyperbeam_trio.cache.layout import (
    ALIAS,
    COMMITMENTS,
    DATA,
    MESSAGE,
    NAME,
    RESULT,
    escape,
)
from hyperbeam_trio.cache.loading import Loader
from hyperbeam_trio.cache.record import decode
from hyperbeam_trio.errors import CorruptData, StoreError
from hyperbeam_trio.message import Link, Message, Resolve, Value
from hyperbeam_trio.store import Store
from hyperbeam_trio.stores.memory import MemoryStore

LOAD_BYTES: Final = 8 << 20
"""Bytes of entries that one request carries, about; a single larger one goes by itself."""
LOAD_VALUES: Final = 256

_SENT: Final = (DATA, MESSAGE, COMMITMENTS, NAME)
_IMPLIED: Final = (ALIAS, RESULT)

Content: TypeAlias = "Message | list[Value] | bytes"


class Parcel(NamedTuple):
    """A content to write: its id, about its size, and its level, above all that it links to."""

    id: str
    content: Content
    size: int
    level: int

    @property
    def path(self) -> str:
        """Where the other node says that it has put it."""
        return f"{DATA}{self.id}" if isinstance(self.content, bytes) else self.id


@dataclass(slots=True)
class Shipment:
    """What to write, then what to name."""

    parcels: list[Parcel] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ids of all contents."""
        return [parcel.id for parcel in self.parcels]

    def loads(self) -> Iterator[Mapping[str, Content]]:
        """The contents by their paths, as many at a time as fit into a request.

        What a content links to is in an earlier one: another node takes no link to nowhere.
        """
        load: dict[str, Content] = {}
        size = level = 0
        for parcel in sorted(self.parcels, key=lambda parcel: parcel.level):
            full = size + parcel.size > LOAD_BYTES or len(load) >= LOAD_VALUES
            if load and (full or parcel.level > level):
                yield load
                load, size = {}, 0
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
        size = sum(link.size for link in blobs) + len(items.get(MESSAGE + id, b""))
        below = [levels.get(_target(link.id, items), -1) for link in _links(content)]
        levels[id] = 1 + max(below, default=-1)
        shipment.parcels.append(Parcel(id, content, size, levels[id]))
        inside.update(link.id for link in blobs)
    shipment.parcels += _binaries_apart(items, inside)
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


async def _message(id: str, loader: Loader) -> tuple[Content, list[Link]]:
    """A message with its commitments and large binaries, and the links that these came from."""
    content = await loader.read(id, commitments="all")
    if content is None:
        raise CorruptData(f"The batch has commitments of {id}, which is nowhere.")
    if isinstance(content, bytes):
        return content, []
    if isinstance(content, list):
        return [await _loaded(item, loader) for item in content], _binaries(content)
    evident = await loader.load_evidence(content) if content.commitments else content
    return await loader.load_binaries(evident), _binaries(content.values())


async def _loaded(item: Value, loader: Loader) -> Value:
    return await loader.load(item) if isinstance(item, Link) and item.kind == "binary" else item


def _binaries(values: Iterable[Value]) -> list[Link]:
    return [v for v in values if isinstance(v, Link) and v.kind == "binary"]


def _links(content: Content) -> Iterator[Link]:
    """The links to messages that a message or list itself holds."""
    waiting: list[Value] = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Link) and value.kind == "message":
            yield value
        elif isinstance(value, Message):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, Resolve):
            waiting += value.sequence


def _target(id: str, items: Mapping[str, bytes]) -> str:
    """The message that an id stands for, as far as the batch says so."""
    key = ALIAS + escape(id)
    alias = decode(key, items[key]) if key in items else None
    target = alias.get("message") if isinstance(alias, dict) else None
    return target.id if isinstance(target, Link) else id


def _binaries_apart(items: Mapping[str, bytes], inside: set[str]) -> Iterator[Parcel]:
    """Binaries that are in no message."""
    for key, value in items.items():
        id = key.removeprefix(DATA)
        if key.startswith(DATA) and id not in inside:
            yield Parcel(id, value, len(value), 0)


def _name(key: str, data: bytes) -> tuple[str, str]:
    items = decode(key, data)
    target = items.get("id") if isinstance(items, dict) else None
    name = items.get("name") if isinstance(items, dict) else None
    if not isinstance(target, Link) or not isinstance(name, bytes):
        raise CorruptData(f"The record {key!r} holds no name.", details={"damaged": key})
    return name.decode("utf-8", "surrogatepass"), target.id
