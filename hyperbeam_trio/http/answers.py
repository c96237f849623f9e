"""Answers, encoded and signed once and kept, bounded in bytes (spec/09 §7)."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from hyperbeam_trio.http.exchange import HttpRequest, HttpResponse
from hyperbeam_trio.message import Message, Value

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

SOURCES = 64
"""How many results are remembered to see whether the next answer is made of the same one."""

Key = tuple[str, bytes, tuple[tuple[bytes, bytes], ...]]


class _Kept(NamedTuple):
    """An answer, its size, and the result it was made of if another may come any time."""

    response: HttpResponse
    size: int
    source: Message | None


class AnswerCache:
    """The newest answers to plain GET and HEAD requests, at most `limit` bytes of them.

    Those that can't change, and those that were made of a result that a device gives again: the
    same message, which nothing changes, makes the same answer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._answers: OrderedDict[Key, _Kept] = OrderedDict()
        self._sources: OrderedDict[Key, Message] = OrderedDict()

    def find(self, request: HttpRequest) -> HttpResponse | None:
        """The kept answer to exactly this question, or `None`."""
        found = self._find(request)
        return found.response if found is not None and found.source is None else None

    def find_made(self, request: HttpRequest, result: Value) -> HttpResponse | None:
        """The kept answer to this question that was made of this very result, or `None`."""
        if not isinstance(result, Message):
            return None
        found = self._find(request)
        return found.response if found is not None and found.source is result else None

    def _find(self, request: HttpRequest) -> _Kept | None:
        key = _key(request)
        found = None if key is None else self._answers.get(key)
        if key is not None and found is not None:
            self._answers.move_to_end(key)
        return found

    def keep(self, request: HttpRequest, response: HttpResponse) -> None:
        """Keep an answer that will be the same for ever; asked again, it says `hit`."""
        key = _key(request)
        if key is not None and isinstance(response.body, bytes):
            headers = [h for h in response.headers if h[0] != b"cache-status"]
            headers.append((b"cache-status", b"hit"))
            self._put(key, HttpResponse(response.status, headers, response.body), None)

    def keep_made(self, request: HttpRequest, result: Value, response: HttpResponse) -> None:
        """Keep an answer for the result that it was made of, once that has come a second time."""
        key = _key(request)
        if key is None or not isinstance(result, Message) or not isinstance(response.body, bytes):
            return
        before = self._sources.pop(key, None)
        self._sources[key] = result
        if len(self._sources) > SOURCES:
            self._sources.popitem(last=False)
        if before is result:
            self._put(key, response, result)

    def _put(self, key: Key, response: HttpResponse, source: Message | None) -> None:
        size = _OVERHEAD + (len(response.body) if isinstance(response.body, bytes) else 0)
        size += sum(len(name) + len(value) for name, value in response.headers)
        if size > self._limit // 8:
            return
        replaced = self._answers.pop(key, None)
        self._answers[key] = _Kept(response, size, source)
        self._size += size - (replaced.size if replaced else 0)
        while self._size > self._limit:
            _, gone = self._answers.popitem(last=False)
            self._size -= gone.size

    def clear(self) -> None:
        """Forget everything, as when the node's options change."""
        self._answers.clear()
        self._sources.clear()
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
        if name == b"ao-peer-port" and request.peer is not None:
            # With it the address of whoever asks is a key of the message.
            headers.append((b"ao-peer", request.peer[0].encode()))
        if name not in _VARY_NOT and not name.startswith(b"sec-"):
            headers.append(header)
    headers.sort()
    return request.method, request.target, tuple(headers)
