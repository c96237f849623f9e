"""Pushing what was just computed, for those who ask for it: `push` on `compute` (spec/05 §7.6)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.roles import call
from hyperbeam_trio.errors import Busy, HyperbeamError
from hyperbeam_trio.message import Message, Value, as_text
from hyperbeam_trio.node import Node

log = logging.getLogger("hyperbeam_trio.processes")

AT_ONCE: Final = 100
"""Processes whose fresh slots are pushed in the background at once."""
REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class PushWish:
    """That fresh slots be pushed, `depth` levels far; `None` for as far as the node goes."""

    depth: int | None

    @classmethod
    def of(cls, request: Message) -> PushWish | None:
        """The wish of a `compute` or `now`: `push` is `true` or a depth from 0 on."""
        text = as_text(request.get("push"))
        if text == "true":
            return cls(None)
        return cls(int(text)) if text is not None and text.isdecimal() else None


class Pins:
    """Pushes the slots that a computation added, one after another, while nobody waits."""

    def __init__(self) -> None:
        self._begun: Memo[str, int] = Memo(REMEMBERED)
        self._running = 0

    def check(self) -> None:
        """`Busy` where no further process can be followed now; ask before computing."""
        if self._running >= AT_ONCE:
            raise Busy(f"The slots of {AT_ONCE} processes are being pushed already.")

    def follow(self, process: Process, before: int, slot: int, wish: PushWish, node: Node) -> None:
        """Push the slots behind `before`, the newest that was computed already, up to `slot`.

        Each once, however many wait for the same computation.
        """
        begun = self._begun.get(process.id)
        first = max(before, -1 if begun is None else begun) + 1
        if first <= slot:
            self._begun.set(process.id, slot)
            self._running += 1
            node.workers.start_soon(self._push, process, range(first, slot + 1), wish, node)

    async def _push(self, process: Process, slots: range, wish: PushWish, node: Node) -> None:
        depth: dict[str, Value] = {} if wish.depth is None else {"max-depth": wish.depth}
        try:
            for slot in slots:
                asked = Message.of({"path": b"push", "slot": slot, "result-depth": 0, **depth})
                await _pushed(process, asked, node)
        finally:
            self._running -= 1


async def _pushed(process: Process, asked: Message, node: Node) -> None:
    try:
        await call("push", process.begun(), asked, node.context())
    except HyperbeamError as error:
        log.warning("Push of %s, slot %d: %s", process.id, asked.int("slot"), error.text)
    except Exception:
        log.exception("Push of %s, slot %d failed", process.id, asked.int("slot"))
