"""Asking other nodes: a message as an HTTP request, the reply as a message (spec/01 §11.3).

    reply = await ask(node, "https://peer.example", Message(path="/~meta@1.0/info/address"))
    reply.result

What a reply's signers committed is checked before anybody sees it (spec/07 §6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from hyperbeam_trio.cache.streaming import sendable
from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.commitments import (
    failing_commitments,
    only_committed,
    shared_keys,
    without_but_committed,
    without_false_inside,
)
from hyperbeam_trio.errors import BadRequest, HyperbeamError, NotFound, RemoteError, TooLarge
from hyperbeam_trio.http.call import SentBody
from hyperbeam_trio.http.client import ClientResponse
from hyperbeam_trio.http.exchange import Header
from hyperbeam_trio.message import Message, Value, as_text, is_private

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

CodecOf = Callable[[str], Codec | None]
"""The codec of a device by its name; `None` where there is none."""

RAW: Final = "raw"
"""The `codec-device` of requests that are headers and a body, and no message."""

_TARGET: Final = ("path", "method", "codec-device")
_NOT_OF_THE_MESSAGE: Final = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "server"}
    | {"set-cookie", "cache-status", "trailer", "upgrade", "via", "age", "alt-svc"}
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it is sent, but for where; the last of `pieces` may be an `Elsewhere`."""

    method: str
    headers: list[Header]
    pieces: Sequence[bytes]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: HTTP status, the message with its verified commitments, and who was asked.

    `named` is the key that `ao-result` named, if the reply is a single value.
    """

    status: int
    message: Message
    url: str
    named: str | None = None

    @property
    def outcome(self) -> str:
        """`created`, `ok`, `error` or `failure` (spec/01 §11.3)."""
        if self.status < 400:
            return "created" if self.status == 201 else "ok"
        return "error" if self.status < 500 else "failure"

    @property
    def result(self) -> Value:
        """The single value that the reply is, or its message."""
        return self.message if self.named is None else self.message.get(self.named, b"")

    def accepted(self) -> Value:
        """The result of a reply of status below 400; raises the error that the reply tells."""
        if self.status < 400:
            return self.result
        body = as_text(self.message.get("body"))
        text = f"{self.url} answered {self.status}: {body or self.outcome:.500}"
        if self.status == 404:
            raise NotFound(text)
        raise RemoteError(text, details={"remote-status": self.status})


async def ask(
    node: Node,
    peer: str,
    message: Message,
    *,
    deadline: float | None = None,
    allow_private: bool = False,
) -> Reply:
    """Send `message` to the node at the URL `peer`, to its `path` by its `method` (GET).

    A path that is a URL needs no peer. See `send` for the rest.
    """
    url = url_of(peer, message.text("path", "/"))
    return await send(node, url, message, deadline=deadline, allow_private=allow_private)


async def send(
    node: Node,
    url: str,
    message: Message,
    *,
    deadline: float | None = None,
    allow_private: bool = False,
) -> Reply:
    """Send `message` to `url`, whatever its own path is.

    Links are loaded and sent along; a large binary that is the body, or the data of a signed item,
    goes part by part, in constant memory. Commitments go with the message, private keys never.
    Raises as `HttpClient.request` does, and what reading a large body may raise; a reply of any
    status is returned, one with a commitment that does not hold is a `RemoteError`.
    """
    outgoing, body = await _outgoing(node, message)
    response = await node.http_client.request(
        outgoing.method,
        url,
        headers=outgoing.headers,
        body=body,
        deadline=deadline,
        allow_private=allow_private,
    )
    reply = decode_reply(response, codecs_of(node))
    return reply if node.config.http_only_result else replace(reply, named=None)


async def _outgoing(node: Node, message: Message) -> tuple[Outgoing, bytes | SentBody]:
    """The message as it is sent, and its body."""
    found = await sendable(message, node.cache)
    if found is not None:
        outgoing = await _encoded(node, found.message)
        if outgoing.pieces[-1] is found.stand_in:
            return outgoing, found.body(node.cache, b"".join(outgoing.pieces[:-1]))
    outgoing = await _encoded(node, message)
    return outgoing, outgoing.body


async def _encoded(node: Node, message: Message) -> Outgoing:
    loaded = await node.cache.load_all(message)
    if not isinstance(loaded, Message):
        raise BadRequest("Only a message can be sent to another node.")
    return encode_request(loaded, codecs_of(node), port=own_port(node))


def codecs_of(node: Node) -> CodecOf:
    """The codecs of a node's devices."""

    def find(name: str) -> Codec | None:
        try:
            return node.devices.get(name).codec
        except NotFound:
            return None

    return find


def own_port(node: Node) -> int | None:
    """The port that peers are told; `None` while the node is not served."""
    if node.config.port_external is not None:
        return node.config.port_external
    return int(node.urls[0].rstrip("/").rpartition(":")[2]) if node.urls else None


