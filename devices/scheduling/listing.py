"""Schedules and slots as answers (spec/05 §4.1, §4.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from hyperbeam_trio.devices.scheduling.aos2 import edge_of, page_json
from hyperbeam_trio.message import Link, Message, Value
from hyperbeam_trio.service.timestamp import BlockTime

EDGES_IN_A_ROW: Final = 16
"""Slots written as JSON before other tasks get their turn."""

_NO_STORE: Final = b"no-store"


def slot_answer(process: str, current: int, addresses: Sequence[str], block: BlockTime) -> Message:
    """The newest slot of a process, and who signs its assignments."""
    return Message.of(
        {
            "process": process.encode(),
            "current": current,
            "cache-control": _NO_STORE,
            "addresses": [address.encode() for address in addresses],
            **_block_keys(block),
        }
    )


def status_answer(address: str, processes: Sequence[str]) -> Message:
    """The node's address, and the processes whose schedulers run now."""
    listed: list[Value] = [process.encode() for process in processes]
    return Message.of(
        {"address": address.encode(), "processes": listed, "cache-control": _NO_STORE}
    )


def schedule_answer(
    process: str, assignments: Mapping[int, Link | Message], continues: bool, block: BlockTime
) -> Message:
    """A page of a schedule, the assignments by their slots."""
    by_slot: dict[str, Value] = {str(slot): link for slot, link in assignments.items()}
    return Message.of(
        {
            "type": b"schedule",
            "process": process.encode(),
            "continues": continues,
            "assignments": Message.of(by_slot),
            **_block_keys(block),
        }
    )


def _block_keys(block: BlockTime) -> dict[str, Value]:
    return {
        "timestamp": block.timestamp,
        "block-height": block.height,
        "block-hash": block.hash.encode(),
    }


async def aos2_answer(
    process: str, assignments: Sequence[Message], continues: bool, block: BlockTime
) -> Message:
    """The same page as JSON; the assignments are loaded."""
    edges = []
    for count, assignment in enumerate(assignments):
        if count % EDGES_IN_A_ROW == 0:
            await trio.lowlevel.checkpoint()
        edges.append(edge_of(assignment))
    body = page_json(process, edges, continues, block)
    return Message.of({"content-type": b"application/json", "body": body})
