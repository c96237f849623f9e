"""A file store of HyperBEAM's: files, directories, and links whose text begins with its name.

Links are written for the directory that HyperBEAM runs in, so their text is read, and what precedes
the path in the store is cut off; the system never follows them (spec/04 §5.1).
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from hyperbeam_trio.cache.older_layout import GROUP, Entry, Pointer
from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError

_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""What the system says of paths at which nothing is, or could be."""


class FsTree:
    """The tree in a directory. See `Tree` for the methods.

    Memory: the names of its largest directory, some 100 bytes each, for files have no order.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._prefix: str | None = None
        self._plain = ""
        self._listed: tuple[str | None, list[str]] = (None, [])

    @classmethod
    def open(cls, root: Path) -> FsTree:
        """Raises `ConfigError` for what is no directory, or a store of ours."""
        if not os.path.isdir(root):
            raise ConfigError(f"{root} is no directory, and so no store of files.")
        if (root / "FORMAT").exists():
            raise ConfigError(f"{root} is a store of our own; 'store copy fs:{root} …' copies it.")
        return cls(root)

    def entry(self, path: str) -> Entry:
        place = self._place(path)
        if place is None:
            return None
        try:
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                return Pointer(self._target(os.readlink(place)))
            if stat.S_ISDIR(mode):
                return GROUP
            if not stat.S_ISREG(mode):
                # HyperBEAM has no such thing, and to open a pipe would be to wait for a writer.
                return None
            with open(place, "rb") as file:
                return file.read()
        except OSError as error:
            if error.errno in _NOTHING:
                return None
            raise _unreadable(place, error) from error

    def children(self, path: str, after: str, limit: int) -> Sequence[str]:
        listed, names = self._listed
        if listed != path or not after:
            names = self._names(path)
            if len(names) > limit:
                # Walked in portions, and small groups are looked at in between.
                self._listed = (path, names)
        start = bisect_right(names, after) if after else 0
        return names[start : start + limit]

    def close(self) -> None:
        self._listed = (None, [])

    def _names(self, path: str) -> list[str]:
        place = self._place(path)
        try:
            # The system would follow a link here, too.
            inside = place is not None and (not path or not os.path.islink(place))
            names = sorted(os.listdir(place)) if inside else []
        except OSError as error:
            if error.errno in _NOTHING:
                return []
            raise _unreadable(str(place), error) from error
        # By default another store of HyperBEAM's, of LMDB, lies inside the one of files.
        return names if path else [name for name in names if not self._is_store(name)]

    def _is_store(self, name: str) -> bool:
        return os.path.exists(f"{self._root}/{name}/data.mdb")

    def _place(self, path: str) -> str | None:
        """Where a path lies; `None` when a link is on the way, which the system would follow."""
        if not path:
            return self._root
        parts = path.split("/")
        if ".." in parts or "." in parts or "" in parts or "\0" in path:
            raise CorruptData(f"{self._root}: {path!r} is no path in a store.")
        return f"{self._root}/{path}" if self._is_plain("/".join(parts[:-1])) else None

    def _is_plain(self, directory: str) -> bool:
        """Whether no part of a path is a link; what was seen last need not be looked at again."""
        if f"{self._plain}/".startswith(f"{directory}/"):
            return True
        begun = f"{directory}/".startswith(f"{self._plain}/")
        place = f"{self._root}/{self._plain}" if begun else self._root
        for part in directory.removeprefix(self._plain if begun else "").strip("/").split("/"):
            place = f"{place}/{part}"
            if os.path.islink(place):
                return False
        self._plain = directory
        return True

    def _target(self, text: str) -> str:
        """The path that a link's text means; the store's name before it is found out once."""
        if self._prefix is not None and text.startswith(self._prefix):
            return text.removeprefix(self._prefix)
        parts = text.split("/")
        for start in range(len(parts)):
            path = "/".join(part for part in parts[start:] if part)
            if path and ".." not in parts[start:] and os.path.lexists(f"{self._root}/{path}"):
                self._prefix = text.removesuffix(path)
                return path
        return text


def _unreadable(place: str, error: OSError) -> CorruptData | StoreError:
    """A place that the disk can't read is damaged; anything else can be mended and tried again."""
    if error.errno == errno.EIO:
        return CorruptData(f"{place}: {error}")
    return StoreError(f"{place}: {error}")
