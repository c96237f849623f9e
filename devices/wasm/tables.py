"""The file table of a guest as it stands in a state: `vfs` and `file-descriptors` (spec/06 §2)."""

from __future__ import annotations

from collections.abc import Mapping

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.message import Message, Value, to_value


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


def _plain(message: Message) -> dict[str, dict[str, object]]:
    return {
        key: _plain(value) if isinstance(value, Message) else value  # type: ignore[misc]  # a tree
        for key, value in message.items()
    }
