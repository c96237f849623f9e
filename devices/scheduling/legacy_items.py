"""What schedulers of legacynet say: slots as JSON items, and the messages that these were (spec/05
§4.7).

An item is believed if it can be put together again so that its signature holds; otherwise only
where option `ans104-trust-gql` says that the word of a server is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from hyperbeam_trio.codec.ans104 import read_item
from hyperbeam_trio.crypto.listed_item import Listed
from hyperbeam_trio.errors import BadRequest, RemoteError
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.service.timestamp import NO_HASH, BlockTime

Json = Mapping[str, Any]

_NUMBERS: Final = ("timestamp", "epoch", "slot", "block-height", "block-timestamp")
_FIELDS: Final = ("target", "anchor", "data")


@dataclass(frozen=True, slots=True)
class Edge:
    """A slot as a scheduler of legacynet gives it: two items; the message may be absent."""

    assignment: Json
    message: Json | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some slots in their order, and whether there are more behind them."""

    edges: list[Edge]
    continues: bool


def read_page(body: bytes) -> Page:
    """A page of a schedule, or a single slot with or without its wrapping; raises `RemoteError`."""
    try:
        found = orjson.loads(body)
        if "edges" not in found:
            return Page([_edge(found.get("node", found))], False)
        continues = bool(found.get("page_info", {}).get("has_next_page"))
        return Page([_edge(edge["node"]) for edge in found["edges"]], continues)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise RemoteError("A legacy scheduler answered with no slots that can be read.") from error


def _edge(node: Json) -> Edge:
    assignment, message = node["assignment"], node.get("message")
    if not isinstance(assignment, dict) or not isinstance(message, dict | None):
        raise TypeError("message and assignment should be objects")
    return Edge(assignment, message)


def message_of(item: Json, *, trusting: bool) -> Message:
    """The message that an item is, with its verified commitment.

    With `trusting`, one that does not verify is taken without any. Raises `RemoteError`.
    """
    data = item.get("data") or ""
    raw = data.encode() if isinstance(data, str) else orjson.dumps(data)
    try:
        target = item.get("recipient") or item.get("target")
        listed = Listed.read({**item, "recipient": target, "data": None})
        built = listed.item(str(item.get("id")), raw)
        value = None if built is None else read_item(built)
    except BadRequest as error:
        raise RemoteError(f"A legacy scheduler gave an item that can't be read: {error}") from error
    if isinstance(value, Message):
        return value
    if not trusting:
        raise RemoteError(f"A legacy scheduler gave an item that does not verify: {item.get('id')}")
    return _as_told(item, listed)


def _as_told(item: Json, listed: Listed) -> Message:
    fields = {key: item.get(key) for key in _FIELDS}
    told: dict[str, Value] = {k: v.encode() for k, v in fields.items() if isinstance(v, str) and v}
    told.update({name.decode().lower(): value for name, value in listed.tags})
    return Message.of(told)


def signer_of(assignment: Message, item: Json) -> str | None:
    """Who has signed an assignment; of one that does not verify, who is said to have."""
    if assignment.signers:
        return assignment.signers[0]
    owner = item.get("owner")
    address = owner.get("address") if isinstance(owner, dict) else None
    return address if isinstance(address, str) else None


def converted(assignment: Message, body: Message) -> Message:
    """An assignment of legacynet in our form, with its message; nobody has signed this form.

    Raises `RemoteError` for one without a slot.
    """
    items: dict[str, Value] = dict(assignment)
    if "slot" not in items and "nonce" in items:
        items["slot"] = items["nonce"]
    for name in _NUMBERS:
        value = items.get(name)
        if isinstance(value, bytes) and value.isdigit():
            items[name] = int(value)
    if not isinstance(items.get("slot"), int):
        raise RemoteError("A legacy scheduler gave an assignment without a slot.")
    items.setdefault("block-hash", NO_HASH.encode())
    return Message.of({**items, "body": body})


def block_of(assignment: Message | None) -> BlockTime:
    """The block that an assignment in our form names; zeros without one."""
    if assignment is None:
        return BlockTime(0, 0)
    height = assignment.get("block-height")
    stamp = assignment.get("timestamp")
    return BlockTime(
        stamp if isinstance(stamp, int) else 0,
        height if isinstance(height, int) else 0,
        assignment.text("block-hash"),
    )
