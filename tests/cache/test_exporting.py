"""A store as a file of lines: everything comes back, and any damage to the file shows."""

from __future__ import annotations

from contextlib import aclosing
from io import BytesIO

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.exporting import END, HEAD, export, import_lines
from hyperbeam_trio.cache.verify import Damage
from hyperbeam_trio.cache.walk import Progress
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from tests.support.dict_store import DictStore
from tests.support.filled import fill, flip


async def exported(store: DictStore, after: str = "") -> bytes:
    file = BytesIO()
    _ = [done async for done in export(store, trio.wrap_file(file), after=after)]
    return file.getvalue()


async def imported(data: bytes) -> tuple[DictStore, list[Damage]]:
    store = DictStore()
    found = [done async for done in import_lines(trio.wrap_file(BytesIO(data)), store)]
    return store, [damage for damage in found if isinstance(damage, Damage)]


async def test_everything_comes_back(store: DictStore) -> None:
    await fill(store)
    back, damage = await imported(await exported(store))
    assert back.values == store.values
    assert damage == []


async def test_damaged_values_are_not_exported(store: DictStore) -> None:
    await fill(store)
    key = next(iter(store.values))
    flip(store, key)
    file = trio.wrap_file(BytesIO())
    found = [damage async for damage in export(store, file) if isinstance(damage, Damage)]
    assert [damage.key for damage in found] == [key]


async def test_any_change_of_an_entry_is_found(store: DictStore) -> None:
    await fill(store)
    lines = (await exported(store)).splitlines(keepends=True)
    for number, line in enumerate(lines[1:-1], 1):
        # A letter of the key and one of the value.
        for at in (line.index(b"/") + 2, len(line) - 12):
            changed = bytearray(line)
            changed[at] = ord("B") if line[at] == ord("A") else ord("A")
            back, damage = await imported(
                b"".join([*lines[:number], changed, *lines[number + 1 :]])
            )
            assert len(damage) == 1
            assert back.values.items() <= store.values.items()


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"5", b'{"key":5,"value":""}', b'{"key":"data/x","value":5}']
)
async def test_a_line_that_is_no_entry_is_told(line: bytes) -> None:
    back, (damage,) = await imported(b"".join([HEAD, line, b"\n", END]))
    assert damage.key == "line 2"
    assert "no entry of a store" in damage.reason
    assert back.values == {}


async def test_a_file_that_was_cut_says_so(store: DictStore) -> None:
    await fill(store)
    whole = await exported(store)
    for size in (len(HEAD), len(whole) // 2, len(whole) - len(END)):
        back, damage = await imported(whole[:size])
        assert "cut" in damage[-1].reason
        assert back.values.items() <= store.values.items()


async def test_an_export_goes_on_behind_a_key(store: DictStore) -> None:
    await Cache(store).write_many([Message(number=number) for number in range(2500)])
    file = BytesIO()
    async with aclosing(export(store, trio.wrap_file(file))) as walk:
        done = await anext(walk)
    assert isinstance(done, Progress)
    back, damage = await imported(file.getvalue() + await exported(store, done.cursor))
    assert back.values == store.values
    assert damage == []


async def test_other_files_are_refused() -> None:
    for data in (b"", b"{}\n", b"PK\3\4"):
        with pytest.raises(BadRequest, match="first line"):
            await imported(data)


async def test_lines_that_are_no_entries_are_told() -> None:
    for line in (b"{}", b"[]", b"rubbish", b'{"key":"elsewhere/x","value":""}', b'{"key":"a//b"}'):
        back, damage = await imported(HEAD + line + b"\n" + END)
        assert [d.key for d in damage] == ["line 2"]
        assert back.values == {}
