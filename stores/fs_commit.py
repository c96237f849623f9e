"""One commit of the `fs` store: stage all values, note the batches, change the names, sync."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hyperbeam_trio.stores.fs_disk import Disk
from hyperbeam_trio.stores.fs_frame import frame
from hyperbeam_trio.stores.fs_names import Names
from hyperbeam_trio.stores.fs_stage import Move, Stage, with_directories
from hyperbeam_trio.stores.group_commit import Write


class Commit:
    """Applies a list of writes durably. Blocks; raises `OSError` when the disk refuses.

    Until the note is written nothing has happened; a batch that is noted will be finished, here,
    by the next commit, or when the store is opened again.
    """

    def __init__(self, disk: Disk, names: Names, stage: Stage) -> None:
        self._disk = disk
        self._names = names
        self._stage = stage
        self._changed: dict[str, None] = {}

    def run(self, writes: Sequence[Write[str]]) -> None:
        """Do all of `writes`, in order; sets `created` of each create."""
        self._stage.finish()
        moves = self._stage_values(writes)
        try:
            noted = [
                m for write, own in zip(writes, moves, strict=True) if len(own) > 1 for m in own
            ]
            if noted:
                self._stage.note(noted)
            for write, own in zip(writes, moves, strict=True):
                self._apply(write, own)
        except OSError:
            self._stage.drop([own[0].source for own in moves if len(own) == 1])
            raise
        self._disk.sync_directories(self._changed)
        self._stage.forget()

    def _stage_values(self, writes: Sequence[Write[str]]) -> list[list[Move]]:
        kept = [write.pairs if write.kind != "delete" else () for write in writes]
        frames = [frame(key.encode(), value) for pairs in kept for key, value in pairs]
        staged = iter(self._stage.add_all(frames))
        return [[Move(next(staged), self._names.path(key)) for key, _ in pairs] for pairs in kept]

    def _apply(self, write: Write[str], moves: Sequence[Move]) -> None:
        if write.kind == "delete":
            for key, _ in write.pairs:
                self._remove(self._names.path(key))
        elif write.kind == "create":
            write.created = self._create(moves[0])
        else:
            for move in moves:
                with_directories(self._disk, move, self._disk.rename)
                self._note_change(move.target)

    def _create(self, move: Move) -> bool:
        """A hard link is refused when the name is taken, by whichever process."""
        try:
            with_directories(self._disk, move, self._disk.link)
        except FileExistsError:
            return False
        finally:
            # The loser waits for the winner's name to be durable, too: it may build on it.
            self._note_change(move.target)
            self._stage.drop([move.source])
        return True

    def _remove(self, path: str) -> None:
        if self._disk.size(path) is not None:
            self._disk.unlink(path)
            self._note_change(path)

    def _note_change(self, path: str) -> None:
        self._changed[os.path.dirname(path)] = None
