"""Requests to a node's handler without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from hyperbeam_trio.errors import TooLarge
from hyperbeam_trio.http.exchange import Header, HttpRequest, HttpResponse
from hyperbeam_trio.http.service import NodeHandler
from hyperbeam_trio.node import Node


class Body:
    """A body that is there already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, limit: int) -> bytes:
        if len(self._data) > limit:
            raise TooLarge(f"The body is over {limit} bytes.")
        return self._data

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._data


class Client:
    """Asks one node, as a front door would."""

    def __init__(self, node: Node) -> None:
        self.handler = NodeHandler(node)

    async def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        headers: Iterable[Header] = (),
        body: bytes = b"",
    ) -> HttpResponse:
        """The response to one request; a host header is added unless one is given."""
        given = list(headers)
        if not any(name == b"host" for name, _ in given):
            given.insert(0, (b"host", b"node.test"))
        request = HttpRequest(method, target.encode(), given, Body(body), ("127.0.0.1", 9))
        return await self.handler(request)


def header(response: HttpResponse, name: str) -> str | None:
    """The value of a header, or `None`."""
    found = [value for key, value in response.headers if key == name.encode()]
    return found[0].decode("latin-1") if found else None
