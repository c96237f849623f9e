"""WASI over a virtual file table (spec/06 §2)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.devices.wasm import wasi as wasi_module
from hyperbeam_trio.devices.wasm.files import Descriptor, FileTable, resolve_path
from hyperbeam_trio.devices.wasm.instance import Instance
from hyperbeam_trio.devices.wasm.signature import Signature
from hyperbeam_trio.devices.wasm.wasi import ExitTrap, Wasi
from hyperbeam_trio.errors import BadRequest

MODULE = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 {w} {w} {w}) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 {w} {w} {w}) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 {w}) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 {w}) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param {w} {w}) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock (param i32 i64 {w}) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 {w} {w} i32 i64 i64 i32 {w}) (result i32)))
  (memory (export "memory") {m} 2)
  (func (export "write") (param i32 {w} {w} {w}) (result i32)
    (call $write (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "read") (param i32 {w} {w} {w}) (result i32)
    (call $read (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "close") (param i32) (result i32) (call $close (local.get 0)))
  (func (export "seek") (result i32)
    (call $seek (i32.const 1) (i64.const 9) (i32.const 0) ({w}.const 0)))
  (func (export "prestat") (param i32) (result i32) (call $prestat (local.get 0) ({w}.const 0)))
  (func (export "random") (result i32) (call $random ({w}.const 0) ({w}.const 9)))
  (func (export "clock") (result i32) (call $clock (i32.const 0) (i64.const 0) ({w}.const 0)))
  (func (export "exit") (param i32) (call $exit (local.get 0)))
  (func (export "open") (param i32 {w} {w} i32 i32 {w}) (result i32)
    (call $open (local.get 0) (i32.const 0) (local.get 1) (local.get 2) (local.get 3)
      (i64.const 0) (i64.const 0) (local.get 4) (local.get 5))))
"""

PATH, VECTORS, RESULT, DATA = 64, 256, 512, 1024
PAGE = 1 << 16
EBADF, EEXIST, EFAULT, EINVAL, EISDIR, EMFILE = 8, 20, 21, 28, 31, 33
ENOENT, ENOSPC, ENOTDIR, ENOTCAPABLE = 44, 51, 54, 76
CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8


class Program:
    """A guest with one function for each WASI call, and the files behind it."""

    def __init__(self, guest, wide: bool) -> None:
        self.wasi = Wasi()
        self.wide = wide
        word, memory = ("i64", "i64") if wide else ("i32", "")
        self.instance: Instance = guest(MODULE.format(w=word, m=memory), self.wasi.bind)
        self.memory = self.instance.memory

    @property
    def files(self):
        return self.wasi.files.files

    @property
    def fds(self):
        return self.wasi.files.fds

    def call(self, name, *arguments) -> int:
        (result,) = self.instance.call(name, arguments)
        return result

    def vectors(self, *vectors: tuple[int, int]) -> int:
        layout = "<QQ" if self.wide else "<II"
        self.memory.write(VECTORS, b"".join(struct.pack(layout, *each) for each in vectors))
        return len(vectors)

    def count(self) -> int:
        (count,) = struct.unpack(
            "<Q" if self.wide else "<I", self.memory.read(RESULT, 8 if self.wide else 4)
        )
        return count

    def write(self, fd: int, *parts: bytes) -> int:
        vectors, at = [], DATA
        for part in parts:
            self.memory.write(at, part)
            vectors.append((at, len(part)))
            at += len(part)
        return self.call("write", fd, VECTORS, self.vectors(*vectors), RESULT)

    def read(self, fd: int, *lengths: int) -> int:
        starts = [DATA + sum(lengths[:n]) for n in range(len(lengths))]
        vectors = self.vectors(*zip(starts, lengths, strict=True))
        return self.call("read", fd, VECTORS, vectors, RESULT)

    def open(self, path: bytes, flags: int = 0, directory: int = 3, append: int = 0) -> int:
        self.memory.write(PATH, path)
        return self.call("open", directory, PATH, len(path), flags, append, RESULT)

    def opened(self) -> int:
        (number,) = struct.unpack("<I", self.memory.read(RESULT, 4))
        return number


@pytest.fixture(params=[False, True], ids=["memory32", "memory64"])
def program(request, guest) -> Program:
    return Program(guest, request.param)


# Writing and reading.


def test_written_vectors_are_joined_in_the_file(program):
    assert program.write(1, b"Hello, ", b"World!\n") == 0
    assert program.files["/dev/stdout"] == b"Hello, World!\n"
    assert program.count() == 14
    assert program.fds[1].offset == 14


def test_next_write_goes_behind(program):
    program.write(2, b"one")
    program.write(2, b"two")
    assert program.files["/dev/stderr"] == b"onetwo"


def test_write_in_the_middle_inserts(program):
    program.files["/dev/stdout"][:] = b"ad"
    program.fds[1].offset = 1
    program.write(1, b"bc")
    assert program.files["/dev/stdout"] == b"abcd"


