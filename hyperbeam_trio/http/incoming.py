"""An HTTP request as the message that it is (spec/01 §11.1, spec/07 §3.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from hyperbeam_trio.codec.ans104 import ANS104
from hyperbeam_trio.commitments import (
    failing_commitments,
    only_committed,
    without_false_inside,
)
from hyperbeam_trio.errors import BadRequest, InvalidCommitment
from hyperbeam_trio.http.exchange import Header, HttpRequest
from hyperbeam_trio.http.negotiation import Negotiator
from hyperbeam_trio.http.peer import client_address, with_peer
from hyperbeam_trio.http.upload import is_long, read_upload
from hyperbeam_trio.message import Message, Value, is_private

if TYPE_CHECKING:
    from hyperbeam_trio.node import Node

NEVER_KEYS = frozenset(
    {
        *(b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"te", b"expect"),
        *(b"trailer", b"upgrade", b"upgrade-insecure-requests", b"proxy-connection", b"priority"),
        *(b"user-agent", b"accept-encoding", b"accept-language", b"accept-charset", b"dnt"),
        *(b"cookie", b"authorization", b"origin", b"referer", b"pragma", b"if-none-match"),
        *(b"if-modified-since", b"save-data", b"http2-settings", b"x-real-ip", b"x-request-id"),
        *(b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
        *(b"access-control-request-headers", b"access-control-request-method"),
    }
)
"""What concerns the connection or the client alone; a key only where a signature covers it."""

_PRIVATE = frozenset({b"cookie", b"authorization", b"access-control-request-headers"})
"""Headers that stay with the request, for the devices and the answer that need them."""


_CODEC_NAMES = (b"codec-device", b"content-type")

_WISHES = {
    name.encode(): name
    for name in ("accept-bundle", "accept", "require-codec", "accept-codec", "host")
}
"""Headers that say what the answer should be like, and the keys that they are."""


async def read_request(request: HttpRequest, node: Node, negotiator: Negotiator) -> Message:
    """The request's message, verified, with `path`, `method` and the codec wishes as keys.

    A signed message keeps only the keys that are signed; a signature that does not hold is
    `InvalidCommitment` (400); on a nested message it is left out. Raises `BadRequest` for what
    can't be decoded, `TooLarge`.

    Private entries: `transport`, what came beside the message; `signed`, exactly what was signed,
    of a signed message; `forged`, if a signature inside did not hold; `bodied`, if there was a
    body, which over HTTP/2 no header tells.
    """
    headers, given = request.headers, dict(request.headers)
    signed = b"signature-input" in given
    dropped = {name.lower().encode() for name in node.config.http_inbound_filter_keys}
    kept = headers if signed else public_headers(headers, dropped)
    name = _codec_name(given, request.target, negotiator)
    if name == ANS104.name and is_long(request):
        body = await read_upload(request, node)
    else:
        body = await request.body.read(node.config.max_body)
    if isinstance(body, Message):
        message = only_committed(_with_headers(body, kept, negotiator))
    else:
        message = _decode(name, kept, body, negotiator)
        if message.commitments:
            verify_request(message)
            message = only_committed(message)
    if signed and not message.commitments:
        message = message.without(*(n.decode("latin-1") for n in NEVER_KEYS | dropped))
    signed_part = without_false_inside(message)
    private = {n.decode(): given[n] for n in _PRIVATE if n in given}
    address = client_address(request, node.config.trusted_proxies)
    if address is not None:
        private["ip"] = address.encode()
    return with_peer(with_metadata(signed_part, request), request, address).with_private(
        transport=private,
        signed=signed_part if signed_part.signers else None,
        forged=True if signed_part is not message else None,
        bodied=True if body else None,
    )


def public_headers(
    headers: Iterable[Header], dropped: Collection[bytes] = frozenset()
) -> list[Header]:
    """The headers that are keys of an unsigned request; `dropped` are names that are not."""
    return [
        header
        for header in headers
        if header[0] not in NEVER_KEYS
        and not header[0].startswith(b"sec-")
        and header[0] not in dropped
    ]


def _codec_name(headers: Mapping[bytes, bytes], target: bytes, negotiator: Negotiator) -> str:
    """The codec device that the body is in; a query key wins over a header."""
    found = {name: headers[name] for name in _CODEC_NAMES if name in headers}
    _, _, query = target.partition(b"?")
    for part in query.split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        if name in _CODEC_NAMES:
            found[name] = unquote_to_bytes(value)
    text = found.get(b"codec-device", found.get(b"content-type", b""))
    return negotiator.name_of(text.decode("latin-1"))


def _decode(name: str, headers: Iterable[Header], body: bytes, negotiator: Negotiator) -> Message:
    if name == negotiator.default:
        return negotiator.codec(name).decode(_joined(headers), body)
    return _with_headers(negotiator.codec(name).from_bytes(body), headers, negotiator)


def _with_headers(message: Message, headers: Iterable[Header], negotiator: Negotiator) -> Message:
    """The message of a body, with the headers beside it if nobody has committed to it."""
    if message.commitments:
        return message
    outer = negotiator.codec(negotiator.default).decode(_joined(headers), b"")
    beside = {k: v for k, v in outer.items() if k not in ("content-type", "codec-device")}
    return Message.of({**beside, **message})


def _joined(headers: Iterable[Header]) -> list[tuple[str, bytes]]:
    """Headers with text names, equal names joined by `, ` in their order."""
    found: dict[str, bytes] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        found[name] = found[name] + b", " + value if name in found else value
    return [(name, value) for name, value in found.items() if not is_private(name)]


def verify_request(message: Message) -> None:
    """`InvalidCommitment` that names the first commitment of a message that does not hold."""
    for commitment in failing_commitments(message):
        raise InvalidCommitment(
            f"Commitment {commitment.id} ({commitment.device}/{commitment.type}) does not hold "
            "for the request: its signature and what it signs differ.",
            details={"commitment": commitment.id},
        )


def with_metadata(message: Message, request: HttpRequest) -> Message:
    """The message with what the transport says; a signed message's own keys win."""
    try:
        target = request.target.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest(f"The request target {request.target!r} is not ASCII.") from None
    values: dict[str, Value] = {"method": request.method.encode(), "path": target.encode()}
    values.update(_wishes(message, request))
    if not message.signers:
        if "path" in message:
            del values["path"]
        if message.get("body") == b"":
            message = message.without("body")
    elif message.get("type") != b"Process":
        values = {key: value for key, value in values.items() if key not in message}
    return _beside(message, values)


def _beside(message: Message, values: dict[str, Value]) -> Message:
    """The message with `values`; what is only added changes nothing of what was signed."""
    if any(key in message for key in values):
        return message.set_values(values)
    return message.beside(values)


def _wishes(message: Message, request: HttpRequest) -> dict[str, Value]:
    """What the answer should be like: the message's own keys, else the headers beside it."""
    wishes: dict[str, Value] = {"accept-bundle": False, "accept": b"*/*"}
    # Of equal headers the first one counts.
    headers = dict(reversed(request.headers))
    for name, wish in _WISHES.items():
        own = message.get(wish)
        if own is not None:
            wishes[wish] = own
        elif name in headers:
            wishes[wish] = headers[name]
    return wishes
