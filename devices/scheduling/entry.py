"""A message on its way to a slot, and what became of it."""

from __future__ import annotations

import trio

from hyperbeam_trio.devices.scheduling.assignment import Notary
from hyperbeam_trio.devices.scheduling.signing import Order
from hyperbeam_trio.errors import NodeError
from hyperbeam_trio.message import Message


class Stopped(NodeError):
    """The scheduler has ended; start it again."""

    status = 503


class Entry:
    """A message that waits for a slot; `path` is the key that it calls.

    `order` is its draft, once it has one, which may be thrown away for another. It is `done` when
    it has failed, or when its assignment is written.
    """

    __slots__ = ("_assignment", "_error", "done", "message", "order", "path")

    def __init__(self, message: Message, path: bytes) -> None:
        self.message = message
        self.path = path
        self.order: Order | None = None
        self.done = trio.Event()
        self._assignment: Message | None = None
        self._error: Exception | None = None

    @property
    def ordered(self) -> Order:
        """Its draft; only for one that has it."""
        if self.order is None:
            raise NodeError("A message was to be signed for that has no draft.")
        return self.order

    def is_signed(self) -> bool:
        """Whether its draft has its signatures."""
        return self.order is not None and self.order.signatures is not None

    def finished(self, notary: Notary) -> Message:
        """Its assignment with its signatures."""
        order = self.ordered
        if order.signatures is None:
            raise NodeError("An assignment was to be written before it was signed.")
        return notary.finish(order.draft, order.signatures)

    def fail(self, error: Exception) -> None:
        """It has no slot, and will not get one."""
        self._error = error
        self.done.set()

    def succeed(self, assignment: Message) -> None:
        """Its assignment is written."""
        self._assignment = assignment
        self.done.set()

    def outcome(self) -> Message:
        """Its assignment; raises what it failed with."""
        if self._assignment is None:
            # One error may be the outcome of many: each gets its own traceback.
            raise self._error.with_traceback(None) if self._error else Stopped("It has ended.")
        return self._assignment
