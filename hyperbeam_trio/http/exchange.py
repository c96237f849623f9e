"""The seam between a front door and the node: a request in, a response out.

Nothing below this seam knows ASGI, hypercorn or httptools, and nothing above it knows messages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Header = tuple[bytes, bytes]


class BodyReader(Protocol):
    """The request's body as it arrives; the door enforces limits and deadlines."""

    async def read(self, limit: int) -> bytes:
        """The whole body; `TooLarge` (413) above `limit` bytes, which is also what is buffered."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body in parts as they arrive, for handlers that need it in constant memory."""
        ...


@dataclass(slots=True)
class HttpRequest:
    """One request.

    `method` upper-case text; `target` the raw request target with its query, as bytes; `headers`
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

    `headers` lower-case names, without framing headers (`content-length`, `transfer-encoding`,
    `connection`, `date`): those are the door's. `body` whole, or an iterator of parts that is
    sent chunked with back pressure.
    """

    status: int
    headers: Sequence[Header] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""What a front door calls for each request; it never raises but for cancellation."""
