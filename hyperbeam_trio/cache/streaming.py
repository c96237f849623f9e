"""Messages whose body is too large to be held: verified and sent part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from hyperbeam_trio.cache.intake import Intake
from hyperbeam_trio.cache.item_source import ItemSource
from hyperbeam_trio.cache.layout import DATA
from hyperbeam_trio.cache.record import damaged
from hyperbeam_trio.cache.spans import Span, SpanReader, SpanValues, holds_bundle
from hyperbeam_trio.codec.ans104 import ANS104, linked_message, read_item, takes_link
from hyperbeam_trio.codec.ids import link_id, linked_body
from hyperbeam_trio.commitment import Commitment, Evidence
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import hash_id, native_id
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.item_header import ItemHeader, read_fields
from hyperbeam_trio.crypto.item_stream import DataItemStream
from hyperbeam_trio.errors import BadRequest, InvalidCommitment, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message, Value

if TYPE_CHECKING:
    from hyperbeam_trio.cache.results import Cache


@dataclass(frozen=True, slots=True)
class Streamed:
    """A message with `stand_in` in the place of its body, which lies under `link`."""

    message: Message
    link: Link
    stand_in: Elsewhere

    def restored(self, message: Message) -> Message:
        """`message`, made of the one here, with the link in its place and its own commitments."""
        held = {k: self.link for k, value in message.items() if value is self.stand_in}
        return message.set_values(held).with_commitments(message.commitments.values())

    def body(self, cache: Cache, head: bytes = b"") -> StoredBody:
        """The body behind `head`."""
        return StoredBody(self.link, cache, head)


@dataclass(frozen=True, slots=True)
class StoredBody:
    """What lies under `link`, behind `head`; read part by part, as often as it is asked for."""

    link: Link
    cache: Cache
    head: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.head) + self.link.size

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """All of them, and never another number; raises as `Cache.read_pieces` does."""
        if self.head:
            yield self.head
        left = self.link.size
        async with aclosing(self.cache.read_pieces(self.link)) as parts:
            async for part in parts:
                left -= len(part)
                if left < 0:
                    break
                yield part
        if left:
            raise damaged(DATA + self.link.id, f"it has other than {self.link.size} bytes")


def is_large(value: Value, cache: Cache) -> bool:
    """Whether a value is a link to a binary that had better not be put together in memory."""
    return isinstance(value, Link) and value.kind == "binary" and value.size > cache.stream_bytes


def streamed(message: Message, cache: Cache, deep_hash: bytes | None = None) -> Streamed | None:
    """The message without its body, if that is one large binary."""
    key = linked_body(message)
    link = message[key] if key is not None else None
    if key is None or not isinstance(link, Link) or not is_large(link, cache):
        return None
    stand_in = Elsewhere(native_id(link.id), deep_hash)
    replaced = message.set_values({key: stand_in})
    return Streamed(replaced.with_commitments(message.commitments.values()), link, stand_in)


async def sendable(message: Message, cache: Cache) -> Streamed | None:
    """As `streamed`, with the headers of the items that were signed, to send them to the byte."""
    found = streamed(message, cache)
    if found is None:
        return None
    held = [
        commitment if evidence is None else commitment.with_evidence(evidence)
        for commitment in message.commitments.values()
        for evidence in [await _header_of(message, commitment, cache)]
    ]
    return replace(found, message=found.message.with_commitments(held))


async def _header_of(message: Message, commitment: Commitment, cache: Cache) -> Evidence | None:
    if commitment.evidence is not None or commitment.device != ANS104.name:
        return None
    return await cache.linked_evidence(message, commitment)


async def load_verifiable(message: Message, cache: Cache) -> Message:
    """The message with every link in it loaded, so that its commitments can be checked.

    A large body is read through, and its hashes stand for it; so is the data of a large item that
    was signed, and its commitment marked as proved: constant memory. Where that settles all
    commitments, nothing else is loaded. Raises as `Cache.load_all` does.
    """
    message = await _proved(message, cache)
    if message.commitments and all(map(_is_proved, message.commitments.values())):
        return message
    found = streamed(message, cache)
    if found is not None:
        async with aclosing(cache.read_pieces(found.link)) as parts:
            deep_hash = await _deep_hash(parts, cache.hashing)
        found = streamed(message, cache, deep_hash)
    target = message if found is None else found.message
    loaded = await cache.load_all(target)
    return loaded if isinstance(loaded, Message) else target


def _is_proved(commitment: Commitment) -> bool:
    return commitment.evidence is not None and commitment.evidence.proved


async def _proved(message: Message, cache: Cache) -> Message:
    """The message, its signatures of large items checked."""
    checked = [await _checked(message, c, cache) for c in message.commitments.values()]
    return message.with_commitments(checked) if checked else message


async def _checked(message: Message, commitment: Commitment, cache: Cache) -> Commitment:
    # Whoever wrote the record may have named the item of another message.
    if commitment.evidence is not None:
        return _compared(message, commitment, commitment.evidence)
    evidence = await _header_of(message, commitment, cache)
    if evidence is None or evidence.item is None or evidence.tail is None:
        return commitment
    read = await _read_signed(evidence.item, evidence.tail, cache)
    if read is None or not _is_said_by(read, commitment, message):
        return commitment
    return commitment.with_evidence(replace(evidence, proved=True))


def _compared(message: Message, commitment: Commitment, evidence: Evidence) -> Commitment:
    """The commitment, without the item that it names if that says something else."""
    if evidence.item is None or evidence.tail is not None:
        return commitment
    read = _as_message(read_item(DataItem.parse(evidence.item)))
    if read is not None and _is_said_by(read, commitment, message):
        return commitment
    return replace(commitment, evidence=None)


async def _read_signed(head: bytes, data: Link, cache: Cache) -> Message | None:
    """What a signed item with stored data says; `None` if its signature does not hold."""
    header = _header(head)
    if holds_bundle(header):
        return await _read_bundle(header, data, cache)
    stream = await _read_item(head, data, cache)
    if not stream.finish() or not takes_link(header):
        return None
    return linked_message(header, data, stream.data_hash, proved=True)


async def _read_bundle(header: ItemHeader, data: Link, cache: Cache) -> Message | None:
    span, intake = Span(header), Intake(_nowhere, cache.hashing)
    async with aclosing(cache.read_pieces(data)) as parts:
        source = ItemSource(b"", parts, data.size)
        try:
            async with intake.working():
                await SpanReader(source, intake, cache.join_bytes).read(span, (), None)
                await source.expect_end()
                await intake.finish()
        except ExceptionGroup as group:
            first = group.exceptions[0]
            raise first from first.__cause__
    return _as_message(await SpanValues(intake).value(span)) if span.verifies else None


async def _nowhere(entries: Mapping[str, bytes]) -> None:
    """What is read here is stored already."""


def _header(head: bytes) -> ItemHeader:
    fields = read_fields(memoryview(head))
    if isinstance(fields, int) or fields[-1] != head:
        raise InvalidField("item", f"{len(head)} bytes, which are not just a header")
    return ItemHeader(*fields)


def _as_message(value: Value) -> Message | None:
    return value if isinstance(value, Message) else None


def _is_said_by(read: Message, commitment: Commitment, message: Message) -> bool:
    """Whether a commitment is that of the item that was read, and this says what `message` says."""
    own = read.commitments.get(commitment.id)
    return own == commitment and all(
        key in read and key in message and _named(read[key]) == _named(message[key])
        for key in commitment.committed
        if key != "ao-types"
    )


def _named(value: Value) -> object:
    """What tells a value from others, be it linked or at hand."""
    if isinstance(value, Link):
        return value.kind, value.id
    if isinstance(value, bytes):
        return "binary", hash_id(value)
    if isinstance(value, Message | list):
        return "message", link_id(value)
    return type(value), value


async def signed_item(head: bytes, data: str, cache: Cache) -> Message:
    """The message of a signed item: its header, and the id of its data, which is stored.

    Raises `NecessaryMessageNotFound` without the data, `BadRequest` for a header that is none or
    that of a bundle, `InvalidCommitment` when the signature does not hold.
    """
    link = await stored_link(data, cache)
    stream = await _read_item(head, link, cache)
    header = stream.header
    if header is None or len(header.raw) != len(head) or not takes_link(header):
        raise BadRequest("This is no header of a signed item whose data is one binary.")
    if not stream.finish():
        raise InvalidCommitment(f"The signature of the item {header.id} does not hold.")
    return linked_message(header, link, stream.data_hash, proved=True)


async def stored_link(id: str, cache: Cache) -> Link:
    """The link to a binary that is stored in parts; `NecessaryMessageNotFound` otherwise."""
    parts = await cache.parts(id)
    if parts is None:
        raise NecessaryMessageNotFound(id)
    return Link(id, "binary", sum(part.size for part in parts))


async def _read_item(head: bytes, data: Link, cache: Cache) -> DataItemStream:
    stream = DataItemStream()
    stream.begin(head)
    async with aclosing(cache.read_pieces(data)) as parts:
        async for part in parts:
            await trio.to_thread.run_sync(stream.add, part, limiter=cache.hashing)
    return stream


async def _deep_hash(parts: AsyncIterator[bytes], limiter: trio.CapacityLimiter) -> bytes:
    content = BlobHash()
    async for part in parts:
        await trio.to_thread.run_sync(content.update, part, limiter=limiter)
    return content.digest()
