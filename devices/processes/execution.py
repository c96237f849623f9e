"""Executing a process: its beginning, one slot, a snapshot, and going on from one (spec/05 §2).

All of it is a function of the definition and the assignments: what a guest can see is in the state
and the assignment, and nothing is looked up or kept among results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from hyperbeam_trio.context import Context
from hyperbeam_trio.devices.processes.definition import PROCESS_DEVICE, Process
from hyperbeam_trio.devices.processes.fitness import fit
from hyperbeam_trio.devices.processes.roles import call
from hyperbeam_trio.errors import (
    BadRequest,
    Detail,
    GuestError,
    GuestTimeout,
    Halt,
    HyperbeamError,
    KeyNotFound,
    NodeError,
)
from hyperbeam_trio.message import Atom, Message, Value

_NOT_STATE: Final = ("snapshot", "status")
"""Keys that are never part of a state (spec/05 §10)."""

FOLLOWING: Final = "following"
"""The private entry of an assignment that lists those of the next slots, in their order."""

_KNOWN: Final = "process@1.0/known"
"""The private entry of a state that lists assignments from its next slot on."""

FEW: Final = 16
"""So few known assignments, and the scheduler is asked again while more are wanted."""

Where: TypeAlias = dict[str, Detail]
"""What an error says about where it happened."""


async def begin(process: Process, context: Context) -> Message:
    """The initialised state before slot 0: `at-slot` is -1."""
    state = await _called(process.begun(), "init", context)
    begun = state.uncommitted().set_values({"initialized": b"true", "at-slot": -1})
    return _defined_by(process.definition, begun)


async def resume(process: Process, state: Message, snapshot: Message, context: Context) -> Message:
    """A state that was kept, with what its execution device had beside it."""
    stored = state.set_values({"process": process.definition, "snapshot": snapshot})
    resumed = await _called(stored, "normalize", context)
    return _defined_by(process.definition, resumed.without("snapshot").uncommitted())


async def take_snapshot(state: Message, context: Context) -> Message:
    """What the execution device needs to go on from a state; empty if that is nothing."""
    request = Message.of({"path": b"snapshot", "mode": b"Map"})
    try:
        snapshot = await call("execution", state, request, context)
    except KeyNotFound:
        return Message()
    return snapshot if isinstance(snapshot, Message) else Message()


async def _called(state: Message, key: str, context: Context) -> Message:
    """The state after a call that a device need not know (MUST+ of spec/05 §2.6)."""
    try:
        result = await call("execution", state, key, context)
    except KeyNotFound:
        return state
    return result if isinstance(result, Message) else state


async def execute(state: Message, assignment: Message, context: Context) -> Message:
    """The state after one slot.

    What the program or the message did wrong is the slot's outcome: `results` then has `type:
    error`, `error` and `phase`, everything else stays as it was. Raises only what another try may
    mend: something that is missing, that does not answer, or does not work here.
    """
    slot = assignment.int("slot")
    before = state.without("results")
    request = assignment if "path" in assignment else assignment.set_values({"path": b"compute"})
    try:
        after = fit(await _executed(before, request, context))
    except HyperbeamError as error:
        if not _is_final(error):
            raise _failed(error, slot, "compute") from error
        after = before.set_values({"results": _failure(error)})
    done = after.without(*_NOT_STATE).uncommitted().with_hashpath(None)
    done = done.set_values({"device": PROCESS_DEVICE, "at-slot": slot})
    return _defined_by(before["process"], done)


def _defined_by(definition: Value, state: Message) -> Message:
    """The state with its definition: what a program does to that has no effect."""
    if state.get("process") is definition:
        return state
    # Taken away first: one that only lacks its signatures would be as good as equal.
    return state.without("process").set_values({"process": definition})


async def _executed(before: Message, request: Message, context: Context) -> Message:
    try:
        after = await call("execution", before, request, context)
    except Halt as halt:
        after = halt.state if isinstance(halt.state, Message) else before
    if not isinstance(after, Message):
        raise GuestError("The execution device gave no state.")
    return after


def _is_final(error: HyperbeamError) -> bool:
    """Whether every node would get this error for this slot, again and again.

    What the clock ended is not (spec/06 §7.5): on a faster machine it may go through.
    """
    if isinstance(error, GuestTimeout):
        return False
    return isinstance(error, GuestError | BadRequest | KeyNotFound)


def _failure(error: HyperbeamError) -> Message:
    failure: dict[str, Value] = {"type": Atom("error"), "error": error.text.encode()}
    if isinstance(limit := error.details.get("limit"), str):
        failure["limit"] = limit.encode()
    return Message.of({**failure, "phase": b"compute"})


async def next_assignment(
    process: Process, state: Message, last: int, context: Context
) -> tuple[Message, Message]:
    """The assignment of the slot behind a state, and the state to go on with (spec/05 §4.8).

    All slots up to `last` are wanted in turn: assignments that are known already lie in the private
    part of this one, as `FOLLOWING`, for devices that can make use of them.

    Raises what the scheduler raises, with `phase: get-schedule` and `attempted-slot`.
    """
    wanted = state.int("at-slot") + 1
    known: Sequence[Message] = state.private.get(_KNOWN, ())
    if _is_known(known, wanted, last):
        return _with_following(known[0], known[1:]), _going_on(state, known[1:])
    try:
        request = Message.of({"path": b"next", "to": last})
        answer = await call("scheduler", state, request, context)
    except HyperbeamError as error:
        raise _failed(error, wanted, "get-schedule", process.id) from error
    body = answer.get("body") if isinstance(answer, Message) else None
    going_on = answer.get("state") if isinstance(answer, Message) else None
    if not isinstance(body, Message) or not isinstance(going_on, Message):
        raise NodeError(f"The scheduler of {process.id} gave no assignment for slot {wanted}.")
    _check_slot(process, body, wanted)
    listed = answer.get("following") if isinstance(answer, Message) else None
    items = listed if isinstance(listed, list) else []
    following = [one for one in items if isinstance(one, Message)]
    return _with_following(body, following), _going_on(going_on, following)


def _is_known(known: Sequence[Message], wanted: int, last: int) -> bool:
    """Whether the slot that is wanted is the first of those known, and no more should be."""
    if not known or known[0].get("slot") != wanted:
        return False
    return len(known) > FEW or known[-1].get("slot") == last


def _with_following(assignment: Message, following: Sequence[Message]) -> Message:
    return assignment.with_private(**{FOLLOWING: following}) if following else assignment


def _going_on(state: Message, known: Sequence[Message]) -> Message:
    going_on = state.with_private(**{_KNOWN: known or None})
    return going_on.set_values({"device": PROCESS_DEVICE})


def _check_slot(process: Process, assignment: Message, wanted: int) -> None:
    phase: Where = {"phase": "get-schedule", "process-id": process.id, "attempted-slot": wanted}
    try:
        slot = assignment.int("slot")
    except BadRequest:
        reason = "Unprocessable slot value received in assignment."
        raise NodeError(reason, details={"reason": reason, **phase}) from None
    if slot != wanted:
        reason = "Received assignment slot does not match expected slot."
        details: Where = {"reason": reason, "unexpected-slot": slot, "expected-slot": wanted}
        raise NodeError(reason, status=404, details={**details, **phase})


def _failed(
    error: HyperbeamError, slot: int, phase: str, process: str | None = None
) -> HyperbeamError:
    """The error with where it happened; it keeps its class and status."""
    where: Where = {"phase": phase, "attempted-slot": slot}
    if process is not None:
        where["process-id"] = process
    error.details = {**error.details, **where}
    return error
