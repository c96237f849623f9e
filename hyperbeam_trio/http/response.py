"""What goes out: headers that may be sent, and the door's own small answers (spec/07 §3.4)."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache

from hyperbeam_trio.errors import HyperbeamError, NodeError
from hyperbeam_trio.http.exchange import Handler, Header, HttpRequest, HttpResponse

log = logging.getLogger("hyperbeam_trio.http")

FRAMING = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that the door writes itself; a handler's are dropped."""

CORS: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
)

_match_name = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+").fullmatch


@lru_cache(maxsize=4096)
def _is_sent(name: bytes) -> bool:
    if _match_name(name) is None:
        raise NodeError(f"The answer has a header named {name[:80]!r}, which HTTP can't carry.")
    return name not in FRAMING


def sendable_headers(headers: Sequence[Header]) -> list[Header]:
    """`headers` without framing; `NodeError` for a name or value that must not be sent."""
    kept = [header for header in headers if _is_sent(header[0])]
    values = b"".join([value for _, value in kept])
    if b"\n" in values or b"\r" in values or b"\0" in values:
        raise NodeError("A header of the answer holds a line break or a zero byte.")
    return kept


def refusal(status: int, text: str, *headers: Header) -> HttpResponse:
    """A small `text/plain` answer of the door itself, which pages of any origin may read."""
    content = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
    return HttpResponse(status, [*content, *CORS, *headers], text.encode() + b"\n")


class Refused(Exception):
    """A request that the door answers by itself, with `response`, and then closes."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status, response.body)
        self.response = response


def bad(text: str, status: int = 400) -> Refused:
    """A refusal, to be raised, with a status and a line of text."""
    return Refused(refusal(status, text))


def busy(retry_after: int, text: str = "The node is busy.") -> HttpResponse:
    """503: come back in `retry_after` seconds."""
    return refusal(503, text, (b"retry-after", b"%d" % retry_after))


async def answer(handler: Handler, request: HttpRequest) -> HttpResponse:
    """The handler's response with checked headers; an exception becomes a small answer."""
    try:
        response = await handler(request)
        response.headers = sendable_headers(response.headers)
        if not 200 <= response.status <= 999:
            raise NodeError(f"The answer's status is {response.status}; it must be a final one.")
    except HyperbeamError as error:
        log.info("%s %r: %s", request.method, request.target[:200], error.text)
        return refusal(error.status, error.text)
    except Exception:
        log.exception("the handler failed at %s %r", request.method, request.target[:200])
        return refusal(500, "The node failed at this request.")
    return response


def has_body(method: str, status: int) -> bool:
    """Whether an answer carries content (RFC 9110 §6.4.1)."""
    return method != "HEAD" and status >= 200 and status != 204 and status != 304


def whole_body(response: HttpResponse) -> bytes:
    """The body of a response that is not streamed, such as a refusal's."""
    if not isinstance(response.body, bytes):
        raise TypeError("The response's body is streamed; it can't be told in one breath.")
    return response.body


def content_length(status: int, length: int) -> bytes:
    """The line that tells a content's length, where an answer may have one (RFC 9110 §8.6)."""
    return b"" if status == 204 or status == 304 else b"content-length: %d\r\n" % length


async def close_parts(body: bytes | AsyncIterator[bytes]) -> None:
    """Let an unfinished streamed body end now, where it can."""
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        await aclose()
