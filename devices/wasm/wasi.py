"""Host functions of `wasi_snapshot_preview1` over a virtual file table (spec/06 §2, column 'Ours').

Memory stays as the reference leaves it: `clock_time_get` answers 1 and writes nothing, because
guests seed themselves with it, and what is not here is a stub that answers 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial

from hyperbeam_trio.devices.wasm.files import (
    MAX_DESCRIPTORS,
    MAX_FILES,
    MAX_TOTAL_BYTES,
    STANDARD_FILES,
    Descriptor,
    FileTable,
    resolve_path,
)
from hyperbeam_trio.devices.wasm.imports import HostFunction
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.memory import Memory
from hyperbeam_trio.devices.wasm.signature import Number, Signature
from hyperbeam_trio.devices.wasm.traps import MemoryFault
from hyperbeam_trio.errors import GuestTrap

MODULE = "wasi_snapshot_preview1"

SUCCESS, CLOCK_REFUSED = 0, 1
EBADF, EEXIST, EFAULT, EINVAL, EISDIR, EMFILE = 8, 20, 21, 28, 31, 33
ENOENT, ENOSPC, ENOTDIR, ENOTCAPABLE = 44, 51, 54, 76

CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
APPEND = 1
MAX_VECTORS = 1024
"""As POSIX's IOV_MAX."""


class Errno(Exception):
    """A failure that the guest is told as a number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class ExitTrap(GuestTrap):
    """The guest ended itself with `proc_exit`; `code` is what it gave."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit({code})")
        self.code = code


class Wasi:
    """The functions for one line of states; `files` is theirs to change.

    `files` may be replaced between calls, so that the same instance serves the next state.
    """

    def __init__(self, files: FileTable | None = None) -> None:
        self.files = FileTable() if files is None else files
        self._lent: FileTable | None = None

    def lend(self, files: FileTable) -> None:
        """Work with files that stay as they are: they are copied before anything changes."""
        self.files = self._lent = files

    def changing(self) -> FileTable:
        """The files, to be changed."""
        if self.files is self._lent:
            self.files = deepcopy(self.files)
        return self.files

    def bind(self, module: str, name: str, signature: Signature) -> HostFunction | None:
        """The host function for an import, or None for what stays a stub: a `Binder`."""
        arity, function = FUNCTIONS.get(name, (None, None))
        if module != MODULE or function is None or arity != len(signature.params):
            return None
        return partial(_answer, function, self)


Arguments = tuple[Number, ...]
Function = Callable[[Wasi, Instance, Arguments], int]


def _answer(function: Function, wasi: Wasi, instance: Instance, arguments: Arguments) -> list[int]:
    try:
        return [function(wasi, instance, arguments)]
    except Errno as error:
        return [error.number]
    except MemoryFault:
        return [EFAULT]


def fd_write(wasi: Wasi, instance: Instance, arguments: Arguments) -> int:
    """Insert the bytes of the vectors at the descriptor's offset; stores their count."""
    number, vectors, count, result = map(int, arguments)
    memory, descriptor = _memory(instance), _descriptor(wasi.changing(), number)
    _require_file(wasi.files, descriptor.filename)
    _require_room(memory, result)
    room = MAX_TOTAL_BYTES - wasi.files.total - max(0, descriptor.offset)
    parts = []
    for address, length in _vectors(memory, vectors, count):
        room -= length
        if room < 0:
            raise Errno(ENOSPC)
        parts.append(memory.read(address, length))
    data = b"".join(parts)
    wasi.files.insert(descriptor, data)
    _store_size(memory, result, len(data))
    return SUCCESS


def fd_read(wasi: Wasi, instance: Instance, arguments: Arguments) -> int:
    """Fill the vectors from the descriptor's offset on; stores how many bytes that were."""
    number, vectors, count, result = map(int, arguments)
    memory, descriptor = _memory(instance), _descriptor(wasi.changing(), number)
    _require_file(wasi.files, descriptor.filename)
    _require_room(memory, result)
    total = 0
    for address, length in _vectors(memory, vectors, count):
        data = wasi.files.take(descriptor, length)
        memory.write(address, data)
        total += len(data)
        if len(data) < length:
            break
    _store_size(memory, result, total)
    return SUCCESS


