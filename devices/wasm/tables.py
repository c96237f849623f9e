"""The file table of a guest as it stands in a state: `vfs` and `file-descriptors` (spec/06 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.message import Message, Value, to_value

_NAMES: Final = ("file-descriptors", "vfs")


class KnownTable:
    """The file table of a line of states: read and written anew only where it has changed.

    A table that was read or written must not change any more.
    """

    __slots__ = ("_held", "_table")

    def __init__(self) -> None:
        self._held: tuple[Value, Value] = (None, None)
        self._table: FileTable | None = None

    async def read(self, state: Message, context: Context) -> FileTable | None:
        """As `table_of`."""
        known = self._table is not None and self._is_in(state)
        return self._table if known else await table_of(state, context)

    def write(self, state: Message, table: FileTable) -> Message:
        """As `with_table`."""
        if table is self._table and self._is_in(state):
            return state
        written = with_table(state, table)
        self._held = written.get(_NAMES[0]), written.get(_NAMES[1])
        self._table = table
        return written

    def _is_in(self, state: Message) -> bool:
        return all(state.get(name) is held for name, held in zip(_NAMES, self._held, strict=True))


async def table_of(state: Message, context: Context) -> FileTable | None:
    """The table in a state; None where it has none."""
    descriptors = await context.load_all(state.get("file-descriptors"))
    files = await context.load_all(state.get("vfs"))
    if not isinstance(descriptors, Message) or not isinstance(files, Message):
        return None
    return FileTable.from_trees(_plain(descriptors), _plain(files))


def with_table(state: Message, table: FileTable) -> Message:
    """The state with a table in it."""
    descriptors: Value = to_value(table.descriptor_tree())
    return state.set_values({"file-descriptors": descriptors, "vfs": _message(table.file_tree())})


def _message(tree: Mapping[str, object]) -> Message:
    return Message.of(
        {
            name: _message(item) if isinstance(item, Mapping) else item
            for name, item in tree.items()
            if isinstance(item, Mapping | bytes)
        }
    )


def _plain(message: Message) -> dict[str, Any]:
    return {
        key: _plain(value) if isinstance(value, Message) else value
        for key, value in message.items()
    }
