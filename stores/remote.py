"""`remote:https://node.example` — another node's `cache@1.0` (spec/04 §5.6, §8).

Reads are checked: a message against its id, a binary against its hash, commitments against the
keys that they sign. With a `key` (a wallet file) it also takes writes, each signed; the other node
has to list the wallet's address in its `cache-writers`. What another node takes are messages,
binaries and, with `names`, names; results of computations are not sent, for nobody there could
tell whether they are right.

Options: `key`, `names` (default no: names are that node's word, nobody can check them), `timeout`
(seconds for one request, default 20), `retries` (default 1), `connections` (default 32), `capacity`
(bytes of what was read that are remembered, default 64MiB), `miss` (seconds for which it is
remembered that an id is not there, default 1), `max-body` (bytes of one answer, default 256MiB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self
from urllib.parse import quote

import trio

from hyperbeam_trio.cache.layout import NAME, unescape
from hyperbeam_trio.cache.parts import read_listing
from hyperbeam_trio.cache.record import encode
from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import message_id
from hyperbeam_trio.commitments import without_but_committed
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Wallet
from hyperbeam_trio.errors import (
    BadRequest,
    Busy,
    ConfigError,
    CorruptData,
    DeadlineExceeded,
    RemoteError,
    StoreError,
    TooLarge,
)
from hyperbeam_trio.http.client import ClientResponse, ClientSettings, HttpClient
from hyperbeam_trio.http.origin import parse_url
from hyperbeam_trio.http.remote import Reply, decode_reply, encode_request, url_of
from hyperbeam_trio.message import Link, Message, Value, numbered
from hyperbeam_trio.store import check_key
from hyperbeam_trio.store_options import StoreOptions
from hyperbeam_trio.stores.foreign import Content, ForeignStore
from hyperbeam_trio.stores.remote_writes import Large, Shipment, Shipped, shipment_of

_READ = "/~cache@1.0/read?read={0}&target={0}"
_WRITE = "/~cache@1.0/write"
_LINK = "/~cache@1.0/link"


class RemoteStore(ForeignStore):
    """The cache of the node at a URL. See `Store` for the methods, and above for what differs."""

    def __init__(
        self,
        url: str,
        client: HttpClient,
        wallet: Wallet | None,
        *,
        names: bool = False,
        capacity: int = 64 << 20,
        miss_seconds: float = 1.0,
    ) -> None:
        super().__init__(f"remote:{url}", capacity, miss_seconds)
        self.writable = wallet is not None
        self._url = url
        self._client = client
        self._wallet = wallet
        self._names = names
        self._signing = trio.CapacityLimiter(2)

    @classmethod
    async def open(cls, location: str, options: Mapping[str, object]) -> Self:
        try:
            parse_url(location)
        except BadRequest as error:
            raise ConfigError(f"store remote: it needs the URL of a node: {error}") from error
        read = StoreOptions("remote", options)
        key_file = read.text("key", "")
        names = read.flag("names", False)
        settings = ClientSettings(
            total=read.seconds("timeout", 20.0),
            retries=read.count("retries", 1, least=0),
            retry_pause=0.2,
            connections=read.count("connections", 32),
            max_body=read.size("max-body", 256 << 20),
        )
        capacity, miss = read.size("capacity", 64 << 20), read.seconds("miss", 1.0)
        read.done()
        wallet = await trio.to_thread.run_sync(load_wallet, key_file) if key_file else None
        client = HttpClient(settings)
        return cls(location, client, wallet, names=names, capacity=capacity, miss_seconds=miss)

    # Reading.

    async def get(self, key: str) -> bytes | None:
        if self._names and key.startswith(NAME):
            check_key(key)
            with self._in_flight:
                return await self._named(key)
        return await super().get(key)

    async def _candidates(self, id: str, *, binary: bool) -> Sequence[Content]:
        reply = await self._read(f"data/{id}" if binary else id)
        return [] if reply is None else readings(reply)

    async def _listed_parts(self, id: str) -> Sequence[Link] | None:
        reply = await self._read(f"parts/{id}")
        found = [] if reply is None else [v for v in readings(reply) if isinstance(v, bytes)]
        if not found:
            return None
        try:
            return read_listing(found[-1])
        except BadRequest as error:
            raise CorruptData(f"store {self.place}: {error}") from error

    async def _named(self, key: str) -> bytes | None:
        """The record of a name, whatever the other node says that it stands for."""
        name = unescape(key.removeprefix(NAME))
        reply = None if name is None else await self._read(name)
        if reply is None or name is None:
            return None
        id = message_id(readings(reply)[-1])
        return encode(key, {"id": Link(id), "name": name.encode("utf-8", "surrogatepass")})

    async def _read(self, path: str) -> Reply | None:
        asked = _READ.format(quote(path, safe="", errors="surrogatepass"))
        reply = await self._ask(Message(path=asked))
        if reply.status == 404:
            return None
        if reply.status >= 400:
            raise self._refused(reply)
        return reply

    # Writing.

    async def put(self, items: Mapping[str, bytes]) -> None:
        """Send messages, binaries and names, in their order; a run of them is one request."""
        self._refuse(items)
        with self._in_flight:
            shipment = await shipment_of(items, self)
            for load in shipment.loads():
                await self._write(load)
            for name, id in shipment.names if self._names else ():
                await self._post(Message(path=_LINK, source=id, destination=name))
            await self._remember(shipment)

    async def _write(self, load: Mapping[str, Shipped]) -> None:
        large = {path: value for path, value in load.items() if isinstance(value, Large)}
        small = {path: value for path, value in load.items() if not isinstance(value, Large)}
        if small:
            await self._write_batch(small)
        for path, value in large.items():
            kind, id = value.kind.encode(), value.id.encode()
            fields = {"path": _WRITE.encode(), "type": kind, "id": id, "body": value.body}
            named = {"key": value.key.encode()} if value.key else {}
            reply = await self._post(Message.of({**fields, **named}))
            self._check_kept(path, reply.message)

    def _check_kept(self, path: str, answer: Value) -> None:
        kept = answer.get("path") if isinstance(answer, Message) else None
        if kept != path.encode():
            raise StoreError(
                f"store {self.place}: it should have kept {path}, and answered {kept!r:.100} "
                "instead."
            )

    async def _write_batch(self, load: Mapping[str, Content]) -> None:
        body = Message.of({str(number): value for number, value in enumerate(load.values(), 1)})
        message = Message.of({"path": _WRITE.encode(), "type": b"batch", "body": body})
        reply = await self._post(message)
        for number, path in enumerate(load, 1):
            self._check_kept(path, reply.message.get(str(number)))

    async def _remember(self, shipment: Shipment) -> None:
        """What was written is there, also where it was just missed."""
        for id in shipment.ids:
            self._missing.discard(id)
            self._missing.discard(f"data/{id}")
            self._missing.discard(f"parts/{id}")

    async def _post(self, message: Message) -> Reply:
        if self._wallet is None:
            raise StoreError(f"store {self.place}: it takes no writes without a key.")
        try:
            signed = await commit_signed(message, self._wallet, limiter=self._signing, bundle=True)
        except (BadRequest, TooLarge) as error:
            raise StoreError(f"store {self.place}: this can't be sent: {error}") from error
        reply = await self._ask(signed.set_values({"method": b"POST"}))
        if reply.status >= 400:
            raise self._refused(reply)
        return reply

    # Asking.

    async def _ask(self, message: Message) -> Reply:
        outgoing = encode_request(message, _codec_of)
        url = url_of(self._url, message.text("path"))
        try:
            response = await self._client.request(
                outgoing.method,
                url,
                headers=outgoing.headers,
                body=outgoing.body,
                allow_private=True,
            )
        except (RemoteError, DeadlineExceeded, Busy) as error:
            raise StoreError(f"store {self.place}: {error}") from error
        return self._checked(response)

    def _checked(self, response: ClientResponse) -> Reply:
        try:
            return decode_reply(response, _codec_of)
        except RemoteError as error:
            if response.status >= 500:
                raise StoreError(f"store {self.place}: it answers {response.status}.") from error
            raise CorruptData(f"store {self.place}: {error}") from error

    def _refused(self, reply: Reply) -> StoreError:
        body = reply.message.get("body")
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else reply.outcome
        return StoreError(f"store {self.place}: it answers {reply.status}: {text:.300}")

    async def close(self) -> None:
        await super().close()
        self._client.close()


def _codec_of(name: str) -> Codec | None:
    return HTTPSIG if name == HTTPSIG.name else None


def readings(reply: Reply) -> list[Content]:
    """What a reply may have meant: its value, its message with or without `status`, a list."""
    if reply.named is not None:
        value = reply.result
        return [value] if isinstance(value, Message | list | bytes) else []
    message = reply.message
    found: list[Content] = [message]
    if "status" in message:
        committed = any(
            "status" in c.committed and c.committer for c in message.commitments.values()
        )
        bare = (
            message.without("status") if committed else without_but_committed(message, ["status"])
        )
        found.append(bare)
        items = numbered(bare)
        if items is not None:
            found.append(items)
    return found
