"""`genesis-wasm@1.0`: processes of legacynet, computed by a compute unit (spec/05 §9)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.compute_unit.checkpoint import Checkpoint, newest_checkpoint
from hyperbeam_trio.devices.processes.definition import process_of, read_process
from hyperbeam_trio.devices.processes.states import States
from hyperbeam_trio.errors import Halt, KeyNotFound, NodeError
from hyperbeam_trio.message import Message, Value

_UNIT: Final = b"delegated-compute@1.0"
_KEPT: Final = ("path", "slot", "process", "type", "epoch", "timestamp")


class GenesisWasmDevice(Device):
    """`dedup@1.0`, then `delegated-compute@1.0`, then `patch@1.0` on the outbox.

    The execution device of processes that name none. It needs a compute unit: option
    `genesis-wasm-port`, or routes for `/result`, `/dry-run`, `/snapshot` and `/state`.
    """

    name = "genesis-wasm@1.0"
    volatile = True

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base: the unit reads the definition from slot 0."""
        return base

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the `results` of the assignment, or of a dry run.

        A message that was computed before changes nothing; the unit is told of its slot. Patches
        in the outbox are applied. Raises as `delegated-compute@1.0` does.
        """
        if request.get("type") != b"Assignment":
            return await _patched(await _delegated(base, request, context), base, context)
        try:
            fresh = await _ask(base, b"dedup@1.0", request, context)
        except Halt:
            await _delegated(base, await _nothing(request, context), context)
            return base
        return await _patched(await _delegated(fresh, request, context), base, context)

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """The unit's checkpoint of the process."""
        return await context.resolve(base.set_values({"device": _UNIT}), request)

    @key
    async def normalize(self, base: Message, request: Message, context: Context) -> Value:
        """The base without its `snapshot`, which the unit gets if it is a checkpoint."""
        return await _delegated(base, request, context)

    @key("import")
    async def import_(self, base: Message, request: Message, context: Context) -> Value:
        """Begin at a checkpoint of legacynet instead of slot 0; the state of its slot.

        `process-id` names the process, else it is the base. `import` is the id of the checkpoint,
        else the newest one is looked for. One of option `genesis-wasm-import-authorities` has to
        have signed it. What is computed of the process from then on goes on from there, unless a
        worker of it runs just now, which goes on from where it is. Raises `NotFound` without one,
        `Forbidden` for other signers, `BadRequest` for one that does not fit the process.
        """
        named = request.text("process-id", None)
        process = await (read_process(named, context) if named else process_of(base, context))
        id = request.text("import", None) or await newest_checkpoint(process.id, context)
        checkpoint = await Checkpoint.read(id, process.id, context)
        states = States(context.cache, process.id)
        kept = await states.read(checkpoint.slot)
        if kept is not None:
            return kept
        begun = process.begun().set_values({"initialized": b"true", "at-slot": checkpoint.slot})
        await states.keep_snapshot(checkpoint.slot, checkpoint.message)
        await states.keep({checkpoint.slot: begun})
        return begun


async def _ask(base: Message, device: bytes, request: Message, context: Context) -> Message:
    """The base as a device makes it, with its own device."""
    result = await context.resolve(base.set_values({"device": device}), request)
    if not isinstance(result, Message):
        raise NodeError(f"{device.decode()} gave no state.")
    own = base.get("device")
    return result.without("device") if own is None else result.set_values({"device": own})


async def _delegated(base: Message, request: Message, context: Context) -> Message:
    return await _ask(base, _UNIT, request, context)


async def _patched(state: Message, base: Message, context: Context) -> Message:
    where = Message.of({"path": b"compute", "patch-from": b"/results/outbox"})
    try:
        return await _ask(state, b"patch@1.0", where, context)
    except KeyNotFound:
        # With an output prefix there are no results here; such a process patches for itself.
        return state


async def _nothing(assignment: Message, context: Context) -> Message:
    """What a unit is told of a slot whose message it has computed before."""
    timestamp = assignment.get("timestamp", 0)
    body = await context.node.sign(Message.of({"timestamp": timestamp}))
    kept = {name: assignment[name] for name in _KEPT if name in assignment}
    original = signed_id(assignment).encode()
    return Message.of({**kept, "skip": b"true", "original-assignment-id": original, "body": body})
