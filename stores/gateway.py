"""`gateway:https://arweave.net` — messages of the permanent storage, by their ids (spec/04 §5.7).

Every message is put together from what the gateway tells and verified: the id is the hash of the
signature, which covers everything else. What does not verify is not there for us, whoever says so.
Read only.

Options: `graphql` (URL of the index, default LOCATION/graphql), `raw` (URL under which data lies,
default LOCATION/raw), `subindex` (tags `NAME:VALUE,…` that make the index faster), `timeout`
(seconds for one request, default 30), `retries` (default 2), `connections` (default 16), `capacity`
(bytes that are remembered, default 64MiB), `miss` (seconds for which it is remembered that an id is
not there, default 10), `max-body` (bytes of data, default 256MiB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import orjson
import trio

from hyperbeam_trio.crypto.listed_item import Listed
from hyperbeam_trio.errors import (
    BadRequest,
    Busy,
    ConfigError,
    CorruptData,
    DeadlineExceeded,
    Forbidden,
    RemoteError,
    StoreError,
)
from hyperbeam_trio.http.client import ClientResponse, ClientSettings, HttpClient
from hyperbeam_trio.http.origin import parse_url
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.foreign import Content, ForeignStore
from hyperbeam_trio.stores.gateway_items import (
    message_of_item,
    message_of_transaction,
    query_for,
    transaction_of,
)

_JSON: Final = ((b"content-type", b"application/json"), (b"accept", b"application/json"))
_RETRIED: Final = frozenset({429, 502, 503, 504})


class GatewayStore(ForeignStore):
    """An Arweave gateway. See `Store` for the methods, and above for what differs."""

    def __init__(
        self,
        place: str,
        client: HttpClient,
        *,
        graphql: str,
        raw: str,
        subindex: Sequence[tuple[str, str]] = (),
        capacity: int = 64 << 20,
        miss_seconds: float = 10.0,
    ) -> None:
        super().__init__(f"gateway:{place}", capacity, miss_seconds)
        self._client = client
        self._home = place
        self._graphql = graphql
        self._raw = raw
        self._subindex = subindex

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        read = StoreOptions("gateway", options)
        home = location.rstrip("/")
        graphql = read.text("graphql", f"{home}/graphql")
        raw = read.text("raw", f"{home}/raw").rstrip("/")
        subindex = _subindex(read.text("subindex", ""))
        settings = ClientSettings(
            total=read.seconds("timeout", 30.0),
            retries=read.count("retries", 2, least=0),
            retry_pause=0.5,
            retry_statuses=_RETRIED,
            connections=read.count("connections", 16),
            max_body=read.size("max-body", 256 << 20),
        )
        capacity, miss = read.size("capacity", 64 << 20), read.seconds("miss", 10.0)
        read.done()
        for url in (home, graphql, raw):
            _check_url(url)
        return cls(
            home,
            HttpClient(settings),
            graphql=graphql,
            raw=raw,
            subindex=subindex,
            capacity=capacity,
            miss_seconds=miss,
        )

    async def _candidates(self, id: str, *, binary: bool) -> Sequence[Content]:
        if binary:
            # Gateways know messages by their signatures, and no bytes by their hash.
            return []
        node = await self._listed(id)
        if node is None:
            return []
        try:
            listed = Listed.read(node)
            content = await (self._item if listed.bundled else self._transaction)(id, listed)
        except BadRequest as error:
            raise CorruptData(f"store {self.place}: {id} can't be read: {error}") from error
        if content is None:
            raise CorruptData(
                f"store {self.place}: what it gives for {id} does not verify.",
                details={"damaged": id},
            )
        return [content]

    async def _listed(self, id: str) -> Mapping[str, Any] | None:
        """What the index says of an id."""
        body = orjson.dumps(query_for(id, self._subindex))
        answer = self._answered(await self._ask("POST", self._graphql, body))
        try:
            edges = orjson.loads(answer.body)["data"]["transactions"]["edges"]
            nodes = [edge["node"] for edge in edges]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreError(f"store {self.place}: its index answers with no list.") from error
        named = (node for node in nodes if isinstance(node, dict) and node.get("id") == id)
        return next(named, None)

    async def _item(self, id: str, listed: Listed) -> Content | None:
        data = await self._data(id) if listed.size else b""
        item = await trio.to_thread.run_sync(listed.item, id, data)
        return None if item is None else await trio.to_thread.run_sync(message_of_item, item)

    async def _transaction(self, id: str, listed: Listed) -> Content | None:
        text = self._answered(await self._ask("GET", f"{self._home}/tx/{id}")).body
        data = await self._data(id) if listed.size else None
        transaction = await trio.to_thread.run_sync(transaction_of, id, text, data)
        if transaction is None:
            return None
        return await trio.to_thread.run_sync(message_of_transaction, transaction)

    async def _data(self, id: str) -> bytes:
        return self._answered(await self._ask("GET", f"{self._raw}/{id}")).body

    def _answered(self, answer: ClientResponse) -> ClientResponse:
        if answer.status != 200:
            place = answer.url.partition("?")[0]
            raise StoreError(f"store {self.place}: {place} answers {answer.status}.")
        return answer

    async def _ask(self, method: str, url: str, body: bytes = b"") -> ClientResponse:
        try:
            # Gateways lead to other servers of theirs; what they send is verified anyway.
            return await self._client.request(
                method,
                url,
                headers=_JSON if body else (),
                body=body,
                allow_private=True,
                redirects="anywhere",
            )
        except (RemoteError, DeadlineExceeded, Busy, Forbidden) as error:
            raise StoreError(f"store {self.place}: {error}") from error

    async def close(self) -> None:
        await super().close()
        self._client.close()


def _subindex(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition(":") for part in text.split(",") if part]
    for name, _, value in pairs:
        if not name or not value or not (name + value).isprintable() or '"' in text or "\\" in text:
            raise ConfigError(
                f"store gateway: subindex is {text!r}; expected tags as NAME:VALUE,NAME:VALUE."
            )
    return [(name, value) for name, _, value in pairs]


def _check_url(url: str) -> None:
    try:
        parse_url(url)
    except BadRequest as error:
        raise ConfigError(f"store gateway: it needs the URL of a gateway: {error}") from error
