"""Messages whose body is too large to be held: verified and sent part by part."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from hyperbeam_trio.codec.ids import linked_body
from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.elsewhere import Elsewhere
from hyperbeam_trio.crypto.encoding import native_id
from hyperbeam_trio.message import Link, Message, Value

if TYPE_CHECKING:
    from hyperbeam_trio.cache.results import Cache


@dataclass(frozen=True, slots=True)
class Streamed:
    """A message with `stand_in` in the place of its body, which lies under `link`."""

    message: Message
    link: Link
    stand_in: Elsewhere

    async def pieces(self, cache: Cache, head: bytes = b"") -> AsyncGenerator[bytes, None]:
        """The body part by part, behind `head`."""
        if head:
            yield head
        async with aclosing(cache.read_pieces(self.link)) as parts:
            async for part in parts:
                yield part


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


async def load_verifiable(message: Message, cache: Cache) -> Message:
    """The message with every link in it loaded, so that its commitments can be checked.

    A large body is read through, and its hashes stand for it: constant memory. Raises as
    `Cache.load_all` does.
    """
    found = streamed(message, cache)
    if found is not None:
        async with aclosing(cache.read_pieces(found.link)) as parts:
            deep_hash = await _deep_hash(parts, cache.hashing)
        found = streamed(message, cache, deep_hash)
    target = message if found is None else found.message
    loaded = await cache.load_all(target)
    return loaded if isinstance(loaded, Message) else target


async def _deep_hash(parts: AsyncIterator[bytes], limiter: trio.CapacityLimiter) -> bytes:
    content = BlobHash()
    async for part in parts:
        await trio.to_thread.run_sync(content.update, part, limiter=limiter)
    return content.digest()
