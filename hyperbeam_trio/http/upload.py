"""ANS-104 items that are uploaded: verified and stored as they arrive, whatever their size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.codec.ans104 import linked_message, takes_link
from hyperbeam_trio.crypto.item_stream import DataItemStream
from hyperbeam_trio.errors import BadRequest, InvalidCommitment, TooLarge
from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.message import Message

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

STREAMED_BYTES: Final = 1024 * 1024
"""Bodies over this size are read as they come; smaller ones are as well read at once."""


def is_long(request: HttpRequest) -> bool:
    """Whether a request says that its body is longer than `STREAMED_BYTES`."""
    found = next((value for name, value in request.headers if name == b"content-length"), b"0")
    return found.isdigit() and int(found) > STREAMED_BYTES


async def read_upload(request: HttpRequest, node: Node) -> Message | bytes:
    """The verified message of a signed item, its data stored and linked; constant memory.

    The bytes of the item where it is a bundle, or not signed: these are at most `max-body`. Raises
    `InvalidCommitment` (400) when the signature does not hold, `BadRequest` for what is no item,
    `TooLarge`. Of a refused item nothing remains.
    """
    upload = _Upload(request.body.chunks(), node)
    if not await upload.read_head():
        return await upload.whole(node.config.max_body)
    return await upload.message()


class _Upload:
    """One item on its way in."""

    def __init__(self, chunks: AsyncIterator[bytes], node: Node) -> None:
        self._chunks = chunks
        self._cache = node.cache
        self._most = node.config.max_item
        self._stream = DataItemStream()
        self._begun = bytearray()
        self._first: memoryview = memoryview(b"")

    async def read_head(self) -> bool:
        """Read as far as the header goes; whether its data can be stored as it comes."""
        async for chunk in self._chunks:
            self._begun += chunk
            self._first = self._stream.begin(chunk)
            if self._stream.header is not None:
                return takes_link(self._stream.header)
        self._stream.finish()
        return False

    async def whole(self, most: int) -> bytes:
        """The item's bytes, when they are to be read like those of any other message."""
        async for chunk in self._chunks:
            self._begun += chunk
            if len(self._begun) > most:
                raise TooLarge(f"The body is longer than {most} bytes.")
        return bytes(self._begun)

    async def message(self) -> Message:
        """Store the data, and keep it if the signature holds."""
        self._begun.clear()
        stream = self._stream
        link = await self._cache.write_pieces(
            self._data(), watch=stream.add, confirm=self._check_signature
        )
        if stream.header is None:
            raise BadRequest("The item ends before its data.")
        return linked_message(stream.header, link)

    def _check_signature(self) -> None:
        header = self._stream.header
        if header is None or not self._stream.finish():
            id = header.id if header is not None else ""
            raise InvalidCommitment(
                f"The signature of the item {id} does not hold for the "
                f"{self._stream.data_size} bytes of data that came with it.",
                details={"commitment": id},
            )

    async def _data(self) -> AsyncIterator[bytes | memoryview]:
        size = self._first.nbytes
        yield self._first
        async for chunk in self._chunks:
            size += len(chunk)
            if size > self._most:
                raise TooLarge(f"The item is longer than {self._most} bytes.")
            yield chunk
