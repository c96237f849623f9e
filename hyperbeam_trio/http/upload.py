"""ANS-104 items that are uploaded: verified and stored as they arrive, whatever their size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.cache.item_source import ItemSource
from hyperbeam_trio.cache.parts import parts_record
from hyperbeam_trio.cache.spans import Span, SpanReader, SpanValues, holds_bundle
from hyperbeam_trio.codec.ids import linked_body
from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.crypto.field import InvalidField
from hyperbeam_trio.crypto.item_header import ItemHeader, read_fields
from hyperbeam_trio.errors import InvalidCommitment, NotInitialized, TooLarge
from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.http.quota import Admission
from hyperbeam_trio.message import Link, Message, Value, enumerated

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

STREAMED_BYTES: Final = 1024 * 1024
"""Bodies over this size are read as they come; smaller ones are as well read at once."""


def is_long(request: HttpRequest) -> bool:
    """Whether a request's body may be longer than `STREAMED_BYTES`: by its word, or it is mum."""
    length = _length(request)
    return length is None or length > STREAMED_BYTES


def _length(request: HttpRequest) -> int | None:
    found = next((value for name, value in request.headers if name == b"content-length"), b"")
    return int(found) if found.isdigit() else None


async def read_upload(request: HttpRequest, node: Node) -> Message | bytes:
    """The message of an item, verified if it is signed, its data stored and linked.

    Constant memory, but for the headers and small items of a bundle, which are bound by `max-body`.
    The bytes of the item where they turn out to be few, or are a bundle within `max-body`. Raises
    `InvalidCommitment` (400) when the signature does not hold, `BadRequest` for what is no item,
    `TooLarge`, `NotInitialized` before anything is stored, and `QuotaExceeded` for what strangers
    bring over the quota. Of a refused item nothing remains.
    """
    chunks = request.body.chunks()
    most = node.config.max_body
    begun, ended = await _beginning(chunks, min(STREAMED_BYTES, most))
    if ended:
        return begun
    if node.config.initialized == "false":
        raise NotInitialized
    header = _header(begun)
    length = _length(request)
    if length is not None and length <= most and holds_bundle(header):
        return b"".join([begun, *[chunk async for chunk in chunks]])
    admission = Admission(header, length, node)
    async with aclosing(admission.counted(begun, chunks)) as counted:
        source = ItemSource(begun, counted, node.config.max_item)
        await source.take(len(header.raw))
        with admission.storing(source):
            return await _stored(header, source, node)


async def _beginning(chunks: AsyncIterator[bytes], enough: int) -> tuple[bytes, bool]:
    """The first chunks, a little over `enough` bytes, and whether that was all."""
    begun = bytearray()
    async for chunk in chunks:
        begun += chunk
        if len(begun) > enough:
            return bytes(begun), False
    return bytes(begun), True


def _header(begun: bytes) -> ItemHeader:
    fields = read_fields(memoryview(begun))
    if isinstance(fields, int):
        raise InvalidField("item", f"its header takes over {len(begun)} bytes")
    return ItemHeader(*fields)


async def _stored(header: ItemHeader, source: ItemSource, node: Node) -> Message:
    top = Span(header)
    async with node.cache.intake() as intake:
        await SpanReader(source, intake, node.config.max_body).read(top, (), None)
        await source.expect_end()
        await intake.finish()
        _check_signature(top)
        values = SpanValues(intake)
        value = await values.value(top)
        message = _as_message(value)
        apart = _without_id(message, min(node.config.max_body, node.cache.join_bytes))
        whole = parts_record(human_id(top.whole.digest()), intake.links)
        await intake.keep({**values.records, **whole})
    return await node.cache.load_binaries(message) if apart else message


def _as_message(value: Value) -> Message:
    if isinstance(value, list):
        return enumerated(value)
    return value if isinstance(value, Message) else Message.of({"data": value})


def _without_id(message: Message, most: int) -> bool:
    """Whether a message has binaries beside its body, which have to be loaded for its id.

    `TooLarge` if they have over `most` bytes.
    """
    links = [v for v in message.values() if isinstance(v, Link) and v.kind == "binary"]
    if not links or linked_body(message) is not None:
        return False
    size = sum(link.size for link in links)
    if size > most:
        raise TooLarge(
            f"Data that is neither 'data' nor 'body' may have {most} bytes here, not {size}."
        )
    return True


def _check_signature(top: Span) -> None:
    header = top.header
    if header.is_signed and not top.verifies:
        raise InvalidCommitment(
            f"The signature of the item {header.id} does not hold for the {top.size} bytes of data "
            "that came with it.",
            details={"commitment": header.id},
        )
