"""Checkpoints of legacy processes: found, checked, imported (spec/05 §9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from hyperbeam_trio.commitments import ALL, only_committed, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.devices.compute_unit.unit import JSON
from hyperbeam_trio.errors import BadRequest, Forbidden, NotFound, RemoteError
from hyperbeam_trio.http.dispatch import request as dispatch
from hyperbeam_trio.http.remote import RAW, Reply
from hyperbeam_trio.message import Message, Value, as_text

_QUERY: Final = """
query ($owners: [String!], $process: String!) {
  transactions(
    owners: $owners
    tags: [{name: "Type", values: ["Checkpoint"]}, {name: "Process", values: [$process]}]
    first: 1
    sort: HEIGHT_DESC
  ) { edges { node { id } } }
}
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The memory of a process after `slot`: a message with `type: Checkpoint` and `data`."""

    slot: int
    message: Message

    @classmethod
    async def read(cls, id: str, process: str, context: Context) -> Checkpoint:
        """The checkpoint of an id, if it is one of `process` that an authority has signed.

        Raises `NotFound`, `Forbidden` for other signers, `BadRequest` for anything else.
        """
        if not is_id(id):
            raise BadRequest("Key 'import' should be the id of a checkpoint.")
        found = await context.load_all(await context.cache.read(id))
        if not isinstance(found, Message):
            raise NotFound(f"Checkpoint {id} is in none of the node's stores.")
        _check_signers(id, found, context)
        said = only_committed(found).uncommitted()
        if as_text(said.get("type")) != "Checkpoint" or as_text(said.get("process")) != process:
            raise BadRequest(f"{id} is no checkpoint of process {process}.")
        slot = said.int("slot" if "slot" in said else "nonce")
        if slot < 0:
            raise BadRequest(f"Checkpoint {id} has no slot: {slot}.")
        return cls(slot, said)


def _check_signers(id: str, found: Message, context: Context) -> None:
    if not verify_message(found, commitment_ids=ALL):
        raise BadRequest(f"A commitment of checkpoint {id} does not hold.")
    authorities = context.config.genesis_wasm_import_authorities
    if not set(found.signers) & set(authorities):
        raise Forbidden(
            f"Nobody of genesis-wasm-import-authorities has signed checkpoint {id}: it is by "
            f"{', '.join(found.signers) or 'nobody'}."
        )


async def newest_checkpoint(process: str, context: Context) -> str:
    """The id of the newest checkpoint of a process that a gateway knows.

    The gateway's word is not believed: read it with `Checkpoint.read`. Raises `NotFound`, and
    `RemoteError` where no gateway answers.
    """
    owners = list(context.config.genesis_wasm_import_authorities)
    variables = {"owners": owners, "process": process}
    body = orjson.dumps({"query": _QUERY, "variables": variables})
    asked: dict[str, Value] = {key: text.encode() for key, text in JSON.items()}
    asked |= {"path": b"/graphql", "method": b"POST", "codec-device": RAW.encode(), "body": body}
    replies = await dispatch(Message.of(asked), context)
    for reply in [replies] if isinstance(replies, Reply) else replies:
        id = _first_id(reply)
        if id is not None:
            return id
    raise NotFound(f"No gateway knows a checkpoint of process {process}.")


def _first_id(reply: Reply) -> str | None:
    text = reply.message.get("body")
    try:
        answer: Any = orjson.loads(text) if isinstance(text, bytes) else None
        edges = answer["data"]["transactions"]["edges"]
        return str(edges[0]["node"]["id"]) if edges else None
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise RemoteError(f"{reply.url} answered with no list of transactions.") from error