def url_of(peer: str, path: str) -> str:
    """The URL of a path at a peer; a path that is a URL stands for itself."""
    if path.startswith(("http://", "https://")):
        return path
    return f"{peer.rstrip('/')}/{path.lstrip('/')}"


# Requests.


def encode_request(message: Message, codec_of: CodecOf, *, port: int | None = None) -> Outgoing:
    """A loaded message as a request, in the codec that it names in `codec-device`.

    By default that is httpsig with everything inside, or the codec that all its signatures are
    of. `raw` sends keys as headers and `body` as it is. Raises `BadRequest`.
    """
    method = message.text("method", "GET").upper()
    name = message.text("codec-device", None) or _codec_of_signatures(message)
    public = _without_uncommitted(message.reset(), _TARGET)
    public = public.without(*[key for key in public if is_private(key)])
    if name == RAW:
        return Outgoing(method, _raw_headers(public), [public.binary("body", b"")])
    headers = _negotiation(message, port)
    if name == HTTPSIG.name:
        extra = {n.decode(): v for n, v in headers if n.decode() not in public}
        encoded = HTTPSIG.encode(public.set_values(dict(extra)), bundle=True)
        return Outgoing(method, _as_headers(encoded.headers), [encoded.body or b""])
    codec = codec_of(name)
    if codec is None:
        raise BadRequest(f"codec-device is {name!r}, which is no codec of this node.")
    pieces = codec.to_pieces(only_committed(public), bundle=True)
    return Outgoing(method, [*headers, *_as_headers(codec.headers())], pieces)


def _codec_of_signatures(message: Message) -> str:
    devices = {c.device for c in message.commitments.values() if c.committer is not None}
    return devices.pop() if len(devices) == 1 else HTTPSIG.name


def _without_uncommitted(message: Message, keys: Iterable[str]) -> Message:
    """The message without those of `keys` that no commitment covers."""
    covered = {key for c in message.commitments.values() for key in c.committed}
    return without_but_committed(message, [key for key in keys if key not in covered])


def _negotiation(message: Message, port: int | None) -> list[Header]:
    """What a node says beside the message. Text, since types would change what is signed."""
    headers = [(b"accept-bundle", (as_text(message.get("accept-bundle")) or "true").encode())]
    if port is not None:
        headers.append((b"ao-peer-port", str(port).encode()))
    return headers


def _as_headers(headers: Iterable[tuple[str, bytes]]) -> list[Header]:
    return [(name.encode(), value) for name, value in headers]


def _raw_headers(message: Message) -> list[Header]:
    texts = ((key, as_text(value)) for key, value in message.items() if key != "body")
    return [(key.encode(), text.encode()) for key, text in texts if text is not None]


# Replies.


def decode_reply(response: ClientResponse, codec_of: CodecOf) -> Reply:
    """The message of a response, in the codec that its `codec-device` names, else httpsig.

    A message with commitments keeps only the keys that they cover. `status` is added unless it is
    among them. Raises `RemoteError` for what can't be read, or whose commitments do not hold.
    """
    try:
        message = _decoded(response, codec_of)
    except (BadRequest, TooLarge) as error:
        raise RemoteError(f"The answer of {_place(response.url)} can't be read: {error}") from error
    for commitment in failing_commitments(message):
        raise RemoteError(
            f"The answer of {_place(response.url)} has a commitment that does not hold: "
            f"{commitment.id}.",
            details={"commitment": commitment.id},
        )
    message = without_false_inside(only_committed(message))
    named = response.header(b"ao-result")
    if "status" not in shared_keys(list(message.commitments.values())):
        kept = message.commitments.values()
        message = message.set_values({"status": response.status}).with_commitments(kept)
    text = None if named is None else named.decode("latin-1")
    return Reply(response.status, message, response.url, text)


def _decoded(response: ClientResponse, codec_of: CodecOf) -> Message:
    name = (response.header(b"codec-device") or b"").decode("latin-1")
    codec = codec_of(name) if name else None
    if codec is not None and codec is not HTTPSIG:
        try:
            return codec.from_bytes(response.body)
        except HyperbeamError:
            if name != "ans104@1.0":
                raise
    headers = [(name.decode("latin-1"), value) for name, value in response.headers]
    # An empty body has no digest of its own; only what is signed tells it from none.
    signed = response.header(b"signature-input") or b""
    has_body = response.body or b'"content-digest"' in signed
    message = HTTPSIG.decode(headers, response.body if has_body else None)
    return message if message.commitments else message.without(*filter(_is_transport, message))


def _is_transport(name: str) -> bool:
    return name in _NOT_OF_THE_MESSAGE or name.startswith("access-control-")


def _place(url: str) -> str:
    return url.partition("?")[0][:200]
