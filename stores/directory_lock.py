"""Locks on a directory among processes: who opens a store there, and who has it open."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hyperbeam_trio.errors import ConfigError, StoreError

USERS: Final = "users.lock"
"""A file beside the store, empty, locked by those who have it open for writing."""


@contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Hold the lock of an existing directory; waits for it. The system frees it with its holder."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


class Users:
    """This process's share in the lock of those who have a store open for writing.

    Any number of them may share it, or one has it alone, which has to be so while what nobody leads
    to is deleted. The system frees it with its holder, so a crash leaves nothing behind.
    """

    def __init__(self, root: Path, place: str) -> None:
        """Take a share; `ConfigError` while another process has the store alone, or without it."""
        self._place = place
        try:
            self._file = os.open(root / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            shared = self._locks(fcntl.LOCK_SH)
        except OSError as error:
            self.close()
            raise self._unusable(error) from error
        if not shared:
            self.close()
            raise ConfigError(
                f"store {place}: another process collects garbage in it; wait until it is done."
            )

    def be_alone(self) -> None:
        """Keep all others from opening the store; `StoreError` while one has it open.

        Then the share is kept, unless two try at once and the other succeeds: close the store.
        """
        if not self._locks(fcntl.LOCK_EX):
            # The system has taken the share away for the attempt.
            self._locks(fcntl.LOCK_SH)
            raise StoreError(
                f"store {self._place}: another process, such as a node, has it open; stop it first."
            )

    def close(self) -> None:
        """Give the share up."""
        os.close(self._file)

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"store {self._place}: the directory can't be used ({error}). This user must be able "
            f"to write and lock the file {USERS} in it."
        )

    def _locks(self, how: int) -> bool:
        try:
            fcntl.flock(self._file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
