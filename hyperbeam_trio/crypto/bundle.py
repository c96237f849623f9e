"""ANS-104 bundles: many items behind one index (spec/02 §11.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias, overload

import orjson

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.encoding import human_id, native_id
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, Tag, TagLimits
from hyperbeam_trio.crypto.item_header import ItemHeader
from hyperbeam_trio.errors import BadRequest

ByteOrder: TypeAlias = Literal["little", "big"]

MAX_DEPTH: Final = 16
FORMAT_TAGS: Final[tuple[Tag, ...]] = ((b"bundle-format", b"binary"), (b"bundle-version", b"2.0.0"))
MANIFEST_TAGS: Final[tuple[Tag, ...]] = ((b"data-protocol", b"bundle-map"), (b"variant", b"0.0.1"))

COUNT_BYTES: Final = 32
_ENTRY: Final = struct.Struct("32s32s")
ENTRY_BYTES: Final = _ENTRY.size
_BYTE_ORDERS: Final[tuple[ByteOrder, ...]] = ("little", "big")


def read_count(raw: bytes | memoryview, most: int) -> tuple[int, ByteOrder]:
    """The number of items, and the byte order of the index: big-endian in the form E.

    `raw` are the first `COUNT_BYTES` of a bundle, behind which at most `most` bytes follow.
    """
    for order in _BYTE_ORDERS:
        count = int.from_bytes(raw, order)
        # Of 32 bytes only one order makes a number that can fit; nothing is guessed.
        if count <= most // ENTRY_BYTES:
            return count, order
    count = int.from_bytes(raw, "little")
    raise InvalidField("bundle", f"an index of {count} items in {COUNT_BYTES + most} bytes")


def read_entries(index: bytes | memoryview, order: ByteOrder) -> Iterator[tuple[int, bytes]]:
    """The size in bytes and the id (32 bytes) of each item."""
    for raw_size, id_ in _ENTRY.iter_unpack(index):
        yield int.from_bytes(raw_size, order), id_


class Bundle(Sequence[DataItem]):
    """The items of a bundle, read when they are asked for.

    `ids` are those of the index, `places` the (start, end) of each item in the buffer.
    """

    __slots__ = ("_indices", "_limits", "_raw_ids", "_view", "places")

    def __init__(self, buffer: bytes | memoryview, limits: TagLimits = DEFAULT_TAG_LIMITS) -> None:
        """Read the index of a bundle that fills `buffer`, copying no item.

        `buffer` may be a view of a mapped file. Raises `InvalidField` if the index does not fit
        the buffer's size; the items are looked at later.
        """
        self._view = memoryview(buffer).toreadonly()
        self._limits = limits
        self.places: list[tuple[int, int]] = []
        self._raw_ids: list[bytes] = []
        self._indices: dict[bytes, int] = {}
        self._read_index()

    def _read_index(self) -> None:
        if self._view.nbytes < COUNT_BYTES:
            raise InvalidField("bundle", f"{self._view.nbytes} bytes, at least {COUNT_BYTES}")
        most = self._view.nbytes - COUNT_BYTES
        count, order = read_count(self._view[:COUNT_BYTES], most)
        place = end = COUNT_BYTES + count * ENTRY_BYTES
        for size, id_ in read_entries(self._view[COUNT_BYTES:end], order):
            self.places.append((place, place + size))
            self._raw_ids.append(id_)
            place += size
        if place != self._view.nbytes:
            raise InvalidField("bundle", f"{self._view.nbytes} bytes, by its index {place}")

    @property
    def ids(self) -> list[str]:
        """The 43-character ids of the index; only `bundle[n]` checks that they are the items'."""
        return [human_id(raw) for raw in self._raw_ids]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> DataItem: ...

    @overload
    def __getitem__(self, index: slice) -> list[DataItem]: ...

    def __getitem__(self, index: int | slice) -> DataItem | list[DataItem]:
        """The item at `index`, whose signed or unsigned id has to be that of the index."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        item = self.unchecked(index)
        listed = human_id(self._raw_ids[index])
        if listed not in (item.id, item.unsigned_id):
            raise InvalidField("bundle", f"item {index} is listed as {listed}, but is {item.id}")
        return item

    def unchecked(self, index: int) -> DataItem:
        """The item at `index`, whatever the index of the bundle calls it."""
        start, end = self.places[index]
        return DataItem.parse(self._view[start:end], self._limits)

    def index_of(self, id_: str) -> int | None:
        """Where the index lists a 43-character id first, if it does."""
        if not self._indices:
            for index, raw in enumerate(self._raw_ids):
                self._indices.setdefault(raw, index)
        return self._indices.get(native_id(id_))


def build_bundle(items: Iterable[tuple[str, DataItem]]) -> bytes:
    """The bytes of a bundle of `items`, each listed under the 43-character id beside it."""
    listed = list(items)
    index = b"".join(
        _ENTRY.pack(item.size.to_bytes(32, "little"), native_id(id_)) for id_, item in listed
    )
    count = len(listed).to_bytes(COUNT_BYTES, "little")
    contents = (part for _, item in listed for part in (item.raw, item.data))
    return b"".join((count, index, *contents))


def build_list(items: Iterable[DataItem], ids: Literal["signed", "unsigned"] = "signed") -> bytes:
    """A bundle that stands for a list.

    With `ids="signed"`, the rule of ANS-104, items are listed by the hash of their signatures
    and only unsigned ones by their unsigned ids; with `"unsigned"` all are by those, as the
    reference of 2025 did.
    """
    plain = ids == "unsigned"
    return build_bundle(
        (item.unsigned_id if plain or not item.is_signed else item.id, item) for item in items
    )


def build_map(items: Mapping[str, DataItem]) -> tuple[str, bytes]:
    """A bundle that stands for a map: the unsigned id of its manifest, and its bytes.

    The id is the value of the tag `bundle-map` of the item that carries the bundle. Items come in
    the order of their keys; the manifest has the keys in the opposite one, as the reference does.
    """
    keys = sorted(items)
    names = {key: items[key].unsigned_id for key in reversed(keys)}
    manifest = DataItem.create(orjson.dumps(names), MANIFEST_TAGS)
    manifest_id = manifest.unsigned_id
    listed = [(manifest_id, manifest), *((names[key], items[key]) for key in keys)]
    return manifest_id, build_bundle(listed)


def read_map(bundle: Bundle, manifest_id: str) -> dict[str, DataItem]:
    """The items of a bundle by the keys of its manifest, which is listed as `manifest_id`."""
    place = bundle.index_of(manifest_id)
    if place is None:
        raise InvalidField("bundle-map", f"the bundle lists no manifest {manifest_id}")
    return {key: _listed(bundle, key, id_) for key, id_ in read_manifest(bundle[place]).items()}


def read_manifest(item: DataItem) -> dict[str, str]:
    """The keys of a bundle that stands for a map, and the ids of their items."""
    try:
        names = orjson.loads(item.data)
    except orjson.JSONDecodeError as problem:
        raise InvalidField("bundle-map", f"the manifest is not JSON: {problem}") from None
    if not isinstance(names, dict) or not all(isinstance(id_, str) for id_ in names.values()):
        raise InvalidField("bundle-map", "the manifest is not an object of ids")
    return names


def _listed(bundle: Bundle, key: str, id_: str) -> DataItem:
    try:
        place = bundle.index_of(id_)
    except BadRequest as problem:
        raise InvalidField("bundle-map", f"key {key!r}: {problem.text}") from None
    if place is None:
        raise InvalidField("bundle-map", f"key {key!r} names {id_}, which the bundle lacks")
    return bundle[place]


def is_bundle(item: ItemHeader) -> bool:
    """Whether the item's tags say that its data is a bundle; case does not count."""
    return all((item.tag(name) or b"").lower() == value for name, value in FORMAT_TAGS)


def nested(item: DataItem, limits: TagLimits = DEFAULT_TAG_LIMITS) -> Bundle | None:
    """The bundle in an item's data, if its tags say that there is one."""
    return Bundle(item.data, limits) if is_bundle(item) else None


def walk(bundle: Bundle, max_depth: int = MAX_DEPTH) -> Iterator[tuple[tuple[int, ...], DataItem]]:
    """Every item of a bundle and of those within, each behind its path of indices.

    An item comes before those that it carries. Raises `InvalidField` below `max_depth` bundles.
    """
    for index, item in enumerate(bundle):
        yield (index,), item
        inner = nested(item)
        if inner is None:
            continue
        if max_depth <= 1:
            raise InvalidField("bundle", "bundles within bundles are nested too deep")
        for path, deeper in walk(inner, max_depth - 1):
            yield (index, *path), deeper
