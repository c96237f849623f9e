"""Reading and verifying an ANS-104 item as it arrives, in constant memory (spec/02 §11)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Final

from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.field import DEFAULT_TAG_LIMITS, InvalidField, TagLimits
from hyperbeam_trio.crypto.item_header import ItemHeader, read_fields

FILE_PIECE: Final = 1 << 20


class DataItemStream:
    """An item that comes in pieces: feed them to `update`, then ask `finish`.

    `header` is there as soon as enough has come, `verified` after `finish`. Holds the header and a
    hash, never the data, so that the caller can store what `update` returns as it goes. Hashing
    takes 1 to 2 ms a MiB: feed small pieces, or feed from a thread.
    """

    def __init__(self, limits: TagLimits = DEFAULT_TAG_LIMITS) -> None:
        self.header: ItemHeader | None = None
        self.verified: bool | None = None
        self._limits = limits
        self._pending = bytearray()
        # Asking again at every byte would cost the square of the header's size.
        self._needed = 2
        self._content = BlobHash()

    @property
    def data_size(self) -> int:
        """Bytes of data so far."""
        return self._content.size

    @property
    def data_hash(self) -> bytes:
        """The deep hash of the data so far."""
        return self._content.digest()

    def update(self, piece: bytes | memoryview) -> memoryview:
        """Take the next piece of the item; the part of it that is data comes back, uncopied.

        Raises `InvalidField` for a header that is wrong or over a limit.
        """
        data = self.begin(piece)
        self.add(data)
        return data

    def begin(self, piece: bytes | memoryview) -> memoryview:
        """Take the next piece up to the end of the header; what is behind it is not taken."""
        view = memoryview(piece)
        return view if self.header is not None else self._read_header(view)

    def add(self, data: bytes | memoryview) -> None:
        """Take the next data."""
        self._content.update(data)

    def finish(self) -> bool:
        """Whether the signature holds for what has come; `InvalidField` if there's no header."""
        if self.header is None:
            here = len(self._pending)
            raise InvalidField("item", f"{here} bytes, its header takes {self._needed} or more")
        self.verified = self.header.verifies_with(self._content.digest())
        return self.verified

    def _read_header(self, view: memoryview) -> memoryview:
        before = len(self._pending)
        # A header within its limits fits into this, so the rest of a large piece stays uncopied.
        self._pending += view[: 2048 + self._limits.encoded]
        if len(self._pending) < self._needed:
            return view[:0]
        fields = read_fields(memoryview(bytes(self._pending)), self._limits)
        if isinstance(fields, int):
            self._needed = fields
            return view[:0]
        self.header = ItemHeader(*fields)
        self._pending.clear()
        return view[len(self.header.raw) - before :]


def read_pieces(
    pieces: Iterable[bytes | memoryview], limits: TagLimits = DEFAULT_TAG_LIMITS
) -> DataItemStream:
    """The finished stream of an item whose bytes are `pieces`."""
    stream = DataItemStream(limits)
    for piece in pieces:
        stream.update(piece)
    stream.finish()
    return stream


def file_pieces(
    file: io.BufferedIOBase | io.RawIOBase, size: int = FILE_PIECE
) -> Iterator[memoryview]:
    """The rest of `file` in pieces of at most `size` bytes.

    All pieces share one buffer: use each before asking for the next.
    """
    buffer = memoryview(bytearray(size))
    while count := file.readinto(buffer):
        yield buffer[:count]
