"""The virtual file table of a guest: descriptors and files, as plain values (spec/06 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperbeam_trio.errors import BadRequest

STANDARD_FILES = ("/dev/stdin", "/dev/stdout", "/dev/stderr")
FIRST_FREE = 3
MAX_DIGITS = 18
MAX_TOTAL_BYTES = 64 << 20
MAX_DESCRIPTORS = 1024
MAX_FILES = 4096


@dataclass(slots=True)
class Descriptor:
    """An open file: its path and where the next byte is read or written."""

    filename: str
    offset: int = 0


def _standard_descriptors() -> dict[int, Descriptor]:
    return {number: Descriptor(name) for number, name in enumerate(STANDARD_FILES)}


def _standard_files() -> dict[str, bytearray]:
    return {name: bytearray() for name in STANDARD_FILES}


@dataclass(slots=True)
class FileTable:
    """`fds`: descriptors by number; `files`: contents by absolute path, in no other order.

    A directory is what is a proper prefix of a path. A new table has the three standard files,
    open as 0, 1 and 2 (spec/06 §2).
    """

    fds: dict[int, Descriptor] = field(default_factory=_standard_descriptors)
    files: dict[str, bytearray] = field(default_factory=_standard_files)

    @classmethod
    def from_trees(
        cls, descriptors: Mapping[str, Mapping[str, object]], vfs: Mapping[str, object]
    ) -> FileTable:
        """From the state's form: `{"1": {"filename": .., "offset": ..}}` and nested directories.

        File names, offsets and contents may be text or bytes. Raises `BadRequest` for a descriptor
        that has no number, file name or offset.
        """
        table = cls({}, {})
        for number, descriptor in descriptors.items():
            table.fds[_as_offset(number, number)] = _as_descriptor(number, descriptor)
        _collect(table.files, "", vfs)
        return table

    def descriptor_tree(self) -> dict[str, dict[str, str | int]]:
        """The descriptors in the state's form."""
        return {
            str(number): {"filename": each.filename, "offset": each.offset}
            for number, each in sorted(self.fds.items())
        }

    def file_tree(self) -> dict[str, Any]:
        """The files in the state's form: a nested dict, a directory a dict, a file bytes."""
        tree: dict[str, Any] = {}
        for path, content in self.files.items():
            *directories, name = path.strip("/").split("/")
            place = tree
            for directory in directories:
                place = place.setdefault(directory, {})
            place[name] = bytes(content)
        return tree

    @property
    def total(self) -> int:
        """Bytes in all files."""
        return sum(map(len, self.files.values()))

    def is_directory(self, path: str) -> bool:
        """Whether files lie below `path`."""
        prefix = path.rstrip("/") + "/"
        return prefix == "/" or any(name.startswith(prefix) for name in self.files)

    def free_number(self) -> int:
        """The smallest descriptor from 3 that is not open."""
        number = FIRST_FREE
        while number in self.fds:
            number += 1
        return number

    def insert(self, descriptor: Descriptor, data: bytes) -> None:
        """Put `data` into the descriptor's file at its offset, and move the offset behind it."""
        content = self.files.setdefault(descriptor.filename, bytearray())
        missing = descriptor.offset - len(content)
        if missing > 0:
            content += bytes(missing)
        content[descriptor.offset : descriptor.offset] = data
        descriptor.offset += len(data)

    def take(self, descriptor: Descriptor, length: int) -> bytes:
        """At most `length` bytes from the descriptor's offset, which moves behind them."""
        content = self.files.get(descriptor.filename, bytearray())
        data = bytes(content[descriptor.offset : descriptor.offset + length])
        descriptor.offset += len(data)
        return data


def resolve_path(directory: str, path: str) -> str | None:
    """The absolute form of `path` seen from `directory`, or None if it leads out of the root."""
    parts = [] if path.startswith("/") else [part for part in directory.split("/") if part]
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _collect(files: dict[str, bytearray], prefix: str, tree: Mapping[str, object]) -> None:
    for name, value in tree.items():
        path = f"{prefix}/{name}"
        if isinstance(value, Mapping):
            _collect(files, path, value)
        else:
            files[path] = bytearray(_as_bytes(value))


def _as_descriptor(number: str, descriptor: Mapping[str, object]) -> Descriptor:
    name = _as_bytes(descriptor.get("filename", b"")).decode(errors="replace")
    if not name:
        raise BadRequest(f"File descriptor {number} has no filename.")
    return Descriptor(name, _as_offset(number, descriptor.get("offset", 0)))


def _as_offset(number: str, value: object) -> int:
    digits = _as_bytes(value)
    if not digits.isdigit() or len(digits) > MAX_DIGITS:
        raise BadRequest(f"File descriptor {number}: {value!r:.40} is not a number of bytes.")
    return int(digits)


def _as_bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
