"""`application/aos-2`: schedules as the JSON of legacy clients (spec/05 §4.7, spec/06 §3.2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import orjson

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.codec.structured import to_tabm
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.encoding import to_base64url
from hyperbeam_trio.message import Message, Value, as_text, numbered
from hyperbeam_trio.service.timestamp import BlockTime

MIME: Final = "application/aos-2"

_NO_TAGS: Final = frozenset(
    {"id", "anchor", "owner", "data", "target", "signature", "commitments", "body+link"}
)

Json = dict[str, Any]


def wants_aos2(accept: str | None) -> bool:
    """Whether an `accept` asks for this form; its slash may be percent-encoded."""
    return accept is not None and MIME in accept.lower().replace("%2f", "/")


def page_json(process: str, edges: Sequence[Json], continues: bool, block: BlockTime) -> bytes:
    """A page of a schedule, made of its slots (`edge_of`)."""
    page = {
        "page_info": {
            "process": process,
            "has_next_page": continues,
            "timestamp": str(block.timestamp),
            "block-height": str(block.height),
            "block-hash": block.hash,
        },
        "edges": edges,
    }
    return orjson.dumps(page)


def edge_of(assignment: Message) -> Json:
    """One slot of a page: its number, and message and assignment as items; all is loaded."""
    body = assignment.message("body")
    node = {"message": item_of(body), "assignment": item_of(assignment, without={"body"})}
    return {"cursor": assignment.int("slot"), "node": node}


def item_of(message: Message, *, without: Collection[str] = (), bundle: bool = False) -> Json:
    """A message as an item of legacynet: fixed fields, and all other keys as tags.

    Of several signers the one with the first commitment id counts. `without` names keys that are
    left out, though they are signed. With `bundle` nested messages are objects, without links.
    """
    signed = first_signed(message)
    owner = "" if signed is None else signed.committer or ""
    sender = message.get("from-process")
    return {
        "Id": signed_id(message),
        "Anchor": _id_text(message.get("anchor")),
        "Owner": owner,
        "From": _id_text(sender) or owner,
        "Tags": _tags(message, without, bundle),
        "Target": _id_text(message.get("target")),
        "Data": _data(message.get("data", b"")),
        "Signature": "" if signed is None else to_base64url(signed.signature),
        "PublicKey": "" if signed is None else (signed.keyid or "").rpartition(":")[2],
    }


def first_signed(message: Message) -> Commitment | None:
    """The signed commitment with the first id."""
    signed = [c for _, c in sorted(message.commitments.items()) if c.committer is not None]
    return signed[0] if signed else None


def _tags(message: Message, without: Collection[str], bundle: bool) -> list[Json]:
    original = _original_tags(message)
    if original is not None:
        return original
    kept = Message.of({key: value for key, value in message.items() if key not in without})
    return [
        {"name": header_case(key), "value": _nested(value)}
        for key, value in sorted(to_tabm(kept, bundle=bundle).items())
        if key not in _NO_TAGS
    ]


def _original_tags(message: Message) -> list[Json] | None:
    """The tags of a data item as they were signed."""
    for commitment in message.commitments.values():
        tags = commitment.extra.get("original-tags")
        if commitment.device == "ans104@1.0" and isinstance(tags, Message | list):
            listed = tags if isinstance(tags, list) else _in_order(tags)
            return [
                {"name": _text(tag.get("name")), "value": _text(tag.get("value"))}
                for tag in listed
                if isinstance(tag, Message)
            ]
    return None


def _in_order(tags: Message) -> Sequence[Value]:
    return numbered(tags) or []


def header_case(key: str) -> str:
    """`x-reply-to` as `X-Reply-To`."""
    return "-".join(part[:1].upper() + part[1:] for part in key.split("-"))


def _id_text(value: Value) -> str:
    """An id in its 43 characters, also one of 32 bytes; any other text as it is."""
    if isinstance(value, bytes) and len(value) == 32 and not _is_printable(value):
        return to_base64url(value)
    return as_text(value) or ""


def _data(value: Value) -> str | None:
    if not isinstance(value, bytes):
        return as_text(value)
    return value.decode() if _is_printable(value) else None


def _is_printable(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r" for character in text)


def _nested(value: object) -> Json | str:
    if isinstance(value, dict):
        return {key: _nested(item) for key, item in value.items()}
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
