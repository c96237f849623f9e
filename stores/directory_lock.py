"""Locks on a directory among processes: who opens a store there, and who has it open."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from hyperbeam_trio.errors import ConfigError, StoreError

USERS: Final = "users.lock"
"""A file beside the store, empty, locked by those who have it open for writing."""
WAIT_SECONDS: Final = 60.0
"""Opening takes longer only where a crash left very much to recover."""
_LOOK_SECONDS: Final = 0.005


@asynccontextmanager
async def locked_directory(path: Path) -> AsyncIterator[None]:
    """Hold the lock of an existing directory. The system frees it with its holder.

    Waits for it at most `WAIT_SECONDS`, while other tasks go on; then `ConfigError`.
    """
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        given_up = time.monotonic() + WAIT_SECONDS
        while not _locks(directory, fcntl.LOCK_EX):
            if time.monotonic() > given_up:
                raise ConfigError(
                    f"store {path}: another process has been opening it for {WAIT_SECONDS:.0f} "
                    "seconds. Wait until it is done, or end it."
                )
            await trio.sleep(_LOOK_SECONDS)
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
            shared = _locks(self._file, fcntl.LOCK_SH)
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
        if not _locks(self._file, fcntl.LOCK_EX):
            # The system has taken the share away for the attempt.
            _locks(self._file, fcntl.LOCK_SH)
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


def _locks(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
