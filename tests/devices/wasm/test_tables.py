"""The file table in a state (spec/06 §2)."""

from __future__ import annotations

from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.devices.wasm.tables import KnownTable, table_of, with_table
from hyperbeam_trio.message import Message


async def test_a_table_comes_back_out_of_a_state(node):
    table = FileTable()
    table.files["/a/b"] = bytearray(b"text")
    state = with_table(Message(other=1), table)
    assert await table_of(state, node.context()) == table
    assert await table_of(Message(), node.context()) is None


async def test_a_known_table_is_neither_read_nor_written_again(node):
    known, context = KnownTable(), node.context()
    state = with_table(Message(), FileTable())
    table = await known.read(state, context)
    written = known.write(state, table)
    assert await known.read(written, context) is table
    assert known.write(written, table) is written


async def test_another_table_is_read_and_written(node):
    known, context = KnownTable(), node.context()
    written = known.write(with_table(Message(), FileTable()), FileTable())
    changed = FileTable()
    changed.files["/new"] = bytearray(b"x")
    assert await table_of(known.write(written, changed), context) == changed
    foreign = written.set(vfs={"dev": {"stdout": "else"}})
    assert (await known.read(foreign, context)).files == {"/dev/stdout": b"else"}
