"""Compiled modules on disk, so that a restart need not compile again (spec/06 §7.6).

An artefact is native code: only files that this class wrote are loaded, from a directory and in
files that belong to this user and that nobody else can write, and only with the hash that was
written beside them. Anything else counts as absent.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

import wasmtime

from hyperbeam_trio.errors import ConfigError

MAX_ARTEFACTS = 256
SUFFIX = ".cwasm"


class Artefacts:
    """Artefacts by name in one private directory, at most `limit` of them."""

    def __init__(self, directory: Path, limit: int = MAX_ARTEFACTS) -> None:
        """Make `directory` (mode 0700) if need be; raises `ConfigError` if others can write it."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"Artefact cache {directory} can't be made: {error}") from error
        if not directory.is_dir() or not _private(directory):
            raise ConfigError(
                f"Artefact cache {directory} must belong to this user, with mode 0700: it holds"
                " native code."
            )
        self._directory = directory
        self._limit = limit

    def load(self, engine: wasmtime.Engine, name: str) -> wasmtime.Module | None:
        """The module stored under `name`, or None if there is none that can be trusted and used."""
        path = self._directory / (name + SUFFIX)
        try:
            expected = path.with_suffix(".sha256").read_text("ascii")
            content = path.read_bytes()
            private = _private(path)
        except (OSError, UnicodeDecodeError):
            return None
        if not private or hashlib.sha256(content).hexdigest() != expected:
            return None
        try:
            return wasmtime.Module.deserialize_file(engine, str(path))
        except wasmtime.WasmtimeError:
            # Written by another engine configuration or for another CPU.
            return None

    def save(self, name: str, module: wasmtime.Module) -> None:
        """Store `module` under `name`. A full disk or the like only costs the next start time."""
        content = bytes(module.serialize())
        digest = hashlib.sha256(content).hexdigest()
        try:
            self._write(name + SUFFIX, content)
            self._write(name + ".sha256", digest.encode())
            self._prune()
        except OSError:
            return

    def _write(self, name: str, content: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self._directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._directory / name)
        except BaseException:
            os.unlink(temporary)
            raise

    def _prune(self) -> None:
        found = sorted(self._directory.glob("*" + SUFFIX), key=_modified, reverse=True)
        for path in found[self._limit :]:
            path.unlink(missing_ok=True)
            path.with_suffix(".sha256").unlink(missing_ok=True)


def _private(path: Path) -> bool:
    status = path.stat()
    return status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
