"""An LMDB store of HyperBEAM's: paths to bytes, the text `group`, or `link:` and a path.

Its values don't say what they are, so bytes that read like a group or a link are told from one by
where they lie: what is below `data/` under its own hash is bytes (spec/04 §5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lmdb

from hyperbeam_trio.cache.older_layout import GROUP, Entry, Pointer
from hyperbeam_trio.crypto.encoding import hash_id
from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.stores.lmdb_environment import FORMAT_KEY, check_length, store_error

_GROUP = b"group"
_POINTER = b"link:"
_DATA = "data/"
_BEHIND_SLASH = b"0"
"""The byte behind `/`, so where what begins with `PATH/` ends."""


class LmdbTree:
    """The tree in an environment. See `Tree` for the methods."""

    def __init__(self, place: Path, env: lmdb.Environment) -> None:
        self._place = place
        self._env = env

    @classmethod
    def open(cls, root: Path) -> LmdbTree:
        """Opens it without a lock, to change nothing: nobody may write to it meanwhile.

        Raises `ConfigError` for what is no such store, and `CorruptData` for a damaged file.
        """
        try:
            env = lmdb.open(str(root), readonly=True, lock=False, create=False, max_spare_txns=2)
        except (lmdb.Error, OSError) as error:
            raise ConfigError(f"{root} can't be opened as an LMDB store ({error}).") from error
        try:
            check_length(root, env)
            with env.begin() as txn:
                if txn.get(FORMAT_KEY) is not None:
                    raise ConfigError(
                        f"{root} is a store of our own; 'store copy lmdb:{root} …' copies it."
                    )
        except BaseException:
            env.close()
            raise
        return cls(root, env)

    def entry(self, path: str) -> Entry:
        try:
            with self._env.begin() as txn:
                value = txn.get(_raw(path)) if path else _GROUP
        except lmdb.BadValsizeError:
            # A path longer than any key.
            return None
        except lmdb.Error as error:
            raise store_error(error, str(self._place)) from error
        if value is None or not value.startswith((_GROUP, _POINTER)):
            return value
        if path.startswith(_DATA) and hash_id(value) == path[len(_DATA) :]:
            return value
        if value == _GROUP:
            return GROUP
        if value.startswith(_POINTER):
            return Pointer(value[len(_POINTER) :].decode(errors="surrogateescape").strip("/"))
        return value

    def children(self, path: str, after: str, limit: int) -> Sequence[str]:
        prefix = _raw(path) + b"/" if path else b""
        try:
            with self._env.begin() as txn:
                return _children(txn, prefix, _raw(after), limit)
        except lmdb.Error as error:
            raise store_error(error, str(self._place)) from error

    def close(self) -> None:
        self._env.close()


def _raw(path: str) -> bytes:
    return path.encode(errors="surrogateescape")


def _children(txn: lmdb.Transaction[bytes], prefix: bytes, after: bytes, limit: int) -> list[str]:
    """The first parts of the keys below `prefix`, each where it comes first.

    `a` comes before `a!`, which comes before `a/b`: so a part with a key of its own comes with that
    key, and any other with the keys below it.
    """
    found: list[str] = []
    cursor = txn.cursor()
    there = cursor.set_range(_behind(txn, prefix, after) if after else prefix or b"\0")
    while there and len(found) < limit and cursor.key().startswith(prefix):
        part, slash, _ = cursor.key()[len(prefix) :].partition(b"/")
        if slash:
            if part and txn.get(prefix + part) is None:
                found.append(part.decode(errors="surrogateescape"))
            there = cursor.set_range(prefix + part + _BEHIND_SLASH)
        else:
            if part:
                found.append(part.decode(errors="surrogateescape"))
            there = cursor.next()
    return found


def _behind(txn: lmdb.Transaction[bytes], prefix: bytes, after: bytes) -> bytes:
    """Where to go on behind a part: behind its own key, or else behind all keys below it."""
    own = prefix + after
    return own + (_BEHIND_SLASH if txn.get(own) is None else b"\0")
