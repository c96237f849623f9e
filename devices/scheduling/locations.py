"""Location records: where the node of an address answers (spec/05 §4.9)."""

from __future__ import annotations

from typing import Final

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import ALL, only_committed, verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import is_id
from hyperbeam_trio.errors import BadRequest, InvalidCommitment
from hyperbeam_trio.message import Message

_NAME: Final = "~location@1.0/"
_TYPES: Final = frozenset({"location", "scheduler-location"})
_SECONDS_BELOW: Final = 10**8
"""A time to live below this is meant in seconds; ours are milliseconds."""


async def find_location(address: str, context: Context) -> Message | None:
    """The newest record of an address that is known here, or `None`."""
    id = await context.cache.lookup(_NAME + address) if is_id(address) else None
    found = None if id is None else await context.cache.read(id)
    return found if isinstance(found, Message) else None


async def known_addresses(context: Context) -> list[str]:
    """The addresses of which a record is known, sorted."""
    names = await context.cache.names(_NAME)
    return [name.removeprefix(_NAME) for name in names]


async def keep_location(record: Message, context: Context) -> None:
    """Keep a record for each of its signers; it is checked before."""
    await context.cache.write(record)
    for signer in record.signers:
        await context.cache.link(_NAME + signer, signed_id(record))


async def accept_location(record: Message, context: Context) -> Message:
    """Check a record that somebody sent, and keep it; what is kept.

    It is signed, all its commitments hold, its `type` is `location`, it has `url`, `nonce` and
    `time-to-live`, and its nonce is newer than what is known of at least one signer. Raises
    `BadRequest` or `InvalidCommitment`.
    """
    whole = await context.load_all(only_committed(record))
    if not isinstance(whole, Message) or not whole.signers:
        raise BadRequest("A location record has to be signed by the address that it is about.")
    if not verify_message(whole, commitment_ids=ALL):
        raise InvalidCommitment("A commitment of the location record does not hold.")
    if whole.text("type", "").lower() not in _TYPES:
        raise BadRequest("Key 'type' of a location record should be 'location'.")
    nonce, _, _ = whole.int("nonce"), whole.text("url"), whole.int("time-to-live")
    newest = [await newest_nonce(signer, context) for signer in whole.signers]
    if all(known is not None and nonce <= known for known in newest):
        raise BadRequest("Known nonce(s) higher than requested nonce.")
    await keep_location(whole, context)
    return whole


async def newest_nonce(address: str, context: Context) -> int | None:
    """The nonce of the newest known record of an address."""
    known = await find_location(address, context)
    return None if known is None else known.int("nonce", None)


def lifetime(record: Message) -> int:
    """The milliseconds for which a record holds from its nonce on."""
    given = record.int("time-to-live", 0)
    return given * 1000 if given < _SECONDS_BELOW else given


def is_stale(record: Message, milliseconds: int) -> bool:
    """Whether a record is older than it says that it holds; then it is still a hint."""
    return record.int("nonce", 0) + lifetime(record) < milliseconds
