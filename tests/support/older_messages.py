"""Messages as HyperBEAM would store them; `link` gives ids in the form of its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.codec.structured import to_tabm
from hyperbeam_trio.message import Message, Value
from tests.support.older_store import Fields, Layout, To, add_commitments, add_message, digest

LinkOf: TypeAlias = Callable[[Message | list[Value]], str]


def add_value(layout: Layout, value: Message | list[Value], id: str, link: LinkOf) -> None:
    """A message, without its commitments, or a list, and what is nested in it with all of it."""
    items = list(value.items() if isinstance(value, Message) else enumerate(value, 1))
    for _, item in items:
        if isinstance(item, Message) and item.commitments:
            add_signed(layout, item, link)
        elif isinstance(item, Message | list):
            add_value(layout, item, link(item), link)
    ids: dict[str, bytes] = {
        f"{key}+link": link(item).encode()
        for key, item in items
        if isinstance(item, Message | list)
    }
    tabm = {**to_tabm(value), **ids}
    add_message(layout, id, {key: raw for key, raw in tabm.items() if isinstance(raw, bytes)})


def add_signed(layout: Layout, message: Message, link: LinkOf) -> None:
    """A message with its commitments."""
    fields = {id: one.to_message() for id, one in message.commitments.items()}
    add_value(layout, message.with_commitments([]), unsigned_id(message), link)
    commitments = {
        # Their own ids as messages: two may differ in nothing but the signature.
        id: (digest(id.encode()), commitment_fields(layout, one, link))
        for id, one in fields.items()
    }
    add_commitments(layout, unsigned_id(message), commitments)


def commitment_fields(layout: Layout, commitment: Message, link: LinkOf) -> Fields:
    """The keys of a commitment as a message; what is nested in it is added."""
    fields: dict[str, bytes | To] = {}
    for key, item in commitment.items():
        if isinstance(item, Message | list):
            add_value(layout, item, link(item), link)
            fields[key] = To(link(item))
        elif isinstance(item, bytes):
            fields[key] = item
    return fields
