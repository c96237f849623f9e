"""httpsig@1.0: messages as HTTP headers and bodies, signed by RFC 9421 (spec/02 §3, §4, §10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hyperbeam_trio.codec.as_signed import signed_headers
from hyperbeam_trio.codec.base import Codec
from hyperbeam_trio.codec.base import Encoded as Encoded
from hyperbeam_trio.codec.components import with_child_commitments
from hyperbeam_trio.codec.layout import ID_LENGTHS, lay_out
from hyperbeam_trio.codec.multipart import read_body
from hyperbeam_trio.codec.older import with_wire_commitments
from hyperbeam_trio.codec.received import Received
from hyperbeam_trio.codec.signature_fields import write_headers
from hyperbeam_trio.codec.structured import from_tabm, to_tabm
from hyperbeam_trio.codec.structured_fields import parameter, parse_dictionary, unescape_key
from hyperbeam_trio.codec.tabm import REGENERATED, Tabm
from hyperbeam_trio.crypto.signature_base import content_digest
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message, is_private

_SIGNATURES: Final = frozenset({"signature", "signature-input"})
_TRANSPORT: Final = REGENERATED | _SIGNATURES | {"ao-body-key", "inline-body-key", "body-keys"}


def encode(message: Message, *, bundle: bool, safe: bool = True) -> Encoded:
    """Headers and body of a message, with its commitments in the signature headers.

    With `bundle` nested messages are parts of the body, each with its commitments or an unsigned
    one; without, they are linked by their ids. `safe` puts what HTTP can't carry in a header into
    the body, or into percent form; without it the encoding is the reference's, byte for byte.
    Raises `BadRequest` for what can't be written.
    """
    if bundle:
        message = with_child_commitments(message)
    elif (ready := signed_headers(message)) is not None:
        return Encoded(sorted([*ready[0].items(), *write_headers(message)]), ready[1])
    # Its own commitments are headers; those of nested messages go where these go.
    layout = lay_out(to_tabm(message.uncommitted(), bundle=bundle), safe=safe)
    headers = list(layout.headers.items())
    if layout.body:
        headers.append(("content-digest", content_digest(layout.body).encode()))
    headers += write_headers(message)
    headers.sort()
    return Encoded(headers, layout.body)


def decode(headers: Iterable[tuple[str, bytes]], body: bytes | None = None) -> Message:
    """The message that headers and body carry, with its commitments, none of them checked.

    Older forms are read too. A signature of a foreign form over a body that did not come can't
    be checked by anybody, and is dropped. Raises `BadRequest` or `TooLarge`.
    """
    received = _received(headers, body)
    value = from_tabm(received.tabm, empties=True, finish=with_wire_commitments)
    if not isinstance(value, Message):
        raise BadRequest("The headers say that they are a list, and not a message.")
    found = received.commitments(value)
    return value.with_commitments([*value.commitments.values(), *found]) if found else value


def _received(headers: Iterable[tuple[str, bytes]], body: bytes | None) -> Received:
    literal = _joined(headers)
    named = {unescape_key(name): value for name, value in literal.items()}
    inline = _inline(named)
    inside = {k: v for k, v in _body_members(named, body, inline).items() if _is_key(k)}
    tabm: Tabm = {key: value for key, value in named.items() if _is_key(key)}
    if named.get("content-type", b"").startswith(b"multipart/"):
        del tabm["content-type"]
    ids = _ids(tabm.pop("ao-ids", None))
    tabm.update(ids)
    for key, member in inside.items():
        tabm[key] = member
    return Received(literal, named, body, inline, tuple(inside), tuple(ids), tabm)


def _joined(headers: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    """Values by name; those of a name that comes again are joined by commas."""
    first: dict[str, bytes] = {}
    again: dict[str, list[bytes]] = {}
    for name, value in headers:
        if name in first:
            again.setdefault(name, [first[name]]).append(value)
        else:
            first[name] = value
    for name, values in again.items():
        first[name] = b", ".join(values)
    return first


def _is_key(name: str) -> bool:
    return name not in _TRANSPORT and not is_private(name)


def _inline(named: dict[str, bytes]) -> str:
    given = named.get("ao-body-key") or named.get("inline-body-key") or b"body"
    try:
        return unescape_key(given.decode())
    except UnicodeDecodeError:
        raise BadRequest(f"ao-body-key is not UTF-8: {given[:80]!r}") from None


def _body_members(named: dict[str, bytes], body: bytes | None, inline: str) -> Tabm:
    if body is None:
        return {}
    boundary = parameter(named.get("content-type", b"").decode("latin-1"), "boundary")
    if boundary is None or not named["content-type"].startswith(b"multipart/"):
        return {inline: body}
    members = read_body(body, boundary, inline)
    return {unescape_key(key): value for key, value in members.items()}


def _ids(text: bytes | Tabm | None) -> dict[str, bytes]:
    """The keys that June 2025 and May 2025 keep together in `ao-ids`."""
    if not isinstance(text, bytes):
        return {}
    return {
        key: value if isinstance(value, bytes) else str(value).encode()
        for key, (value, _) in parse_dictionary(text, "ao-ids").items()
        if len(key) in ID_LENGTHS and not is_private(key)
    }


class HttpsigCodec(Codec):
    """httpsig@1.0. Its bytes are header lines and, if there is a body, an empty line and that."""

    name = "httpsig@1.0"

    def to_bytes(self, message: Message, *, bundle: bool) -> bytes:
        encoded = encode(message, bundle=bundle)
        head = b"\r\n".join([name.encode() + b": " + value for name, value in encoded.headers])
        return head if encoded.body is None else head + b"\r\n\r\n" + encoded.body

    def from_bytes(self, data: bytes) -> Message:
        head, blank, body = data.partition(b"\r\n\r\n")
        return decode(_header_lines(head), body if blank else None)

    def encode(self, message: Message, *, bundle: bool) -> Encoded:
        return encode(message, bundle=bundle)

    def decode(self, headers: Iterable[tuple[str, bytes]], body: bytes | None = None) -> Message:
        return decode(headers, body)


def _header_lines(head: bytes) -> Iterator[tuple[str, bytes]]:
    for line in head.split(b"\r\n") if head else []:
        name, colon, value = line.partition(b": ")
        if not colon:
            raise BadRequest(f"A header line has no ': ': {line[:80]!r}")
        try:
            yield name.decode(), value
        except UnicodeDecodeError:
            raise BadRequest(f"A header's name is not UTF-8: {name[:80]!r}") from None


HTTPSIG: Final = HttpsigCodec()
