"""The files of an archive and what is in them: the log, the bundles, the index over both."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.key_file import load_or_create
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.durable import sync_directory
from hyperbeam_trio.errors import ConfigError, CorruptData, StoreError
from hyperbeam_trio.stores.bundle_files import Segment, read_bundle, write_bundle
from hyperbeam_trio.stores.bundle_index import KeyIndex
from hyperbeam_trio.stores.bundle_items import Change, change_of, entry_item
from hyperbeam_trio.stores.bundle_log import Log, frame, placed, read_log
from hyperbeam_trio.stores.group_commit import Write

FORMAT: Final = b"hyperbeam-trio bundle 1\n"


class Archive:
    """The files of an archive and what is in them. `commit`, `seal` and `load` block.

    `commit` and `seal` run in Trio's threads, one at a time; they change `index` in the event loop.
    """

    def __init__(self, root: Path, wallet: Wallet | None, items: int, size: int) -> None:
        self.index = KeyIndex()
        self._root = root
        self._wallet = wallet
        self._most_items = items
        self._most_bytes = size
        self._segments: dict[Path, Segment] = {}
        self._lost: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._lock: int | None = None
        self._log: Log | None = None

    def check_whole(self, key: str) -> None:
        """`CorruptData` if a key that is not in the index may be in what is damaged."""
        if self._lost:
            files = ", ".join(f"{count} of {name}" for name, count in sorted(self._lost.items()))
            raise CorruptData(
                f"bundle:{self._root}: nobody knows whether {key!r} is here, for items are damaged "
                f"({files}). Restore these files from a copy."
            )

    def load(self) -> None:
        """Find out what the files hold, in their order."""
        index, lost = KeyIndex(), {}
        files = self._sizes()
        for name in sorted(files):
            path = self._root / name
            if path.suffix == ".bundle":
                changes, lost[name] = read_bundle(path)
                index.apply(self._segment(path), changes)
            elif path.with_suffix(".bundle").name not in files:
                logged, _ = read_log(path)
                index.apply(self._segment(path), [item.change for item in logged])
        self.index, self._seen = index, files
        self._lost = {name: count for name, count in lost.items() if count}

    def _sizes(self) -> dict[str, int]:
        """The files that hold entries, and how large they are."""
        return {path.name: path.stat().st_size for path in self._files("*.bundle", "*.log")}

    def _files(self, *patterns: str) -> list[Path]:
        return [path for pattern in patterns for path in self._root.glob(pattern)]

    def _segment(self, path: Path) -> Segment:
        if path not in self._segments:
            self._segments[path] = Segment(path)
        return self._segments[path]

    # Writing.

    def commit(self, writes: Sequence[Write[str]]) -> None:
        """All of `writes`, in one commit of the log; sets `created` of each create."""
        log = self._log or self._take_over()
        items = self._items(writes)
        if items:
            changes = [change_of(item, 0) for item in items]
            logged = log.append(frame(items), lambda start: placed(items, changes, start))
            found = [item.change for item in logged]
            trio.from_thread.run_sync(self.index.apply, self._segment(log.path), found)
        if self._is_full(log) or any(not write.pairs for write in writes):
            self.seal()

    def _is_full(self, log: Log) -> bool:
        return len(log.logged) >= self._most_items or log.size >= self._most_bytes

    def _items(self, writes: Sequence[Write[str]]) -> list[DataItem]:
        """The items of some writes that change something."""
        present: dict[str, bool] = {}
        items: list[DataItem] = []
        for write in writes:
            for key, value in write.pairs:
                there = present.get(key, key in self.index)
                if write.kind == "create":
                    write.created = 0 if there else 1
                if (write.kind == "create" and there) or (write.kind == "delete" and not there):
                    continue
                gone = write.kind == "delete"
                present[key] = not gone
                items.append(entry_item(key, None if gone else value, self._signer))
        return items

    @property
    def _signer(self) -> Wallet:
        if self._wallet is None:
            raise StoreError(f"bundle:{self._root}: it was opened read-only.")
        return self._wallet

    def _take_over(self) -> Log:
        """Become the one that writes here, and learn what others wrote before."""
        handle = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise StoreError(f"bundle:{self._root}: another process writes to it.") from None
        self._lock = handle
        if self._sizes() != self._seen:
            self.load()
        self._log = self._newest_log()
        return self._log

    def _newest_log(self) -> Log:
        """The log that a crash left behind, or a new one."""
        for path in self._files("*.new"):
            path.unlink()
        done = {path.stem for path in self._files("*.bundle")}
        for path in self._files("*.log"):
            if path.stem in done:
                # Its bundle is complete; the crash came before it was removed.
                path.unlink()
            else:
                return Log.reopened(path)
        number = max((int(stem) for stem in done), default=0) + 1
        return Log.created(self._root / f"{number:08}.log")

    def seal(self) -> None:
        """Make a bundle of the log, if there is anything in it."""
        log = self._log
        if log is None or not log.logged:
            return
        path = log.path.with_suffix(".bundle")
        changes = write_bundle(path, log.path, log.logged, self._signer)
        old, new = self._segment(log.path), self._segment(path)
        trio.from_thread.run_sync(self._sealed, old, new, changes)
        log.remove()
        self._log = Log.created(self._root / f"{int(path.stem) + 1:08}.log")

    def _sealed(self, old: Segment, new: Segment, changes: Sequence[Change]) -> None:
        self.index.move(old, new, changes)
        del self._segments[old.path]
        old.retire()

    def close(self) -> None:
        """Let go of all files; an empty log is removed."""
        for segment in self._segments.values():
            segment.retire()
        self._segments.clear()
        if self._log is not None:
            self._log.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def prepare(root: Path, key: str, writable: bool) -> Wallet | None:
    """The directory, and the wallet that signs what is kept there."""
    try:
        if not writable:
            _check_format(root)
            return None
        root.mkdir(parents=True, exist_ok=True)
        mark = root / "FORMAT"
        if not mark.exists() and not any(root.iterdir()):
            mark.write_bytes(FORMAT)
            sync_directory(root)
        _check_format(root)
        return load_or_create(Path(key) if key else root / "key.json", "ed25519")
    except OSError as error:
        raise ConfigError(f"store bundle: {str(root)!r} can't be used: {error}.") from error


def _check_format(root: Path) -> None:
    if not root.exists():
        raise ConfigError(f"store bundle: there is no directory {str(root)!r}, and so no archive.")
    mark = root / "FORMAT"
    if not mark.is_file() or mark.read_bytes() != FORMAT:
        raise ConfigError(f"store bundle: {str(root)!r} holds something else than an archive.")
