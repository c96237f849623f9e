"""Records: a message, list or note as bytes from which one key can be read alone (spec/04 §12).

A small record is one page:

    form 1, list 1, count n 4, key bytes k 4, kinds n, offsets (n+1)*4, keys k, values, crc32 4

Numbers are little-endian and unsigned. `list` is 1 for a list, whose keys are "1".."n". Every key
stands between bytes 0xFF, which UTF-8 never holds, so that one search finds it whole. Value `i`
lies between offsets `i` and `i+1` of the page and is what `kinds[i]` says, so no bytes can be
mistaken for a link. The checksum covers the store key and the whole page.

A larger record is a head (form, list, count, number of pages), a directory of pages+1 offsets of
8 bytes, and pages whose checksums also cover the head and their own number. A keyed hash says
which page holds a key: a reader touches one directory entry and one page, whatever the size, and
damage anywhere on its way shows in that page's checksum.

CRC-32 finds every damage of up to 32 bits in a row and misses one other in 2**32. It stops
accidents, not forgers: `verify` recomputes the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, IntEnum
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from struct import Struct, error, unpack_from
from typing import Final, NamedTuple, TypeAlias
from zlib import crc32

from hyperbeam_trio.cache.naming import SHORT, block_of, named, names_in
from hyperbeam_trio.errors import BadRequest, CorruptData
from hyperbeam_trio.message import Atom, Link, Message, Resolve, Value, describe

PAGE_BYTES = 2048
"""Keys and values of a page, on average; records up to twice this size are one page."""


class Missing(Enum):
    """The type of `MISSING`, which stands for a key that a message does not have."""

    MISSING = "MISSING"


MISSING: Final = Missing.MISSING


class Kind(IntEnum):
    """What the bytes of a value are."""

    BINARY = 0
    INTEGER = 1
    FLOAT = 2
    ATOM = 3
    TRUE = 4
    FALSE = 5
    NULL = 6
    LINK = 7
    BLOB = 8
    LIST = 9
    MESSAGE = 10
    RESOLVE = 11


Items: TypeAlias = Mapping[str, Value]
_Entry: TypeAlias = tuple[bytes, int, bytes]

_PAGE, _PAGED = 1, 2
_HEAD = Struct("<BBII")
_HEAD_BYTES = _HEAD.size
_CRC = Struct("<I")
_SOUND = 0x2144DF1C
"""CRC-32 of anything that ends in its own CRC-32, whatever came before."""
_SPAN = Struct("<II")
_EXTENT = Struct("<QQ")
_FLOAT = Struct("<d")
_SIZE = Struct("<Q")
_DAMAGE = (error, ValueError, IndexError, RecursionError)
"""What decoding raises on bytes that no encoder of ours wrote."""


# Writing.


class Encoded(NamedTuple):
    """A value that is encoded already, to stand in a record as it is."""

    kind: int
    data: bytes


def encode(key: str, items: Mapping[str, Value | Encoded], *, is_list: bool = False) -> bytes:
    """The record of `items`, to be stored under the store key `key`.

    Messages and lists inside stand in the record itself: the caller replaces by links what shall
    be a record of its own. Raises `BadRequest` for values that can't be stored.
    """
    names, raws, block = named(items, is_list)
    kinds, values = _encode_values(names, items)
    size = len(block) - len(names) - 1 + sum(map(len, values))
    if size <= 2 * PAGE_BYTES or len(names) < 2:
        return _page(crc32(key.encode()), is_list, block, kinds, values)
    entries = list(zip(raws, kinds, values, strict=True))
    return _encode_pages(key, is_list, entries, -(-size // PAGE_BYTES))


def _encode_values(
    names: Iterable[str], items: Mapping[str, Value | Encoded]
) -> tuple[Sequence[int], Sequence[bytes]]:
    kinds: list[int] = []
    values: list[bytes] = []
    for name in names:
        value = items[name]
        if type(value) is bytes:
            kinds.append(0)
            values.append(value)
        else:
            kind, stored = value if isinstance(value, Encoded) else _encode_value(value)
            kinds.append(kind)
            values.append(stored)
    return kinds, values


def _encode_pages(key: str, is_list: int, entries: list[_Entry], count: int) -> bytes:
    head = _HEAD.pack(_PAGED, is_list, len(entries), count)
    salt = _salt(key)
    shelves: list[list[_Entry]] = [[] for _ in range(count)]
    for entry in entries:
        shelves[_page_of(salt, entry[0], count)].append(entry)
    offset = _HEAD_BYTES + (count + 1) * _SIZE.size
    directory = [_SIZE.pack(offset)]
    parts = []
    for number, shelf in enumerate(shelves):
        parts.append(_encode_page(_page_seed(key, head, number), is_list, shelf))
        offset += len(parts[-1])
        directory.append(_SIZE.pack(offset))
    return b"".join((head, *directory, *parts))


def _encode_page(seed: int, is_list: int, entries: list[_Entry]) -> bytes:
    raws, kinds, values = zip(*entries, strict=True) if entries else ((), (), ())
    return _page(seed, is_list, block_of(raws), kinds, values)


def _page(
    seed: int, is_list: int, block: bytes, kinds: Sequence[int], values: Sequence[bytes]
) -> bytes:
    begin = _page_begin if len(block) > SHORT else _kept_page_begin
    page = begin(is_list, block, bytes(kinds), tuple(map(len, values))) + b"".join(values)
    return page + _CRC.pack(crc32(page, seed))


def _page_begin(is_list: int, block: bytes, kinds: bytes, sizes: tuple[int, ...]) -> bytes:
    """All of a page that comes before its values; many have keys and sizes in common."""
    head = _HEAD.pack(_PAGE, is_list, len(kinds), len(block))
    first = _HEAD_BYTES + 5 * len(kinds) + 4 + len(block)
    offsets = accumulate(sizes, initial=first)
    return b"".join((head, kinds, _offsets(len(kinds) + 1).pack(*offsets), block))


_kept_page_begin = lru_cache(maxsize=1024)(_page_begin)


def _encode_inner(items: Mapping[str, Value], is_list: int) -> bytes:
    """A message or list that stands in a record itself."""
    names, _, block = named(items, is_list)
    return _page(0, is_list, block, *_encode_values(names, items))


@lru_cache(maxsize=64)
def _offsets(count: int) -> Struct:
    return Struct(f"<{count}I")


def _encode_value(value: Value) -> tuple[int, bytes]:
    encoder = _ENCODERS.get(type(value))
    return _encode_derived(value) if encoder is None else encoder(value)


def encode_texts(texts: Sequence[str]) -> Encoded:
    """A list of texts, encoded."""
    return Encoded(*_encode_list([text.encode() for text in texts]))


class Form:
    """Encodes messages that differ in one text of a fixed length only."""

    def __init__(self, message: Message, key: str, length: int) -> None:
        # No UTF-8, so it stands nowhere else.
        sample = (b"\xfe\xfd" * length)[:length]
        filled = message.set_values({key: sample})
        page = _encode_inner(filled, 0)
        self._head, self._tail = page[: -_CRC.size].split(sample)

    def encoded(self, value: bytes) -> Encoded:
        """The message with `value` under the key."""
        page = self._head + value + self._tail
        return Encoded(Kind.MESSAGE, page + _CRC.pack(crc32(page)))


def _encode_derived(value: Value) -> tuple[int, bytes]:
    """Values of classes derived from ours; `BadRequest` for what has no stored form."""
    for known, encoder in _ENCODERS.items():
        if isinstance(value, known):
            return encoder(value)
    raise BadRequest(f"The cache can't store {describe(value)}; resolve it first.")


def _encode_integer(value: int) -> tuple[int, bytes]:
    return Kind.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _encode_bool(value: bool) -> tuple[int, bytes]:
    return (Kind.TRUE if value else Kind.FALSE), b""


_PLAIN_ATOMS = {"true": Kind.TRUE, "false": Kind.FALSE, "null": Kind.NULL}


def _encode_atom(value: Atom) -> tuple[int, bytes]:
    plain = _PLAIN_ATOMS.get(value)
    return (Kind.ATOM, value.encode()) if plain is None else (plain, b"")


def _encode_link(link: Link) -> tuple[int, bytes]:
    if link.kind == "binary":
        return Kind.BLOB, _SIZE.pack(link.size) + link.id.encode()
    return Kind.LINK, link.id.encode()


def _encode_list(value: list[Value]) -> tuple[int, bytes]:
    items = {str(number): item for number, item in enumerate(value, 1)}
    return Kind.LIST, _encode_inner(items, 1)


def _encode_message(value: Message) -> tuple[int, bytes]:
    return Kind.MESSAGE, _encode_inner(value, 0)


def _encode_resolve(value: Resolve) -> tuple[int, bytes]:
    return Kind.RESOLVE, _encode_list(list(value.sequence))[1]


_ENCODERS: Mapping[type, Callable[..., tuple[int, bytes]]] = {
    bytes: lambda value: (Kind.BINARY, value),
    bool: _encode_bool,
    int: _encode_integer,
    float: lambda value: (Kind.FLOAT, _FLOAT.pack(value)),
    Atom: _encode_atom,
    type(None): lambda _: (Kind.NULL, b""),
    Link: _encode_link,
    list: _encode_list,
    Message: _encode_message,
    Resolve: _encode_resolve,
}


# Reading.


def decode(key: str, data: bytes) -> dict[str, Value] | list[Value]:
    """All items of the record that lies under `key`; `CorruptData` when it is damaged."""
    if data[:1] != b"\2":
        found = _decode_page(key, crc32(key.encode()), data)
        return list(found.values()) if data[1] else found
    items: dict[str, Value] = {}
    for part in pages(key, data):
        items.update(part)
    return gather(key, data, items)


def gather(key: str, data: bytes, items: dict[str, Value]) -> dict[str, Value] | list[Value]:
    """Items of all pages as what the record is; `CorruptData` when they are not all."""
    try:
        _, is_list, count, _ = _HEAD.unpack_from(data)
        if len(items) != count:
            raise damaged(key, f"it holds {len(items)} keys, not {count}")
        if is_list:
            return [items[str(number)] for number in range(1, count + 1)]
    except (error, KeyError) as problem:
        raise damaged(key, str(problem)) from problem
    return items


def pages(key: str, data: bytes) -> Iterator[dict[str, Value]]:
    """The items of a record page by page, so that a reader can let others run in between."""
    for number, (seed, page) in enumerate(_split(key, data)):
        yield _decode_page(f"{key} page {number}", seed, page)


def keys(key: str, data: bytes) -> list[str]:
    """The keys of the record, sorted (a list's in its order), without decoding the values."""
    found: list[str] = []
    for seed, page in _split(key, data):
        _check(key, seed, page)
        _, _, count, width = _HEAD.unpack_from(page)
        found += _page_names(page, count, width)
    _, is_list, count, _ = _HEAD.unpack_from(data)
    if len(found) != count:
        raise damaged(key, f"it holds {len(found)} keys, not {count}")
    return sorted(found, key=int) if is_list else sorted(found)


def check(key: str, data: bytes) -> None:
    """Raise `CorruptData` unless all checksums of the record that lies under `key` hold."""
    count = 0
    for seed, page in _split(key, data):
        _check(key, seed, page)
        count += _HEAD.unpack_from(page)[2]
    if count != _HEAD.unpack_from(data)[2]:
        raise damaged(key, f"it holds {count} keys, not as many as it says")


def find(key: str, view: bytes | memoryview, name: str) -> Value | Missing:
    """The value of one key of the record that lies under `key`, or `MISSING`.

    Reads a single page. Raises `CorruptData` when that page, or the way to it, is damaged.
    """
    raw = name.encode("utf-8", "surrogatepass")
    if view[:1] == b"\2":
        try:
            seed, page = _page_for(key, view, raw)
        except (error, ZeroDivisionError) as problem:
            raise damaged(key, str(problem)) from problem
    else:
        seed, page = crc32(key.encode()), view if type(view) is bytes else bytes(view)
    _check(key, seed, page)
    try:
        return _find_in(page, raw)
    except _DAMAGE as problem:
        raise damaged(key, str(problem)) from problem


def _split(key: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The pages of a record, each with the seed of its checksum."""
    if data[:1] != b"\2":
        yield crc32(key.encode()), data
        return
    head = data[:_HEAD_BYTES]
    try:
        _, _, _, count = _HEAD.unpack(head)
        offsets = unpack_from(f"<{count + 1}Q", data, _HEAD_BYTES)
    except error as problem:
        raise damaged(key, str(problem)) from problem
    if offsets[-1] != len(data):
        raise damaged(key, f"it has {len(data)} bytes, not {offsets[-1]}")
    for number in range(count):
        yield _page_seed(key, head, number), data[offsets[number] : offsets[number + 1]]


def _page_for(key: str, view: bytes | memoryview, raw: bytes) -> tuple[int, bytes]:
    head = bytes(view[:_HEAD_BYTES])
    _, _, _, count = _HEAD.unpack(head)
    number = _page_of(_salt(key), raw, count)
    start, end = _EXTENT.unpack_from(view, _HEAD_BYTES + number * _SIZE.size)
    return _page_seed(key, head, number), bytes(view[start:end])


def _salt(key: str) -> bytes:
    # A message's id depends on its keys, so nobody can choose keys that share a page.
    return key.encode()[-64:]


def _page_of(salt: bytes, raw: bytes, pages: int) -> int:
    return int.from_bytes(blake2b(raw, digest_size=8, key=salt).digest(), "little") % pages


def _page_seed(key: str, head: bytes, number: int) -> int:
    return crc32(head + number.to_bytes(4, "little"), crc32(key.encode()))


def _check(key: str, seed: int, page: bytes) -> None:
    if crc32(page, seed) != _SOUND:
        raise damaged(key, "its checksum does not hold")


def _find_in(page: bytes, raw: bytes) -> Value | Missing:
    _, _, count, width = _HEAD.unpack_from(page)
    first = _HEAD_BYTES + 5 * count + 4
    at = page.find(b"\xff%b\xff" % raw, first, first + width)
    if at < 0:
        return MISSING
    index = page.count(b"\xff", first, at)
    start, end = _SPAN.unpack_from(page, _HEAD_BYTES + count + 4 * index)
    kind = page[_HEAD_BYTES + index]
    return page[start:end] if kind == 0 else _DECODERS[kind](page[start:end])


def _decode_page(where: str, seed: int, page: bytes) -> dict[str, Value]:
    if crc32(page, seed) != _SOUND:
        raise damaged(where, "its checksum does not hold")
    try:
        _, _, count, width = _HEAD.unpack_from(page)
        kinds_end = _HEAD_BYTES + count
        offsets = _offsets(count + 1).unpack_from(page, kinds_end)
        names = _page_names(page, count, width)
        if len(names) != count:
            raise ValueError(f"it names {len(names)} keys, not {count}")
        # The numbers agree, and the keyword `strict` would cost as much as the loop.
        columns = zip(names, page[_HEAD_BYTES:kinds_end], offsets, offsets[1:])  # noqa: B905
        return {
            name: page[start:end] if kind == 0 else _DECODERS[kind](page[start:end])
            for name, kind, start, end in columns
        }
    except _DAMAGE as problem:
        raise damaged(where, str(problem)) from problem


def _page_names(page: bytes, count: int, width: int) -> Sequence[str]:
    first = _HEAD_BYTES + 5 * count + 4
    return names_in(page[first : first + width])


def _decode_inner(data: bytes) -> dict[str, Value]:
    return _decode_page("a value inside a record", 0, data)


_DECODERS: Sequence[Callable[[bytes], Value]] = (
    lambda data: data,
    lambda data: int.from_bytes(data, "little", signed=True),
    lambda data: float(_FLOAT.unpack(data)[0]),
    lambda data: Atom(data.decode()),
    lambda _: True,
    lambda _: False,
    lambda _: None,
    lambda data: Link(data.decode()),
    lambda data: Link(data[8:].decode(), "binary", _SIZE.unpack_from(data)[0]),
    lambda data: list(_decode_inner(data).values()),
    lambda data: Message.of(_decode_inner(data)),
    lambda data: Resolve(tuple(_decode_inner(data).values())),
)


def damaged(key: str, what: str) -> CorruptData:
    """The error for stored bytes that are not what was written."""
    return CorruptData(
        f"The record {key!r} is damaged: {what}. Restore it from a copy, or delete it and compute "
        "it again.",
        details={"damaged": key},
    )
