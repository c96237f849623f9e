"""Keys as paths, and back: any key of the contract on any file system, listed in byte order.

Parts of a key are directories. Names hold only `a-z 0-9 - _ % ^ .`, so that systems that fold case
or normalise Unicode keep keys apart: an upper-case letter is `^` and its lower case, other bytes
are `%` and two hexadecimal digits. A value's file ends in `.v`. In a directory, names of eight or
more characters lie in a subdirectory of their first two (`.s`), so that a million ids do not share
one. A key with a name too long for file systems lies under `long/` by its hash.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from heapq import merge
from pathlib import Path

MAX_NAME_BYTES = 240
SHARD_FROM = 8
SHARD_WIDTH = 2

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_ESCAPES = {
    byte: f"^{chr(byte).lower()}" if 65 <= byte <= 90 else f"%{byte:02x}"
    for byte in range(256)
    if byte not in _PLAIN
}
_ESCAPED = re.compile(r"%([0-9a-f]{2})|\^([a-z])")


def escape(text: str) -> str:
    """A part of a key as a name that survives folding of case and form."""
    return text.encode().decode("latin-1").translate(_ESCAPES)


def unescape(name: str) -> str:
    """The inverse of `escape`; `UnicodeDecodeError` for what it never gives."""
    raw = _ESCAPED.sub(lambda m: chr(int(m[1], 16)) if m[1] else m[2].upper(), name)
    return raw.encode("latin-1").decode()


@dataclass(frozen=True)
class Names:
    """Where the values of a store below `root` lie."""

    root: Path

    def path(self, key: str) -> str:
        """The file of a key."""
        *parents, leaf = (escape(part) for part in key.split("/"))
        if any(len(name) > MAX_NAME_BYTES for name in (*parents, leaf)):
            digest = sha256(key.encode()).hexdigest()
            return os.path.join(self.root, "long", digest[:2], f"{digest}.v")
        text = key.rpartition("/")[2]
        if len(text) >= SHARD_FROM:
            parents.append(f"{escape(text[:SHARD_WIDTH])}.s")
        return os.path.join(self.root, "keys", *parents, f"{leaf}.v")

    def keys(self, prefix: str, after: str, key_of: Callable[[str], str]) -> Iterator[str]:
        """Keys with `prefix` from behind `after`, in byte order; blocks on the disk.

        `key_of(path)` reads the key inside a file of `long/`.
        """
        walked = _walk(os.path.join(self.root, "keys"), "", prefix, after)
        return merge(walked, _long_keys(os.path.join(self.root, "long"), prefix, after, key_of))


def _walk(directory: str, base: str, prefix: str, after: str) -> Iterator[str]:
    """The keys below a directory, whose own key text is `base`, in order.

    Code points order as UTF-8 bytes do. Names are grouped by their first two characters: a group
    is a shard together with what lies beside the shards, and whole groups are skipped.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for text, path in _entries(directory):
        groups.setdefault(text[:SHARD_WIDTH], []).append((text, path))
    for start in sorted(groups):
        if _may_hold(base + start, prefix, after):
            yield from _walk_group(groups[start], base, prefix, after)


def _walk_group(
    entries: list[tuple[str, str]], base: str, prefix: str, after: str
) -> Iterator[str]:
    found = []
    for text, path in entries:
        found += _entries(path) if path.endswith(".s") else [(text, path)]
    for text, path in sorted(found):
        key = base + text
        if path.endswith(".v"):
            if key > after and key.startswith(prefix):
                yield key
        elif _may_hold(key, prefix, after):
            yield from _walk(path, key, prefix, after)


def _may_hold(start: str, prefix: str, after: str) -> bool:
    """Whether keys that begin with `start` can have `prefix` and lie behind `after`."""
    related = start.startswith(prefix) or prefix.startswith(start)
    return related and (start > after or after.startswith(start))


def _entries(directory: str) -> list[tuple[str, str]]:
    """Key text and path of each entry: values as they are, directories with a `/` behind."""
    found = []
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names:
        stem, dot, kind = name.partition(".")
        if kind in ("v", "s") or not dot:
            found.append((unescape(stem) + ("" if dot else "/"), os.path.join(directory, name)))
    return found


def _long_keys(
    directory: str, prefix: str, after: str, key_of: Callable[[str], str]
) -> Iterator[str]:
    shards = _listing(directory)
    paths = [path for shard in shards for path in _listing(shard) if path.endswith(".v")]
    keys = (key_of(path) for path in paths)
    return iter(sorted(key for key in keys if key > after and key.startswith(prefix)))


def _listing(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory)]
    except (FileNotFoundError, NotADirectoryError):
        return []
