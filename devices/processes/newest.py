"""Which state of a process is the newest that is kept, and whether that will do (spec/05 §2.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import trio

from hyperbeam_trio.cache.memo import Memo
from hyperbeam_trio.cachecontrol import directives_of
from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.processes.definition import Process
from hyperbeam_trio.devices.processes.states import States
from hyperbeam_trio.errors import NodeError
from hyperbeam_trio.message import Message

KNOWN: Final = 4096
"""Processes of which the newest state is remembered, and since when it may be old."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How old an answer of `now` may be: `age` seconds; with `kept_only` nothing is computed.

    The age of a state is the time since it was known to be that of the newest slot.
    """

    age: float
    kept_only: bool = False

    @classmethod
    def of(cls, request: Message, context: Context) -> Patience:
        """What `cache-control: only-if-cached` or `max-age` of the request, or options, say."""
        config = context.config
        asked = directives_of(request.get("cache-control")).only_if_cached
        if asked or config.process_now_from_cache == "always":
            return cls(math.inf, kept_only=True)
        age = request.int("max-age", None)
        if age is not None:
            return cls(age)
        if config.process_now_from_cache == "false":
            return cls(0)
        bound = config.process_now_max_age
        return cls(math.inf if bound is None else bound)


class Newest:
    """The newest kept states of processes.

    How old they are is known to this process of the system alone: a state that an earlier run, or
    a worker beside this one, has kept is of no known age, so that the scheduler is asked once.
    """

    def __init__(self) -> None:
        self._slots: Memo[str, int] = Memo(KNOWN)
        self._present: Memo[str, float] = Memo(KNOWN)

    async def slot(self, process: Process, context: Context) -> int | None:
        """The slot of the newest state that is kept; `None` if there is none."""
        states = States(context.cache, process.id)
        newest = await states.newest(self._slots.get(process.id))
        if newest is not None:
            self._slots.set(process.id, newest)
        return newest

    async def state(self, process: Process, context: Context) -> Message:
        """The newest state that is kept; raises `NodeError` (404) if there is none."""
        newest = await self.slot(process, context)
        state = None if newest is None else await States(context.cache, process.id).read(newest)
        if state is None:
            raise NodeError("No cached state available.", status=404)
        return state

    def note_present(self, process: Process) -> None:
        """The newest kept state is that of the newest slot."""
        self._present.set(process.id, trio.current_time())

    def satisfies(self, patience: Patience, process: Process) -> bool:
        """Whether the newest kept state is young enough."""
        if math.isinf(patience.age):
            return True
        known = self._present.get(process.id) if patience.age > 0 else None
        return known is not None and trio.current_time() - known <= patience.age
