"""The seam between a front door and the node: a request in, a response out.

Nothing below this seam knows ASGI, hypercorn or httptools, and nothing above it knows messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Header = tuple[bytes, bytes]


class BodyReader(Protocol):
    """The request's body as it arrives; the door enforces limits and deadlines.

    A body that is malformed or ends early raises `BadRequest`. One that comes too slowly raises it
    with status 408 or cancels the handler, and the door answers. What a handler leaves unread the
    door swallows, or closes the connection. One task reads it, once.
    """

    async def read(self, limit: int) -> bytes:
        """The whole body; `TooLarge` (413) above `limit` bytes, which is also what is buffered."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in parts as they arrive, for handlers that need it in constant memory."""
        ...


@dataclass(slots=True)
class HttpRequest:
    """One request.

    `method` upper-case text; `target` the raw path with its query, or `*`, as bytes; `headers`
    lower-case names and raw values in wire order; `peer` the socket's address, `None` when there
    is no socket; `http_version` "1.0", "1.1" or "2".
    """

    method: str
    target: bytes
    headers: Sequence[Header]
    body: BodyReader
    peer: tuple[str, int] | None = None
    http_version: str = "1.1"
    scheme: str = "http"


@dataclass(slots=True)
class HttpResponse:
    """One response.

    `status` from 200 to 999. `headers` lower-case names; framing headers (`content-length`,
    `transfer-encoding`, `connection`, `date`) are the door's, and dropped. A header that would
    break the framing makes the answer 500. `body` whole, or an iterator of parts that is sent
    chunked with back pressure: the first part takes the head along, an empty one lets it go
    early, and `aclose`, where there is one, is called at the end.
    """

    status: int
    headers: Sequence[Header] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""What a front door calls for each request.

It had better not raise but for cancellation: the door turns a `HyperbeamError` into its status and
text, and any other exception into a bare 500.
"""
