"""The chunked transfer coding, strictly (RFC 9112 §7.1): bytes in, bytes out, no I/O."""

from __future__ import annotations

import re

from hyperbeam_trio.errors import BadRequest

SIZE_LINE_BYTES = 4096
TRAILER_BYTES = 64 * 1024

_match_size = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t -~\x80-\xff]*)?").fullmatch
_match_trailers = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*").fullmatch


class ChunkDecoder:
    """Decodes one body. `rest` holds what came after its end, once `ended`."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._left = 0
        self._step = self._size
        self._data = b""
        self._at = 0
        self._out: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """The content that `data` adds, maybe none; `BadRequest` when it is no chunked body."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0
        while self._step():
            pass
        out, self._out = self._out, []
        if self.ended:
            self.rest, self._data, self._at = self._data[self._at :], b"", 0
        return out[0] if len(out) == 1 else b"".join(out)

    def _size(self) -> bool:
        end = self._data.find(b"\r\n", self._at, self._at + SIZE_LINE_BYTES)
        if end < 0:
            self._check_partial_size(self._data[self._at :])
            return False
        size = _match_size(self._data, self._at, end)
        if size is None:
            raise BadRequest("The body has a malformed chunk size.")
        self._at = end + 2
        self._left = int(size[1], 16)
        self._step = self._content if self._left else self._trailers
        return True

    def _check_partial_size(self, line: bytes) -> None:
        begun = line.rstrip(b"\r")
        hopeless = bool(begun) and _match_size(begun.rstrip(b" \t")) is None
        if hopeless or len(line) >= SIZE_LINE_BYTES:
            raise BadRequest("The body has a malformed chunk size.")

    def _content(self) -> bool:
        part = self._data[self._at : self._at + self._left]
        if part:
            self._out.append(part)
            self._at += len(part)
            self._left -= len(part)
        if self._left:
            return False
        self._step = self._content_end
        return True

    def _content_end(self) -> bool:
        end = self._data[self._at : self._at + 2]
        if end == b"\r\n":
            self._at += 2
            self._step = self._size
            return True
        if end and end != b"\r":
            raise BadRequest("The body has a chunk that is longer than its size.")
        return False

    def _trailers(self) -> bool:
        start = self._at
        if self._data.startswith(b"\r\n", start):
            end = start
        else:
            found = self._data.find(b"\r\n\r\n", start)
            if found < 0:
                self._check_partial_trailers()
                return False
            end = found + 2
        if _match_trailers(self._data, start, end) is None:
            raise BadRequest("The body has malformed trailers.")
        self._at = end + 2
        self.ended = True
        return False

    def _check_partial_trailers(self) -> None:
        if len(self._data) - self._at > TRAILER_BYTES:
            raise BadRequest("The body's trailers are too long.", status=431)
