"""flat@1.0: one map from paths to binaries, and its text form (spec/01 §7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.structured import from_tabm, to_tabm
from hyperbeam_trio.codec.tabm import Tabm, insert
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message


def flatten(tabm: Tabm) -> dict[str, bytes]:
    """A TABM as one level: the keys on the way to a binary are joined by `/`.

    Maps without a binary inside are lost.
    """
    return dict(_leaves(tabm, ""))


def _leaves(tabm: Tabm, prefix: str) -> Iterator[tuple[str, bytes]]:
    for key, value in tabm.items():
        path = f"{prefix}/{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, path)
        else:
            yield path, value


def unflatten(flat: Mapping[str, bytes]) -> Tabm:
    """The TABM of a one-level map; empty parts of paths are dropped.

    Where one path runs through the value of another, the maps win. Raises `BadRequest` for paths
    that are empty or too deep.
    """
    tabm: Tabm = {}
    for path in sorted(flat):
        insert(tabm, path, flat[path])
    return tabm


def write_text(flat: Mapping[str, bytes]) -> bytes:
    """One line `path: value` for each entry, sorted by path.

    Raises `BadRequest` for what a line can't hold.
    """
    lines = []
    for path, value in sorted(flat.items()):
        line = path.encode() + b": " + value
        if b"\n" in line or line.count(b": ") != 1:
            raise BadRequest(f"Key {path!r} can't be written as one line of flat@1.0.")
        lines.append(line + b"\n")
    return b"".join(lines)


def read_text(text: bytes) -> dict[str, bytes]:
    """The entries of the lines that have one `: `; other lines are left out."""
    found: dict[str, bytes] = {}
    for line in text.split(b"\n"):
        pieces = line.split(b": ")
        if len(pieces) == 2:
            found[_path(pieces[0])] = pieces[1]
    return found


def _path(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"A line's path is not UTF-8: {raw[:80]!r}") from None


class FlatCodec(Codec):
    """flat@1.0 as text: for configuration files and for reading along."""

    name = "flat@1.0"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        return write_text(flatten(to_tabm(message, bundle=bundle)))

    def from_bytes(self, data: bytes) -> Message:
        value = from_tabm(unflatten(read_text(data)))
        if not isinstance(value, Message):
            raise BadRequest("The text holds a list, where a message is expected.")
        return value


FLAT: Final = FlatCodec()