def path_open(wasi: Wasi, instance: Instance, arguments: Arguments) -> int:
    """Open a path in the table; the descriptor's number is stored as u32.

    A state has no preopened directories: a first argument that is no open directory stands for
    the root.
    """
    directory, _, path, length, flags, _, _, descriptor_flags, result = map(int, arguments)
    memory, files = _memory(instance), wasi.changing()
    memory.read(result, 4)
    name = _resolve(files, directory, memory.read(path, length & 0xFFFF_FFFF))
    _open_file(files, name, flags)
    if len(files.fds) >= MAX_DESCRIPTORS:
        raise Errno(EMFILE)
    number = files.free_number()
    offset = len(files.files.get(name, b"")) if descriptor_flags & APPEND else 0
    files.fds[number] = Descriptor(name, offset)
    memory.write(result, struct.pack("<I", number))
    return SUCCESS


def fd_close(wasi: Wasi, _instance: Instance, arguments: Arguments) -> int:
    """Forget a descriptor other than the standard three; answers 0 whatever it was."""
    number = int(arguments[0])
    if number >= len(STANDARD_FILES):
        wasi.changing().fds.pop(number, None)
    return SUCCESS


def clock_time_get(_wasi: Wasi, _instance: Instance, _arguments: Arguments) -> int:
    """Answer errno 1 and write nothing."""
    return CLOCK_REFUSED


def fd_prestat_get(_wasi: Wasi, _instance: Instance, _arguments: Arguments) -> int:
    """No preopened directory: a stub's 0 would keep a C library asking for ever."""
    return EBADF


def proc_exit(_wasi: Wasi, _instance: Instance, arguments: Arguments) -> int:
    """End the guest."""
    raise ExitTrap(int(arguments[0]))


FUNCTIONS: dict[str, tuple[int, Function]] = {
    "fd_write": (4, fd_write),
    "fd_read": (4, fd_read),
    "fd_close": (1, fd_close),
    "fd_prestat_get": (2, fd_prestat_get),
    "path_open": (9, path_open),
    "clock_time_get": (3, clock_time_get),
    "proc_exit": (1, proc_exit),
}


def _memory(instance: Instance) -> Memory:
    if instance.memory is None:
        raise Errno(EFAULT)
    return instance.memory


def _descriptor(files: FileTable, number: int) -> Descriptor:
    found = files.fds.get(number)
    if found is None:
        raise Errno(EBADF)
    return found


def _require_file(files: FileTable, name: str) -> None:
    if name not in files.files and files.is_directory(name):
        raise Errno(EISDIR)


def _size_layout(memory: Memory) -> struct.Struct:
    return struct.Struct("<Q" if memory.is_64 else "<I")


def _require_room(memory: Memory, address: int) -> None:
    memory.read(address, _size_layout(memory).size)


def _store_size(memory: Memory, address: int, size: int) -> None:
    memory.write(address, _size_layout(memory).pack(size))


def _vectors(memory: Memory, address: int, count: int) -> Iterator[tuple[int, int]]:
    """The (address, length) pairs of an iovec array, 16 or 8 bytes each (spec/06 §2)."""
    if not 0 <= count <= MAX_VECTORS:
        raise Errno(EINVAL)
    layout = struct.Struct("<QQ" if memory.is_64 else "<II")
    return layout.iter_unpack(memory.read(address, count * layout.size))


def _resolve(files: FileTable, directory: int, path: bytes) -> str:
    base = files.fds.get(directory)
    inside = base.filename if base and files.is_directory(base.filename) else "/"
    try:
        name = resolve_path(inside, path.decode())
    except UnicodeDecodeError as error:
        raise Errno(EINVAL) from error
    if name is None:
        raise Errno(ENOTCAPABLE)
    return name


def _open_file(files: FileTable, name: str, flags: int) -> None:
    """Check and if asked make or empty the file, as `flags` say."""
    if name in files.files:
        if flags & EXCLUSIVE:
            raise Errno(EEXIST)
        if flags & DIRECTORY:
            raise Errno(ENOTDIR)
        if flags & TRUNCATE:
            files.files[name].clear()
    elif files.is_directory(name):
        if flags & (CREATE | TRUNCATE):
            raise Errno(EISDIR)
    elif not flags & CREATE:
        raise Errno(ENOENT)
    else:
        _create(files, name)


def _create(files: FileTable, name: str) -> None:
    parts = name.split("/")
    if any("/".join(parts[:depth]) in files.files for depth in range(2, len(parts))):
        raise Errno(ENOTDIR)
    if len(files.files) >= MAX_FILES:
        raise Errno(ENOSPC)
    files.files[name] = bytearray()
