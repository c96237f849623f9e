"""Commitments as they lie in a store, on their way back into messages (spec/02 §2, spec/04 §6.3).

Most messages are signed like others: what only their signatures differ in is decoded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from hyperbeam_trio.cache import record
from hyperbeam_trio.cache.record import damaged
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.encoding import from_base64
from hyperbeam_trio.message import Link, Message, Value

EVIDENCE: Final = ("base", "item", "item-tail")
"""The entries of a commitment's record that hold what was signed."""

_PLAIN: Final = frozenset(
    {"commitment-device", "type", "keyid", "committer", "signature", "committed", "bundle"}
)
_USUAL: Final = frozenset({"id", "commitment", "base", "values"})
_NESTED: Final = frozenset({"commitment", "values"})
_COMMON_BYTES: Final = 2048
"""Commitments that are larger are decoded anew each time, so that little is kept."""


class Covered(Mapping[str, Value]):
    """Some of the values of a message, by the names of their keys; looked up when asked for."""

    __slots__ = ("_items", "_names")

    def __init__(self, items: Mapping[str, Value], names: tuple[str, ...]) -> None:
        self._items = items
        self._names = names

    def __getitem__(self, key: str) -> Value:
        if key not in self._names:
            raise KeyError(key)
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def of(self, items: Mapping[str, Value]) -> bool:
        """Whether these are values of just this mapping."""
        return self._items is items

    def moved(self, items: Mapping[str, Value]) -> Covered:
        """The values of the same keys in `items`."""
        return Covered(items, self._names)


def stored_commitment(key: str, data: bytes, content: Message) -> Commitment:
    """The commitment in the record that lies under `key`, with what was signed if it is small.

    What was signed speaks for the values of `content`. Raises `CorruptData`.
    """
    if data[:1] == b"\1":
        record._check(key, crc32(key.encode()), data)
        places = _places(key, data)
        if places.usual:
            parts = {name: data[start:end] for name, start, end in places.spans}
            common, signature = _common_of(key, parts["commitment"])
            if common is not None:
                return _completed(key, common, parts, signature, content)
    return commitment_of(key, note_of(key, data), content)


def _completed(
    key: str, common: Commitment, parts: Mapping[str, bytes], encoded: bytes, content: Message
) -> Commitment:
    names = _texts(parts["values"]) if "values" in parts else common.committed
    evidence = None
    try:
        id, signature = parts["id"].decode(), from_base64(encoded, "signature")
    except (KeyError, ValueError) as problem:
        raise damaged(key, str(problem)) from problem
    if "base" in parts and frozenset(names).issubset(content._items):
        evidence = Evidence(Covered(content._items, names), parts["base"])
    return Commitment(
        id,
        common.device,
        common.type,
        signature,
        common.committed,
        common.keyid,
        common.committer,
        common.bundle,
        common.extra,
        evidence,
    )


class _Places(NamedTuple):
    """Where the values of a page lie.

    `usual`: it is the page of a commitment like most, which has something in common with others.
    """

    spans: tuple[tuple[str, int, int], ...]
    usual: bool


def _common_of(key: str, fields: bytes) -> tuple[Commitment | None, bytes]:
    """What an encoded commitment has in common with others, and its encoded signature."""
    for name, start, end in _places(key, fields).spans:
        if name == "signature":
            # The rest but its checksum.
            return _common(fields[:start], end - start, fields[end:-4]), fields[start:end]
    raise damaged(key, "it holds no signature")


def _places(key: str, page: bytes) -> _Places:
    try:
        _, _, count, width = record._HEAD.unpack_from(page)
        head = page[: record._HEAD_BYTES + 5 * count + 4 + width]
        return _kept_places(head) if len(head) <= _COMMON_BYTES else _places_in(head)
    except record._DAMAGE as problem:
        raise damaged(key, str(problem)) from problem


def _places_in(head: bytes) -> _Places:
    """The same from all of a page that comes before its values."""
    _, _, count, width = record._HEAD.unpack_from(head)
    end = record._HEAD_BYTES + count
    offsets = record._offsets(count + 1).unpack_from(head, end)
    names = record._page_names(head, count, width)
    if len(names) != count:
        raise ValueError(f"it names {len(names)} keys, not {count}")
    spans = tuple(zip(names, offsets[:-1], offsets[1:], strict=True))
    plain = head[record._HEAD_BYTES : end].count(0) + len(_NESTED.intersection(names)) == count
    nested = sum(end - start for name, start, end in spans if name in _NESTED)
    usual = plain and "commitment" in names and _USUAL.issuperset(names)
    return _Places(spans, usual and nested <= _COMMON_BYTES)


_kept_places = lru_cache(maxsize=1024)(_places_in)


@lru_cache(maxsize=1024)
def _texts(listed: bytes) -> tuple[str, ...]:
    values = record._decode_inner(listed).values()
    return tuple([value.decode() for value in values if isinstance(value, bytes)])


@lru_cache(maxsize=1024)
def _common(head: bytes, length: int, tail: bytes) -> Commitment | None:
    """What a commitment has in common with others like it; `None` where it is one of a kind."""
    page = head + b"A" * length + tail
    fields = record._decode_inner(page + crc32(page).to_bytes(4, "little"))
    if not _PLAIN.issuperset(fields):
        return None
    return Commitment.from_message("", Message.of({**fields, "signature": b""}))


def commitment_of(key: str, items: Mapping[str, Value], content: Message) -> Commitment:
    """The same from decoded items; what was signed only if all of it is among them."""
    fields, id = items.get("commitment"), items.get("id")
    if not isinstance(fields, Message) or not isinstance(id, bytes):
        raise damaged(key, "it holds no commitment")
    try:
        commitment = Commitment.from_message(id.decode(), fields)
    except ValueError as problem:
        raise damaged(key, str(problem)) from problem
    if any(isinstance(items.get(name), Link) for name in EVIDENCE):
        return commitment
    return with_evidence(commitment, items, content)


def with_evidence(
    commitment: Commitment, items: Mapping[str, Value], content: Message
) -> Commitment:
    """The commitment with what was signed, if that was stored, about the values of `content`."""
    base, head, tail = map(items.get, EVIDENCE)
    named = items.get("values")
    names = commitment.committed
    if isinstance(named, list):
        names = tuple([name.decode() for name in named if isinstance(name, bytes)])
    item = head + tail if isinstance(head, bytes) and isinstance(tail, bytes) else None
    if (base is None and item is None) or not content.keys() >= frozenset(names):
        return commitment
    values = Covered(content._items, names)
    return commitment.with_evidence(
        Evidence(values, base if isinstance(base, bytes) else None, item)
    )


def note_of(key: str, data: bytes) -> dict[str, Value]:
    """The items of a record of ours that is no message."""
    items = record.decode(key, data)
    if not isinstance(items, dict):
        raise damaged(key, "it is a list")
    return items
