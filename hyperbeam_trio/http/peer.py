"""Who asks: as the connection says, or a proxy that is believed (spec/07 §3.2, 6)."""

from __future__ import annotations

from collections.abc import Container
from ipaddress import ip_address
from typing import Final

from hyperbeam_trio.http.exchange import HttpRequest
from hyperbeam_trio.message import Message, as_text

PEER: Final = "ao-peer"
PEER_PORT: Final = "ao-peer-port"

_REAL_IP: Final = b"x-real-ip"
_PORT_HEADER: Final = PEER_PORT.encode()


def client_address(request: HttpRequest, proxies: Container[str]) -> str | None:
    """The IP address of whoever asks; `None` where there is no connection.

    One of `proxies` tells in `x-real-ip` for whom it asks; from anybody else that says nothing.
    """
    if request.peer is None:
        return None
    address = request.peer[0]
    if address not in proxies:
        return address
    told = next((value for name, value in request.headers if name == _REAL_IP), None)
    if told is None:
        return address
    try:
        return str(ip_address(told.decode("latin-1").strip()))
    except ValueError:
        return address


def with_peer(message: Message, request: HttpRequest, address: str | None) -> Message:
    """The message with `ao-peer`, the address and the port at which a node that asks answers.

    What its signers committed of either key stays as it is; nobody else can name a peer.
    """
    port = _port(message, request)
    if port is None and PEER not in message and PEER_PORT not in message:
        return message
    signed = [c for c in message.commitments.values() if c.committer is not None]
    committed = {key for c in signed for key in c.committed}
    message = message.without(*(key for key in (PEER, PEER_PORT) if key not in committed))
    if port is None or address is None or PEER in message:
        return message
    host = f"[{address}]" if ":" in address else address
    return message.beside({PEER: f"{host}:{port}".encode()})


def _port(message: Message, request: HttpRequest) -> int | None:
    text = as_text(message.get(PEER_PORT))
    if text is None:
        # Of equal headers the first one counts.
        text = dict(reversed(request.headers)).get(_PORT_HEADER, b"").decode("latin-1")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return number if 1 <= number <= 65535 else None
