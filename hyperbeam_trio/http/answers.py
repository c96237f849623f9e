"""Answers that can't change, encoded and signed once and kept, bounded in bytes (spec/09 §7)."""

from __future__ import annotations

from collections import OrderedDict

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse

_VARY_NOT = frozenset(
    {
        *(b"user-agent", b"accept-encoding", b"accept-language", b"connection", b"referer"),
        *(b"origin", b"priority", b"pragma", b"dnt", b"keep-alive", b"te"),
    }
)
"""Headers that never reach a message, so that an answer does not depend on them."""

_NEVER = frozenset(
    {b"cookie", b"authorization", b"signature", b"cache-control", b"range", b"transfer-encoding"}
)
"""Headers that make a request one of its own."""

_OVERHEAD = 512

Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]


class AnswerCache:
    """The newest answers to plain GET and HEAD requests, at most `limit` bytes of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._answers: OrderedDict[Key, tuple[HttpResponse, int]] = OrderedDict()

    def find(self, request: HttpRequest) -> HttpResponse | None:
        """The kept answer to exactly this question, or `None`."""
        key = _key(request)
        if key is None:
            return None
        found = self._answers.get(key)
        if found is None:
            return None
        self._answers.move_to_end(key)
        return found[0]

    def keep(self, request: HttpRequest, response: HttpResponse) -> None:
        """Keep an answer that will be the same for ever; asked again, it says `hit`."""
        key = _key(request)
        if key is None or not isinstance(response.body, bytes):
            return
        headers = [h for h in response.headers if h[0] != b"cache-status"]
        kept = HttpResponse(response.status, [*headers, (b"cache-status", b"hit")], response.body)
        size = _OVERHEAD + len(response.body) + sum(len(n) + len(v) for n, v in headers)
        if size > self._limit // 8:
            return
        _, replaced = self._answers.pop(key, (None, 0))
        self._answers[key] = (kept, size)
        self._size += size - replaced
        while self._size > self._limit:
            _, (_, gone) = self._answers.popitem(last=False)
            self._size -= gone

    def clear(self) -> None:
        """Forget everything, as when the node's options change."""
        self._answers.clear()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return self._size


def _key(request: HttpRequest) -> Key | None:
    if request.method not in ("GET", "HEAD"):
        return None
    headers = []
    for header in request.headers:
        name = header[0]
        if name in _NEVER or (name == b"content-length" and header[1] != b"0"):
            return None
        if name not in _VARY_NOT and not name.startswith(b"sec-"):
            headers.append(header)
    headers.sort()
    return request.method, request.target, tuple(headers)