def test_write_behind_the_end_fills_with_zeros(program):
    program.fds[1].offset = 2
    program.write(1, b"x")
    assert program.files["/dev/stdout"] == b"\x00\x00x"


def test_read_fills_the_vectors_and_moves_on(program):
    program.files["/dev/stdin"][:] = b"abcdefg"
    assert program.read(0, 2, 3) == 0
    assert (program.count(), program.memory.read(DATA, 5)) == (5, b"abcde")
    assert program.read(0, 2, 3) == 0
    assert (program.count(), program.memory.read(DATA, 2)) == (2, b"fg")
    assert program.read(0, 5) == 0
    assert program.count() == 0


def test_what_was_written_can_be_read_from_the_file_table(program):
    program.open(b"notes/a.txt", CREATE)
    first = program.opened()
    program.write(first, b"remember")
    program.open(b"notes/a.txt")
    program.read(program.opened(), 20)
    assert program.memory.read(DATA, 8) == b"remember"


@pytest.mark.parametrize("name", ["write", "read"])
def test_descriptor_that_is_not_open(program, name):
    assert program.call(name, 7, VECTORS, 0, RESULT) == EBADF
    assert program.call(name, -1, VECTORS, 0, RESULT) == EBADF


@pytest.mark.parametrize("name", ["write", "read"])
def test_pointers_outside_of_the_memory(program, name):
    program.files["/dev/stdin"][:] = b"input"
    count = program.vectors((2 * PAGE - 1, 2))
    fd = 1 if name == "write" else 0
    assert program.call(name, fd, VECTORS, count, RESULT) == EFAULT
    assert program.call(name, fd, 2 * PAGE, 1, RESULT) == EFAULT
    assert program.call(name, fd, VECTORS, 0, 2 * PAGE - 2) == EFAULT
    assert program.files["/dev/stdout"] == b""


@pytest.mark.parametrize("count", [-1, 1025, 2**31 - 1])
def test_absurd_counts_of_vectors(program, count):
    assert program.call("write", 1, VECTORS, count, RESULT) == EINVAL


def test_files_do_not_grow_without_end(program, monkeypatch):
    monkeypatch.setattr(wasi_module, "MAX_TOTAL_BYTES", 10)
    assert program.write(1, b"123456") == 0
    assert program.write(2, b"12345") == ENOSPC
    assert program.write(2, b"1234") == 0
    assert program.files["/dev/stderr"] == b"1234"


def test_an_offset_far_away_does_not_fill_the_memory(program):
    program.fds[1].offset = 2**60
    assert program.write(1, b"x") == ENOSPC


# Paths.


def test_opened_file_gets_the_smallest_free_number(program):
    program.files["/data/x"] = bytearray(b"content")
    assert [program.open(b"data/x"), program.opened()] == [0, 3]
    assert [program.open(b"/data/x"), program.opened()] == [0, 4]
    program.call("close", 3)
    assert [program.open(b"./data/../data//x"), program.opened()] == [0, 3]
    assert program.fds[3] == Descriptor("/data/x", 0)


def test_open_directory_is_where_paths_begin(program):
    program.files["/data/deep/x"] = bytearray(b"content")
    program.open(b"/data", DIRECTORY)
    directory = program.opened()
    assert program.open(b"deep/x", directory=directory) == 0
    assert program.fds[program.opened()].filename == "/data/deep/x"
    assert program.open(b"../../etc", directory=directory) == ENOTCAPABLE


@pytest.mark.parametrize(
    ("path", "flags", "errno"),
    [
        (b"nowhere", 0, ENOENT),
        (b"../x", CREATE, ENOTCAPABLE),
        (b"\xff", CREATE, EINVAL),
        (b"dev/stdin", CREATE | EXCLUSIVE, EEXIST),
        (b"dev/stdin", DIRECTORY, ENOTDIR),
        (b"dev", CREATE, EISDIR),
        (b"dev/stdin/x", CREATE, ENOTDIR),
    ],
)
def test_paths_that_can_not_be_opened(program, path, flags, errno):
    before = dict(program.files)
    assert program.open(path, flags) == errno
    assert program.files == before
    assert sorted(program.fds) == [0, 1, 2]


def test_path_pointers_outside_of_the_memory(program):
    assert program.call("open", 3, 2 * PAGE, 1, 0, 0, RESULT) == EFAULT
    assert program.call("open", 3, PATH, 0, 0, 0, 2 * PAGE - 3) == EFAULT


def test_truncate_empties_and_append_begins_at_the_end(program):
    program.files["/log"] = bytearray(b"old")
    program.open(b"log", append=1)
    program.write(program.opened(), b"+new")
    assert program.files["/log"] == b"old+new"
    program.open(b"log", TRUNCATE)
    assert program.files["/log"] == b""


def test_directory_is_neither_read_nor_written(program):
    program.open(b"dev", DIRECTORY)
    directory = program.opened()
    assert program.read(directory, 1) == EISDIR
    assert program.write(directory, b"x") == EISDIR


