"""Where a URL leads: scheme, host and port, and the request target (RFC 9110 §4.2, RFC 9112 §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from hyperbeam_trio.errors import BadRequest

_PORTS: Final = {"http": 80, "https": 443}
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F))).replace("#", "")
_find_control = re.compile(r"[\x00-\x20\x7f]").search
_is_name = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_.])?", re.ASCII).fullmatch
_is_v6 = re.compile(r"[0-9a-f:.]+").fullmatch


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: `http` or `https`, a host name or address in lower case, a port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of the `host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_url(url: str) -> tuple[Origin, bytes]:
    """The server and the request target (path and query) of an absolute URL.

    Raises `BadRequest` for other schemes, logins, control characters and malformed hosts. What is
    no visible ASCII is percent-encoded; a fragment is dropped.
    """
    if _find_control(url):
        raise BadRequest(f"The URL {url[:200]!r} has spaces or control characters in it.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadRequest(f"The URL {url[:200]!r} can't be read: {error}.") from None
    if parts.scheme not in _PORTS:
        raise BadRequest(f"The URL {url[:200]!r} should begin with http:// or https://.")
    if "@" in parts.netloc:
        raise BadRequest(f"The URL of {parts.hostname} has a login in it, which is not sent.")
    port = _PORTS[parts.scheme] if port is None else port
    return Origin(parts.scheme, _host(parts), port), _target(parts)


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        if _is_v6(host):
            return host
    else:
        name = _ascii(host)
        if _is_name(name) and len(name) <= 253:
            return name
    raise BadRequest(f"The URL names no host that could be one: {parts.netloc[:200]!r}.")


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _target(parts: SplitResult) -> bytes:
    path = quote(parts.path or "/", safe=_VISIBLE)
    if not parts.query:
        return path.encode()
    return f"{path}?{quote(parts.query, safe=_VISIBLE)}".encode()
