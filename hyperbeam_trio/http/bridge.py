"""A mounted ASGI application on a connection of our own listener."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import trio

from hyperbeam_trio.errors import HyperbeamError
from hyperbeam_trio.http.body import Body
from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.http.head import Head
from hyperbeam_trio.http.reply import Reply
from hyperbeam_trio.http.response import sendable_headers


class Bridge:
    """ASGI's `receive` and `send` for one request, over its body and its reply."""

    def __init__(self, head: Head, body: Body, reply: Reply) -> None:
        self._head = head
        self._body = body
        self._reply = reply
        self._status = 0
        self._headers: list[Header] = []
        self._length: int | None = -1
        self._told_end = False
        self.done = trio.Event()

    async def receive(self) -> dict[str, Any]:
        """The next part of the body; after its end, the end of the exchange."""
        if self._told_end:
            await self.done.wait()
            return {"type": "http.disconnect"}
        try:
            part = await anext(self._body, b"")
        except HyperbeamError:
            self._told_end = True
            return {"type": "http.disconnect"}
        self._told_end = self._body.ended
        return {"type": "http.request", "body": part, "more_body": not self._told_end}

    async def send(self, event: Any) -> None:
        """One event of the answer."""
        kind = event["type"]
        if kind == "http.response.start" and not self._status:
            self._begin(event)
        elif kind == "http.response.body" and self._status and not self.done.is_set():
            await self._part(bytes(event.get("body", b"")), event.get("more_body", False))
        else:
            raise RuntimeError(f"a mounted application sent {kind!r} at the wrong time")

    def _begin(self, event: Any) -> None:
        headers = [(bytes(name).lower(), bytes(value)) for name, value in event.get("headers", ())]
        self._headers = sendable_headers(headers)
        if self._head.method == "HEAD":
            told = dict(headers).get(b"content-length", b"")
            self._length = int(told) if told.isdigit() else None
        self._status = event["status"]
        self._reply.begin(self._status, self._headers)

    async def _part(self, data: bytes, more: bool) -> None:
        if self._reply.started or (more and self._head.method != "HEAD"):
            await self._reply.part(data)
            await trio.lowlevel.checkpoint()
            if not more:
                await self._reply.end()
        elif not more:
            await self._reply.whole(self._status, self._headers, data, self._length)
        if not more:
            self.done.set()

    async def close(self) -> bool:
        """The application has returned; whether the connection can take another request."""
        if not self.done.is_set():
            raise RuntimeError("a mounted application returned without a whole answer")
        return await self._reply.finish()


async def serve_mounted(
    app: Any, head: Head, body: Body, reply: Reply, peer: tuple[str, int] | None, scheme: str
) -> bool:
    """Let `app` answer; whether the connection can take another request."""
    bridge = Bridge(head, body, reply)
    try:
        await app(to_scope(head, peer, scheme), bridge.receive, bridge.send)
        return await bridge.close()
    except trio.BrokenResourceError:
        raise
    except Exception:
        await reply.fail()
        return await reply.finish()


def to_scope(head: Head, peer: tuple[str, int] | None, scheme: str) -> dict[str, Any]:
    """A head as an ASGI scope."""
    path, _, query = head.target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "method": head.method,
        "scheme": scheme,
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": head.fields.headers,
        "client": peer,
        "server": None,
        "extensions": {},
        "state": {},
    }