def test_there_are_not_endless_descriptors_and_files(program, monkeypatch):
    monkeypatch.setattr(wasi_module, "MAX_DESCRIPTORS", 4)
    assert program.open(b"dev/stdin") == 0
    assert program.open(b"dev/stdin") == EMFILE
    monkeypatch.setattr(wasi_module, "MAX_FILES", 3)
    assert program.open(b"one-more", CREATE) == ENOSPC


def test_standard_descriptors_stay_open(program):
    for number in (0, 1, 2, 3, 99):
        assert program.call("close", number) == 0
    assert sorted(program.fds) == [0, 1, 2]


# The rest.


def test_clock_refuses_and_writes_nothing(program):
    before = program.memory.read(0, 2 * PAGE)
    assert program.call("clock") == 1
    assert program.memory.read(0, 2 * PAGE) == before


def test_what_is_not_offered_is_a_stub(program):
    before = program.memory.read(0, 2 * PAGE)
    assert program.call("seek") == 0
    assert program.call("random") == 0
    assert program.memory.read(0, 2 * PAGE) == before
    assert set(program.instance.undefined_calls) == {
        "wasi_snapshot_preview1.fd_seek",
        "wasi_snapshot_preview1.random_get",
    }


def test_there_is_no_preopened_directory(program):
    assert program.call("prestat", 3) == EBADF


def test_exit_ends_the_guest_with_its_code(program):
    with pytest.raises(ExitTrap, match=r"^exit\(3\)$") as caught:
        program.instance.call("exit", [3])
    assert caught.value.code == 3


def test_guest_without_memory_gets_a_fault(guest):
    bare = guest(
        """(module (import "wasi_snapshot_preview1" "fd_write"
            (func $f (param i32 i32 i32 i32) (result i32)))
          (func (export "f") (result i32)
            (call $f (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))))""",
        Wasi().bind,
    )
    assert bare.call("f", []) == [EFAULT]


def test_other_modules_and_other_signatures_are_not_bound():
    wasi = Wasi()
    assert wasi.bind("env", "fd_write", Signature("iiii", "i")) is None
    assert wasi.bind("wasi_snapshot_preview1", "fd_write", Signature("i", "i")) is None


# The file table.


def test_new_table_has_the_standard_files():
    table = FileTable()
    assert table.descriptor_tree() == {
        "0": {"filename": "/dev/stdin", "offset": 0},
        "1": {"filename": "/dev/stdout", "offset": 0},
        "2": {"filename": "/dev/stderr", "offset": 0},
    }
    assert table.file_tree() == {"dev": {"stdin": b"", "stdout": b"", "stderr": b""}}


names = st.sampled_from(["a", "b", "ab"])
nodes = st.recursive(
    st.binary(max_size=5),
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3),
    max_leaves=6,
)
trees = st.dictionaries(names, nodes, max_size=3)


@given(tree=trees, offset=st.integers(0, 2**40))
def test_state_form_round_trips(tree, offset):
    descriptors = {"1": {"filename": "/dev/stdout", "offset": offset}}
    table = FileTable.from_trees(descriptors, tree)
    assert table.file_tree() == tree
    assert table.descriptor_tree() == descriptors


def test_state_form_may_hold_text():
    table = FileTable.from_trees({"0": {"filename": b"/a", "offset": b"5"}}, {"a": "text"})
    assert table == FileTable({0: Descriptor("/a", 5)}, {"/a": bytearray(b"text")})


@pytest.mark.parametrize(
    ("number", "descriptor"),
    [
        ("x", {"filename": "/a", "offset": 0}),
        ("3", {"offset": 0}),
        ("3", {"filename": "/a", "offset": -1}),
        ("3", {"filename": "/a", "offset": "much"}),
        ("3", {"filename": "/a", "offset": "9" * 30}),
    ],
)
def test_broken_descriptors_are_a_bad_request(number, descriptor):
    with pytest.raises(BadRequest, match=f"File descriptor {number}"):
        FileTable.from_trees({number: descriptor}, {})


@pytest.mark.parametrize(
    ("directory", "path", "expected"),
    [
        ("/", "a", "/a"),
        ("/d", "a/./b//c", "/d/a/b/c"),
        ("/d", "/a", "/a"),
        ("/d/e", "../f", "/d/f"),
        ("/d", "..", "/"),
        ("/d", "../..", None),
        ("/", "../a", None),
        ("/", "a/../../b", None),
        ("/", "", "/"),
    ],
)
def test_paths_are_resolved_within_the_root(directory, path, expected):
    assert resolve_path(directory, path) == expected


def test_lent_files_stay_as_they_are():
    lent = FileTable()
    wasi = Wasi()
    wasi.lend(lent)
    assert wasi.files is lent
    wasi.changing().files["/new"] = bytearray(b"x")
    assert lent == FileTable()
    assert wasi.changing() is wasi.files
    assert wasi.files.files["/new"] == b"x"
