"""The answer to one request, as its bytes arrive (RFC 9112). No socket here."""

from __future__ import annotations

from typing import Final

import httptools

from hyperbeam_trio.errors import RemoteError
from hyperbeam_trio.http.exchange import Header

HEAD_BYTES: Final = 1 << 20
HEADER_COUNT: Final = 4096

_NO_BODY = frozenset({204, 304})


class AnswerReader:
    """Reads one answer. `feed` what arrives until `has_head`, then until `done`; `take` the body.

    Answers of status 1xx are passed over. Raises `RemoteError` for what is no HTTP, for a head
    over its limits, and for an answer that ends too early.
    """

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.has_head = False
        self.done = False
        self.reusable = False
        self.received = 0
        self._method = method
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._head_bytes = 0
        self._framed = False
        self._spoilt = False

    @property
    def begun(self) -> bool:
        """Whether anything arrived."""
        return self._head_bytes > 0

    def feed(self, data: bytes) -> None:
        """More bytes of the connection; none at its end."""
        if not data:
            self._end()
            return
        self.received += len(data)
        if not self.has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise RemoteError("The answer changes the protocol, which nobody asked for.") from None
        except httptools.HttpParserError as error:
            raise RemoteError(f"The answer is no HTTP: {error}.") from error
        if not self.has_head and self._head_bytes > HEAD_BYTES:
            raise RemoteError(f"The answer's head is longer than {HEAD_BYTES} bytes.")
        if len(self.headers) > HEADER_COUNT:
            raise RemoteError(f"The answer has more than {HEADER_COUNT} headers.")

    def take(self) -> bytes:
        """What arrived of the body since the last call."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def length(self) -> int | None:
        """The body's length, where the head says it."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
        return None

    def _end(self) -> None:
        if not self.has_head or self._framed:
            raise RemoteError("The connection ended within the answer.")
        self.done = True

    # Called by the parser.

    def on_message_begin(self) -> None:
        self._spoilt = self.done

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.done or 100 <= status < 200:
            return
        self.status = status
        self.has_head = True
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if codings and [coding.lower() for coding in codings] != [b"chunked"]:
            raise ValueError(f"unknown transfer-encoding {codings}")
        self._framed = bool(codings) or self.length is not None
        if self._method == "HEAD" or status in _NO_BODY:
            self._finish()

    def on_body(self, data: bytes) -> None:
        if self.done:
            self._spoilt = True
        else:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        if self.has_head:
            self._finish()
        else:
            self.headers.clear()

    def _finish(self) -> None:
        if not self.done:
            self.done = True
            # After a HEAD the parser still waits for the body that the length promises.
            self.reusable = bool(self._parser.should_keep_alive())

    def is_clean(self) -> bool:
        """Whether the connection can carry another request: nothing came behind the answer."""
        return self.done and self.reusable and not self._spoilt
