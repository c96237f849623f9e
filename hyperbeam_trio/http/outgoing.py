"""A result, or an error, as an HTTP response (spec/01 §11.2, spec/07 §3.3, §3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hyperbeam_trio.cache.streaming import sendable
from hyperbeam_trio.codec.ids import link_id
from hyperbeam_trio.commitments import without_but_committed
from hyperbeam_trio.crypto.signers import make_way
from hyperbeam_trio.errors import STATUS_NAMES, HyperbeamError, KeyNotFound
from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.negotiation import Negotiator
from hyperbeam_trio.message import (
    Atom,
    Message,
    Value,
    as_text,
    enumerated,
)

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

CORS: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-expose-headers", b"*"),
)

PREFLIGHT = HttpResponse(
    204,
    [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-headers", b"*"),
        (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS, PATCH"),
    ],
)
"""The answer to every OPTIONS request."""

_RESULT = "ao-result"


def forced(result: Value) -> Message:
    """A result as a message: literals under `body`, lists numbered (spec/03 §3 force_message)."""
    if isinstance(result, Message):
        return result
    if isinstance(result, list):
        return enumerated(result)
    return Message.of({_RESULT: b"body", "body": result})


def error_message(error: HyperbeamError, limit: int) -> Message:
    """An error as a message: `status`, `body` with its text, and `limit` bytes of its details."""
    if isinstance(error, KeyNotFound) and error.text == "not_found":
        return Message.of({_RESULT: b"body", "body": Atom("not_found"), "status": error.status})
    details = _cut(error.details, limit)
    return Message({**details, "status": error.status, "body": error.text})


def _cut(details: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Details of which the texts have at most `limit` characters together, the first ones."""
    left, kept = limit, dict(details)
    for name, value in details.items():
        if isinstance(value, str | bytes):
            kept[name] = value[:left]
            left -= len(value[:left])
    return kept


def with_status(answer: Message, default: int) -> tuple[Message, int]:
    """The answer with its status as a key, and that status (spec/07 §3.3).

    A `status` that the answer brings wins: a number, numeric text or a status name; one that its
    signer committed is left as it is. Then a body that is a status name; then `default`.
    """
    own = answer.get("status")
    status = status_number(own)
    if status is None:
        body = answer.get("body")
        status = status_number(body) if isinstance(body, Atom) and default == 200 else None
    status = status or default
    committed = any("status" in c.committed for c in answer.commitments.values())
    if committed and own is not None:
        return answer, status
    if answer.signers:
        # A key beside what others signed would change the types that they signed.
        return without_but_committed(answer, ["status"]), status
    return answer.set_values({"status": status}), status


def status_number(value: Value) -> int | None:
    """The HTTP status that a value stands for, or `None`."""
    if isinstance(value, bool):
        return None
    text = str(value) if isinstance(value, int) else as_text(value)
    if text is None:
        return None
    if text.isdigit() and 100 <= int(text) <= 599:
        return int(text)
    return STATUS_NAMES.get(text)


class Renderer:
    """Turns answers into responses for one node."""

    def __init__(self, node: Node, negotiator: Negotiator) -> None:
        self._node = node
        self._negotiator = negotiator

    async def render(self, request: Message, answer: Message, status: int) -> HttpResponse:
        """The response for an answer: negotiated, signed if the node signs, encoded, with CORS.

        Raises `NotAcceptable` when the request requires a codec that can't carry the answer.
        """
        name = self._negotiator.reply_codec(request, answer)
        bundle = request.bool("accept-bundle", False)
        found = await sendable(answer, self._node.cache)
        if found is not None:
            headers, pieces = await self._encoded(name, found.message, bundle)
            if pieces[-1] is found.stand_in:
                stream = found.body(self._node.cache, b"".join(pieces[:-1])).pieces()
                return HttpResponse(status, [*_cors(request, headers), *headers], stream)
        headers, pieces = await self._encoded(name, answer, bundle)
        return HttpResponse(status, [*_cors(request, headers), *headers], b"".join(pieces))

    async def _encoded(
        self, name: str, answer: Message, bundle: bool
    ) -> tuple[list[Header], Sequence[bytes]]:
        answer = await (self._loaded(answer) if bundle else self._linked(answer))
        answer = await self._signed(answer)
        if name != self._negotiator.default:
            return self._with_body(name, answer, bundle)
        encoded = self._negotiator.codec(name).encode(answer, bundle=bundle)
        headers = [(key.encode(), value) for key, value in encoded.headers]
        return headers, [encoded.body or b""]

    async def _loaded(self, answer: Message) -> Message:
        loaded = await self._node.cache.load_all(answer)
        return loaded if isinstance(loaded, Message) else answer

    async def _linked(self, answer: Message) -> Message:
        """Large binaries loaded; nested messages stored, so that their links can be followed."""
        cache = self._node.cache
        nested = [
            value
            for value in answer.values()
            if isinstance(value, list)
            or (isinstance(value, Message) and not cache.wrote(link_id(value)))
        ]
        if nested:
            await cache.write_many(nested)
        return await cache.load_binaries(answer)

    async def _signed(self, answer: Message) -> Message:
        """The answer with the node's signature; nested messages are signed as links, always."""
        if not self._node.config.force_signed or answer.signers:
            return answer
        signed = await self._node.sign(answer)
        await self.make_way()
        return signed

    async def make_way(self) -> None:
        """Between pieces of work for an answer: where all take long, the quick ones go first."""
        if self._node.config.force_signed and self._node.wallet.slow:
            await make_way()

    def _with_body(
        self, name: str, answer: Message, bundle: bool
    ) -> tuple[list[Header], Sequence[bytes]]:
        codec = self._negotiator.codec(name)
        pieces = codec.to_pieces(answer, bundle=bundle)
        headers: list[Header] = []
        for key, value in answer.items():
            text = None if key in ("body", "data", "content-type") else _header_text(value)
            if text is not None:
                headers.append((key.encode(), text))
        headers.append((b"codec-device", name.encode()))
        mime = codec.content_type or f"application/{name.partition('@')[0]}"
        headers.append((b"content-type", mime.encode()))
        return headers, pieces


def _header_text(value: Value) -> bytes | None:
    """A scalar as a header value; `None` for what can't be one."""
    if isinstance(value, float):
        return b"%.20e" % value
    text = as_text(value) if not isinstance(value, bytes) else value.decode("latin-1")
    if text is None or len(text) > 4096 or any(c < " " and c != "\t" for c in text):
        return None
    return text.encode("latin-1", "replace")


def _cors(request: Message, headers: list[Header]) -> list[Header]:
    own = {name for name, _ in headers}
    asked = request.private.get("transport", {}).get("access-control-request-headers")
    echo = [(b"access-control-allow-headers", asked)] if asked else []
    return [header for header in (*CORS, *echo) if header[0] not in own]
