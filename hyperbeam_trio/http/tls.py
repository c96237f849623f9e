"""TLS on the same port as plain HTTP: told apart by the first byte (spec/07 §3.1)."""

from __future__ import annotations

import ssl

import trio

from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.stream import DoorStream

HANDSHAKE = b"\x16"
"""The first byte of every TLS connection, and of no HTTP request."""


def open_tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS settings from PEM files, for HTTP/2 and HTTP/1.1, TLS 1.2 and later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"TLS needs a PEM certificate and its key; {certificate!r} with {key!r}: {error}."
        ) from error
    return context


async def agree_tls(
    stream: DoorStream, context: ssl.SSLContext, limits: Limits
) -> trio.SSLStream[DoorStream] | None:
    """TLS over `stream`, agreed on; `None` when the client failed to or took too long."""
    secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    try:
        with trio.move_on_after(limits.handshake_seconds):
            await secure.do_handshake()
            return secure
    except (trio.BrokenResourceError, ssl.SSLError):
        pass
    return None
