"""Schedulers of legacynet, which speak another protocol: `variant` ao.TN.1 (spec/05 §4.10)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import urlencode

import orjson

from hyperbeam_trio.codec.ans104 import DEVICE, write_item
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.devices.scheduling.legacy_items import (
    Page,
    block_of,
    read_page,
)
from hyperbeam_trio.devices.scheduling.legacy_slots import LegacySlots
from hyperbeam_trio.devices.scheduling.listing import schedule_answer, slot_answer
from hyperbeam_trio.devices.scheduling.paging import STEP
from hyperbeam_trio.devices.scheduling.place import LEGACY, Elsewhere
from hyperbeam_trio.errors import BadRequest, HyperbeamError, NotFound, RemoteError
from hyperbeam_trio.http.client import ClientResponse
from hyperbeam_trio.message import Message

LIMIT: Final = 1000
"""Slots that a scheduler of legacynet is asked for at once."""


class Untranslatable(HyperbeamError):
    """A message that a scheduler of legacynet can't take."""

    status = 422


async def legacy_slot(
    place: Elsewhere, process: str, schedulers: Collection[str], context: Context
) -> Message:
    """The newest slot of a process (`slot`)."""
    newest = await _one(place, f"{process}/latest", process, schedulers, context)
    block = block_of(newest)
    return slot_answer(process, newest.int("slot"), sorted(schedulers), block)


async def legacy_page(
    place: Elsewhere,
    process: str,
    first: int,
    last: int | None,
    schedulers: Collection[str],
    context: Context,
) -> Message:
    """Slots `first` to `last` (all, if `None`), at most as many as a page has."""
    end = first + STEP if last is None else min(last, first + STEP)
    found: dict[int, Message] = {}
    reader = _reader(process, schedulers, context)
    after, continues = first - 1, True
    while continues and after < end:
        page = await _page(place, process, after, end if last is not None else None, context)
        fresh = [await reader.read(edge) for edge in page.edges]
        by_slot = {one.int("slot"): one for one in fresh if after < one.int("slot") <= end}
        continues = page.continues and bool(by_slot)
        found.update(by_slot)
        after = max(by_slot, default=after)
    newest = found[max(found)] if found else None
    more = after >= end and (continues if last is None else last > end)
    return schedule_answer(process, dict(sorted(found.items())), more, block_of(newest))


async def legacy_assign(
    place: Elsewhere,
    process: str,
    message: Message,
    schedulers: Collection[str],
    context: Context,
) -> Message:
    """The assignment that a message got, sent as the item that its sender signed.

    Raises `Untranslatable` (422) for a message that no sender signed as an item.
    """
    answer = await _ask(place, "POST", "", context, item_of(message))
    assigned = _assigned_id(answer.body)
    assignment = await _one(place, assigned, process, schedulers, context)
    if signed_id(assignment.message("body")) != signed_id(message):
        raise RemoteError(f"{place.node} assigned its slot to another message than ours.")
    return assignment


def item_of(message: Message) -> bytes:
    """The item that a message was signed as; `Untranslatable` (422) if there is none."""
    if not any(c.device == DEVICE and c.committer for c in message.commitments.values()):
        raise Untranslatable(
            "Process resides on legacy scheduler. Message must be signed with ANS-104."
        )
    try:
        item = write_item(message)
    except BadRequest as error:
        raise Untranslatable(
            f"Incorrect encoding. Scheduler has variant: {LEGACY}", details={"reason": str(error)}
        ) from error
    return item.to_bytes()


def _assigned_id(body: bytes) -> str:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    id = found.get("id") if isinstance(found, dict) else None
    if not isinstance(id, str) or not is_id(id):
        raise RemoteError("A legacy scheduler took a message and did not say as what.")
    return id


async def _one(
    place: Elsewhere, path: str, process: str, schedulers: Collection[str], context: Context
) -> Message:
    query = urlencode({"process-id": process})
    page = read_page((await _ask(place, "GET", f"{path}?{query}", context)).body)
    if not page.edges:
        raise NotFound(f"{place.node} has no slots of {process}.")
    return await _reader(process, schedulers, context).read(page.edges[-1])


async def _page(
    place: Elsewhere, process: str, after: int, last: int | None, context: Context
) -> Page:
    query: dict[str, str | int] = {"process-id": process}
    if after >= 0:
        query["from-nonce"] = after
    if last is not None:
        query["to-nonce"] = last
    query["limit"] = LIMIT
    return read_page((await _ask(place, "GET", f"{process}?{urlencode(query)}", context)).body)


def _reader(process: str, schedulers: Collection[str], context: Context) -> LegacySlots:
    return LegacySlots(process, schedulers, context.cache, context.config.ans104_trust_gql)


async def _ask(
    place: Elsewhere, method: str, path: str, context: Context, body: bytes = b""
) -> ClientResponse:
    """What the scheduler answers; it may lead to the one of several that has the process."""
    answer = await context.node.http_client.request(
        method,
        f"{place.node}/{path}",
        headers=[(b"content-type", b"application/octet-stream")] if body else (),
        body=body,
        redirects="anywhere",
    )
    if answer.status == 404:
        raise NotFound(f"{answer.url.partition('?')[0]} answered 404.")
    if answer.status >= 300:
        text = answer.body[:200].decode("utf-8", "replace")
        raise RemoteError(f"{answer.url.partition('?')[0]} answered {answer.status}: {text}")
    return answer
