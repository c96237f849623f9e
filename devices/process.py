"""`process@1.0`: a signed message whose slots make states (spec/05 §2)."""

from __future__ import annotations

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.processes.definition import Process, process_of, with_process
from hyperbeam_trio.devices.processes.execution import take_snapshot
from hyperbeam_trio.devices.processes.newest import Newest, Patience
from hyperbeam_trio.devices.processes.pinning import Pins, PushWish
from hyperbeam_trio.devices.processes.roles import call, seen_as
from hyperbeam_trio.devices.processes.slots import asked_slot, current_slot, names_a_number
from hyperbeam_trio.devices.processes.states import States
from hyperbeam_trio.devices.processes.workers import Workers
from hyperbeam_trio.errors import NotFound
from hyperbeam_trio.message import Message, Value


class ProcessDevice(Device):
    """`schedule`, `slot` and `push` go to the process's other devices; `compute` gives states.

    A state is the definition's keys, `process` (the signed definition), `at-slot`, `results`, and
    what the execution device makes of it. Any other key reads the definition or the state.
    """

    name = "process@1.0"
    volatile = True

    def __init__(self) -> None:
        self._workers: Workers | None = None
        self._newest = Newest()
        self._pins = Pins()

    @key
    async def schedule(self, base: Message, request: Message, context: Context) -> Value:
        """What the process's scheduler answers: an assignment to a POST, a page to a GET."""
        return await call("scheduler", await with_process(base, context), request, context)

    @key
    async def slot(self, base: Message, request: Message, context: Context) -> Value:
        """The newest slot, `current`, and who assigns."""
        return await call("scheduler", await with_process(base, context), request, context)

    @key
    async def push(self, base: Message, request: Message, context: Context) -> Value:
        """What the process's push device answers."""
        return await call("push", await with_process(base, context), request, context)

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The state after a slot, which `compute` or `slot` names: its number or a message's id.

        Without a slot the newest state that is kept, or the present one if there is none. With
        `push` (`true`, or how many levels far) slots that had to be computed are pushed. Raises
        `NotFound` for a slot that is not scheduled (with `phase`, `attempted-slot`), and what the
        execution device raises for faults that another try may mend.
        """
        process = await process_of(base, context)
        slot = await asked_slot(process, request, context)
        if slot is not None:
            state = await self._asked(process, slot, request, context)
            if names_a_number(request):
                # However it came about: the state after a slot never changes.
                context.run.volatile = False
            return state
        if request.text("init", "now") != "now":
            raise NotFound("The request names no slot; give 'slot'.")
        if await self._newest.slot(process, context) is None:
            return await self._now(process, request, context)
        return await self._newest.state(process, context)

    @key
    async def now(self, base: Message, request: Message, context: Context) -> Value:
        """The state after the newest slot.

        With `process-now-from-cache`, or `max-age` (seconds), the newest one that is kept if that
        is young enough; with `cache-control: only-if-cached` that one or none. `push` as for
        `compute`.
        """
        process = await process_of(base, context)
        patience = Patience.of(request, context)
        if patience.kept_only:
            return await self._newest.state(process, context)
        kept = self._newest.satisfies(patience, process)
        if kept and await self._newest.slot(process, context) is not None:
            return await self._newest.state(process, context)
        return await self._now(process, request, context)

    @key
    async def latest(self, base: Message, request: Message, context: Context) -> Value:
        """The newest state that is kept; nothing is computed."""
        return await self._newest.state(await process_of(base, context), context)

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """What the execution device needs to go on from the newest state."""
        state = await self._running(context).current(await process_of(base, context))
        return await take_snapshot(state, context.internal())

    @key("as")
    async def as_(self, base: Message, request: Message, context: Context) -> Value:
        """The newest state as one of its roles, by default for a dry run of its execution."""
        role = request.text("as", None) or request.text("as-device", "execution")
        state = await self._running(context).current(await process_of(base, context))
        seen = seen_as(role, state)
        return seen.set_values({"device": b"dry-run@1.0"}) if role == "execution" else seen

    # States.

    def _running(self, context: Context) -> Workers:
        if self._workers is None:
            self._workers = Workers(context.node)
        return self._workers

    async def _state(self, process: Process, slot: int, context: Context) -> Message:
        kept = await States(context.cache, process.id).read(slot) if slot >= 0 else None
        return kept or await self._running(context).compute(process, slot)

    async def _now(self, process: Process, request: Message, context: Context) -> Message:
        slot = await current_slot(process, context)
        state = await self._asked(process, slot, request, context)
        self._newest.note_present(process)
        return state

    async def _asked(
        self, process: Process, slot: int, request: Message, context: Context
    ) -> Message:
        """The state after a slot; what is computed for it is pushed if the request wants so."""
        wish = PushWish.of(request)
        if wish is None:
            return await self._state(process, slot, context)
        self._pins.check()
        newest = await self._newest.slot(process, context)
        state = await self._state(process, slot, context)
        self._pins.follow(process, -1 if newest is None else newest, slot, wish, context.node)
        return state
