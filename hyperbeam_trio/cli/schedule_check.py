"""Checking a schedule as anybody can: who signed it, and that nothing is missing (spec/05 §10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.encoding import human_id, is_id, native_id
from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.message import Message, Value, as_text
from hyperbeam_trio.node import Node

_HINT: Final = "?hint="
_QUOTES: Final = " \t\"'"


async def schedulers_of(node: Node, process: str) -> frozenset[str]:
    """The addresses whose signatures count for a process."""
    definition = await node.cache.read(process)
    if not isinstance(definition, Message):
        raise NotFound(f"Process {process} is not stored here.")
    named = definition.get("scheduler", definition.get("scheduler-location"))
    return frozenset(_addresses(await node.cache.load_all(named)))


def _addresses(value: Value) -> list[str]:
    if isinstance(value, Message):
        value = list(value.values())
    if isinstance(value, list):
        return [address for item in value for address in _addresses(item)]
    parts = (part.strip(_QUOTES) for part in (as_text(value) or "").split(","))
    return [part.partition(_HINT)[0] for part in parts if part]


class ScheduleCheck:
    """Looks at one assignment after another; `trusted` are the addresses of the schedulers."""

    def __init__(self, node: Node, process: str, trusted: frozenset[str]) -> None:
        self._node = node
        self._process = process
        self._trusted = trusted
        self._chain: str | None = None

    async def flaws(self, slots: range) -> AsyncGenerator[tuple[int, str], None]:
        """What is wrong with the assignments of `slots`, which go on where the last ones ended.

        Raises `NotFound`, `RemoteError` or `Forbidden` for a schedule that is elsewhere and can't
        be had.
        """
        path = f"schedule&from={slots[0]}&to={slots[-1]}/assignments"
        page = await self._node.resolve(f"/{self._process}~process@1.0/{path}")
        for slot in slots:
            listed = page.get(str(slot)) if isinstance(page, Message) else None
            assignment = await self._node.cache.load_all(listed)
            if not isinstance(assignment, Message):
                yield slot, "there is no assignment"
                continue
            for flaw in self._flaws_of(assignment, slot):
                yield slot, flaw

    def _flaws_of(self, assignment: Message, slot: int) -> list[str]:
        flaws = []
        if not self._trusted.intersection(assignment.signers):
            flaws.append("no scheduler of the process has signed the assignment")
        if not verify_message(assignment, commitment_ids="all"):
            flaws.append("a signature of the assignment does not hold")
        about = (assignment.int("slot", -1), as_text(assignment.get("process")))
        if about != (slot, self._process):
            flaws.append("the assignment is that of another slot")
        return flaws + self._flaws_of_message(assignment, slot)

    def _flaws_of_message(self, assignment: Message, slot: int) -> list[str]:
        message = assignment.get("body")
        if not isinstance(message, Message) or not verify_message(message, commitment_ids="all"):
            return ["a signature of the message does not hold"]
        value = assignment.text("hash-chain", None)
        before, self._chain = self._chain, value
        # Of later versions, which chain assignments instead, `base-hashpath` is not looked at.
        if value is None or (slot > 0 and before is None):
            return []
        held = continues(before, signed_id(message), value)
        return [] if held else ["the hash chain does not go on from the slot before"]


def continues(before: str | None, message: str, value: str) -> bool:
    """Whether a hash chain goes on so; nodes of June 2025 go on as text after a restart."""
    if before is not None and not is_id(before):
        return False
    start = b"" if before is None else native_id(before)
    forms = (start + message.encode(), ((before or "") + message).encode())
    return value in [human_id(sha256(form).digest()) for form in forms]
