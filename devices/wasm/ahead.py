"""Calls that a guest makes before they are asked for, while what they gave is worked off.

Who replays a schedule knows the texts of the calls to come. So the guest runs some calls ahead of
the states, in a thread and without Python in between; a call that is then asked for with just these
texts, files and state of the guest has its outcome already. Any other question finds a guest that
has gone on, and takes one of its own (`Handle.current`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

import trio

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.wasm.access import Following
from hyperbeam_trio.devices.wasm.files import FileTable
from hyperbeam_trio.devices.wasm.live import CALLS_BETWEEN_COPIES, Handle, copy_of
from hyperbeam_trio.devices.wasm.series import FUNCTION, Outcome, Runner, can_run
from hyperbeam_trio.devices.wasm.signature import Argument
from hyperbeam_trio.devices.wasm.snapshot import MemoryCopy
from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.devices.wasm.live import Live

log = logging.getLogger("hyperbeam_trio.wasm")

Texts = tuple[bytes, ...]

LONGEST: Final = 8
"""Calls of one series."""
IN_A_ROW: Final = 4
"""Series before others have their turn with a guest."""
SERIES_SECONDS: Final = 0.02
"""About how long a series takes; the first of its calls is answered when all are done."""


@dataclass(frozen=True, slots=True)
class Made:
    """A call that was made: the guest's generation before it, what went in, what came out.

    `memory` is a copy of the guest's memory after it, where one was due.
    """

    generation: int
    texts: Texts
    files: FileTable | None
    outcome: Outcome
    memory: MemoryCopy | None = None


class Ahead:
    """The calls of one guest that are made ahead. `pace` is how long one took, 0 while unknown.

    They are made in series, one after the other in a thread; what they gave waits to be taken.
    Meanwhile more calls may be added, so that the guest need not wait for the loop.
    """

    __slots__ = (
        *("_begun", "_calls", "_depth", "_lock", "_made", "_news", "_runner", "_running"),
        *("pace", "taken"),
    )

    def __init__(self) -> None:
        self.pace = 0.0
        self.taken: Made | None = None
        self._made: deque[Made] = deque()
        # Those of `_calls` that are begun come first. The thread takes them, the loop adds them.
        self._calls: list[Texts] = []
        self._begun = 0
        self._lock = Lock()
        self._runner: Runner | None = None
        self._running = False
        self._news = trio.Event()
        self._depth = 0

    def length(self, live: Live) -> int:
        """How many calls make a series; 0 for a guest that is called one by one."""
        if not self.pace or not live.alone or not can_run(live.instance.image):
            return 0
        length = min(LONGEST, int(SERIES_SECONDS / self.pace))
        return length if length > 1 else 0

    async def take(self, handle: Handle, texts: Texts) -> Made | None:
        """The call of these texts on the state of a handle, if it was made ahead."""
        while self._running and not self._made:
            await self._news.wait()
        first = self._made[0] if self._made else None
        if first is None or first.generation != handle.generation or first.texts != texts:
            self._call_off()
            return None
        self.taken = self._made.popleft()
        return self.taken

    @property
    def hungry(self) -> bool:
        """Whether it is time to say what else there is to do."""
        return len(self._calls) - self._begun < LONGEST and len(self._made) <= LONGEST

    async def run(self, handle: Handle, calls: Sequence[Texts], files: FileTable | None) -> None:
        """Make calls in series, beginning in the state of `handle`, which the guest is in."""
        if not self._running:
            self._depth = handle.depth
            self._made.clear()
            self._calls = [*calls]
            self._running = True
            await self._run(handle.live, handle.generation, files, trio.Event())

    async def go_on(self, live: Live, following: Sequence[Texts], nursery: trio.Nursery) -> None:
        """Have more calls made; returns when the guest is at them.

        `following` are those known to come after the one that was taken last. Who then works on
        without a pause leaves the guest the other core.
        """
        before = [*(made.texts for made in self._made), *self._calls]
        if any(one != other for one, other in zip(before, following, strict=False)):
            self._call_off()
            return
        with self._lock:
            self._calls += following[len(before) :]
        last = self._made[-1] if self._made else self.taken
        if self._calls and last is not None and not self._running:
            begun = trio.Event()
            nursery.start_soon(self._run_behind, live, last.generation + 2, last.files, begun)
            self._running = True
            await begun.wait()

    def _call_off(self) -> None:
        """Make no calls beyond those that are begun."""
        with self._lock:
            del self._calls[self._begun :]

    async def _run_behind(
        self, live: Live, generation: int, files: FileTable | None, begun: trio.Event
    ) -> None:
        """As `_run` for nobody in particular: a failure is told to who makes the calls again."""
        try:
            await self._run(live, generation, files, begun)
        except Exception as error:
            log.error("Calls ahead of their states failed", exc_info=error)

    async def _run(
        self, live: Live, generation: int, files: FileTable | None, begun: trio.Event
    ) -> None:
        """Make all calls, beginning with the guest in a generation; tell once it is at them."""
        token = trio.lowlevel.current_trio_token()
        tell = partial(token.run_sync_soon, begun.set)

        def deliver(
            calls: Sequence[Texts], outcomes: Sequence[Outcome], memory: MemoryCopy | None
        ) -> None:
            token.run_sync_soon(self._deliver, live, files, calls, outcomes, memory)

        whole = True
        try:
            while whole and self._calls:
                async with live.lock:
                    if live.generation != generation or live.instance.damaged:
                        return
                    work = partial(self._work, live, files, tell, deliver)
                    whole = await _in_thread(work, live)
                    generation = live.generation
        finally:
            self._calls, self._begun, self._running = [], 0, False
            begun.set()
            self._tell_news()

    def _work(
        self,
        live: Live,
        files: FileTable | None,
        tell: Callable[[], object],
        deliver: Callable[[Sequence[Texts], Sequence[Outcome], MemoryCopy | None], object],
    ) -> bool:
        """In a thread: tell that it has begun, make calls, and say whether all ended well.

        After some series others get their turn with the guest.
        """
        tell()
        if files is not None:
            live.wasi.lend(files)
        for _ in range(IN_A_ROW):
            calls = self._next(max(1, self.length(live)))
            if not calls:
                return True
            outcomes, memory = self._series(live, calls, files)
            deliver(calls, outcomes, memory)
            if len(outcomes) < len(calls):
                return False
        return True

    def _next(self, length: int) -> Sequence[Texts]:
        with self._lock:
            calls = self._calls[self._begun : self._begun + length]
            self._begun += len(calls)
        return calls

    def _series(
        self, live: Live, calls: Sequence[Texts], files: FileTable | None
    ) -> tuple[Sequence[Outcome], MemoryCopy | None]:
        """What came of calls, up to one that did not end well; a copy of the memory, if due."""
        begun = time.perf_counter()
        try:
            if self._runner is None:
                self._runner = Runner(live.instance)
            outcomes = self._runner.run(calls)
        except HyperbeamError as error:
            log.debug("A guest can't be called in series: %s", error.text)
            outcomes = _give_up(live)
        if files is not None and live.wasi.files is not files:
            # Which of the calls changed them is not known.
            outcomes = _give_up(live)
        self.pace = (time.perf_counter() - begun) / (len(outcomes) or 1)
        self._depth += len(outcomes)
        if len(outcomes) < len(calls) or self._depth < CALLS_BETWEEN_COPIES:
            return outcomes, None
        memory = copy_of(live)
        if memory is not None:
            self._depth = 0
        return outcomes, memory

    def _deliver(
        self,
        live: Live,
        files: FileTable | None,
        calls: Sequence[Texts],
        outcomes: Sequence[Outcome],
        memory: MemoryCopy | None,
    ) -> None:
        """In the loop: a series was made."""
        start = live.generation
        made = [
            Made(start + 2 * place, texts, files, outcome)
            for place, (texts, outcome) in enumerate(zip(calls, outcomes, strict=False))
        ]
        if memory is not None:
            made[-1] = replace(made[-1], memory=memory)
        live.generation += 2 * len(made)
        self._made += made
        with self._lock:
            del self._calls[: len(calls)]
            self._begun -= len(calls)
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()


async def _in_thread(work: Callable[[], bool], live: Live) -> bool:
    try:
        return await trio.to_thread.run_sync(work)
    except BaseException as error:
        # How far the guest has gone is not known; what has failed once may do so again.
        live.instance.guest.damaged = True
        live.alone = live.alone and not isinstance(error, Exception)
        raise


def _give_up(live: Live) -> list[Outcome]:
    """Call the guest one by one from now on, and begin with one that has not gone on."""
    live.alone, live.instance.guest.damaged = False, True
    return []


async def made_ahead(
    handle: Handle,
    state: Message,
    texts: Texts,
    following: Following | None,
    context: Context,
) -> Made | None:
    """The call of these texts, made ahead or now with some that follow; None: make it alone."""
    ahead = handle.live.ahead
    if ahead is None:
        return None
    made = await ahead.take(handle, texts)
    if made is None and following and handle.current and ahead.length(handle.live):
        calls = [texts, *await following()][: ahead.length(handle.live)]
        if len(calls) > 1:
            files = await handle.live.table.read(state, context)
            await ahead.run(handle, calls, files)
            made = await ahead.take(handle, texts)
    if made is not None and following and ahead.hungry:
        await ahead.go_on(handle.live, await following(), context.node.workers)
    return made


async def made_call(
    handle: Handle, state: Message, function: str, parameters: Sequence[Argument], context: Context
) -> Made | None:
    """The call, if it is the one whose texts were asked for last, and was made ahead."""
    made = handle.live.ahead.taken if handle.live.ahead else None
    if made is None or made.generation + 1 != handle.generation or function != FUNCTION:
        return None
    if tuple(parameters) != made.outcome.addresses:
        return None
    files = await handle.live.table.read(state, context)
    return made if files is made.files or files == made.files else None


def made_text(handle: Handle, address: int) -> bytes | None:
    """The text that the call made ahead last gave, if it lies at this address."""
    made = handle.live.ahead.taken if handle.live.ahead else None
    if made is None or (made.generation + 2, made.outcome.result) != (handle.generation, address):
        return None
    return made.outcome.text
