"""The keys of a record's page: their order, and the block of bytes that holds them.

Messages of one sort have the same keys, so what short ones come to is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

SHORT: Final = 1024
"""Characters of all keys together, above which nothing is kept."""

Names: TypeAlias = tuple[tuple[str, ...], tuple[bytes, ...], bytes]
"""Keys in the order of a record, the same as bytes, and the block that they make together."""


def named(keys: Iterable[str], is_list: int) -> Names:
    """The keys of a message, sorted, or those of a list, in their order."""
    given = tuple(keys)
    short = len("".join(given)) <= SHORT
    return _kept_named(given, is_list) if short else _named(given, is_list)


def _named(keys: tuple[str, ...], is_list: int) -> Names:
    ordered = keys if is_list else tuple(sorted(keys))
    # Any text that a str can hold comes back as it was, also lone surrogates.
    raws = tuple([key.encode("utf-8", "surrogatepass") for key in ordered])
    return ordered, raws, block_of(raws)


_kept_named = lru_cache(maxsize=1024)(_named)


def block_of(raws: Sequence[bytes]) -> bytes:
    """Keys as they stand in a page: a byte that no UTF-8 has around each."""
    return b"\xff%b\xff" % b"\xff".join(raws) if raws else b""


def names_in(block: bytes) -> Sequence[str]:
    """The keys that a block holds; what decoding raises when it is damaged."""
    return _kept_names(block) if len(block) <= SHORT else _names(block)


def _names(block: bytes) -> tuple[str, ...]:
    if not block:
        return ()
    return tuple([str(raw, "utf-8", "surrogatepass") for raw in block[1:-1].split(b"\xff")])


_kept_names = lru_cache(maxsize=1024)(_names)
