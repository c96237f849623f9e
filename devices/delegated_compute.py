"""`delegated-compute@1.0`: a process executed by a compute unit over HTTP (spec/05 §9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from hyperbeam_trio.context import Context
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.devices.compute_unit.unit import post, results
from hyperbeam_trio.devices.legacy_json import write_json
from hyperbeam_trio.devices.legacy_results import results_of
from hyperbeam_trio.devices.prefixes import output_path
from hyperbeam_trio.devices.processes.definition import process_of
from hyperbeam_trio.devices.scheduling.aos2 import edge_of, item_of, page_json
from hyperbeam_trio.errors import BadRequest, HyperbeamError
from hyperbeam_trio.message import Message, Value, as_text
from hyperbeam_trio.service.timestamp import NO_HASH, BlockTime
from hyperbeam_trio.setting import set_path

_CHECKPOINT: Final = b"Checkpoint"
_NOT_A_FIELD: Final = frozenset(
    {"data", "body", "status", "path", "method", "codec-device", "content-length", "commitments"}
)


class DelegatedComputeDevice(Device):
    """Gives assignments and dry runs to a compute unit, and takes its answer for the results.

    Which unit, the node's routes say (`/result`, `/dry-run`, `/snapshot`, `/state`); by default the
    one at port `genesis-wasm-port` of this machine. A unit that fails fails the request, never the
    slot: nothing of it is kept.
    """

    name = "delegated-compute@1.0"
    volatile = True

    @key
    async def init(self, base: Message, request: Message, context: Context) -> Value:
        """The base: the unit reads the definition from slot 0."""
        return base

    @key
    async def compute(self, base: Message, request: Message, context: Context) -> Value:
        """The base with the `results` of an assignment, or of any other request as a dry run.

        `results` has `data`, `outbox`, `patches`, and the unit's own answer as `raw`. Raises
        `RemoteError` (502, 503) and `DeadlineExceeded` where the unit gives no results.
        """
        process = (await process_of(base, context)).id
        asked = await context.load_all(request)
        if not isinstance(asked, Message):
            raise BadRequest("delegated-compute needs a message to compute.")
        if asked.get("type") == b"Assignment":
            path = f"/result/{asked.int('slot')}?process-id={process}"
            answer = await results(path, _listing(process, asked), context)
        else:
            path = f"/dry-run?process-id={process}"
            answer = await results(
                path, write_json(_question(asked, request.caller.signers)), context
            )
        found = results_of(answer, process, as_text(base.get("image")))
        return await set_path(base, output_path(base, "results"), found, context)

    @key
    async def snapshot(self, base: Message, request: Message, context: Context) -> Value:
        """The unit's checkpoint of the process: its fields, and `data`.

        Where the unit has none to give: `error`, and `error-details`.
        """
        process = (await process_of(base, context)).id
        try:
            reply = await post(f"/snapshot/{process}", b"{}", context)
        except HyperbeamError as error:
            return Message(error="No checkpoint produced.", **{"error-details": error.text})
        message = reply.message.uncommitted()
        data = message.get("data", message.get("body", b""))
        return message.without("body", "status").set_values({"data": data})

    @key
    async def normalize(self, base: Message, request: Message, context: Context) -> Value:
        """The base without its `snapshot`, which the unit gets if it is a checkpoint.

        Raises as `compute` does where the unit does not take it.
        """
        snapshot = await context.load_all(await context.view(base, "snapshot"))
        if isinstance(snapshot, Message) and snapshot.get("type") == _CHECKPOINT:
            data = snapshot.get("data")
            body = data if isinstance(data, bytes) else b""
            await post("/state", body, context, headers=_fields(snapshot))
        return base.without("snapshot")


def _listing(process: str, assignment: Message) -> bytes:
    """The one assignment as a page of its schedule."""
    block = BlockTime(
        timestamp=assignment.int("block-timestamp", 0),
        height=assignment.int("block-height", 0),
        hash=assignment.text("block-hash", NO_HASH),
    )
    return page_json(process, [edge_of(assignment)], False, block)


def _question(request: Message, signers: Sequence[str]) -> dict[str, Any]:
    """A dry run's message as the unit takes it.

    Its keys become tags, also those that a path gave; who asks is who signed the request.
    """
    item = item_of(request.uncommitted(), bundle=True)
    if signers and not item["Owner"]:
        item |= {"Owner": signers[0], "From": item["From"] or signers[0]}
    return item


def _fields(snapshot: Message) -> dict[str, str]:
    """What a checkpoint says beside its data, as headers."""
    texts = {name: as_text(value) for name, value in snapshot.items() if name not in _NOT_A_FIELD}
    return {name: quote(text, safe=_VISIBLE) for name, text in texts.items() if text is not None}


_VISIBLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
