"""What comes in: the checks of a request's head that both doors make (RFC 9110, RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.response import refusal

_is_absolute = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch


def refuse_head(method: str, headers: Sequence[Header], limits: Limits) -> HttpResponse | None:
    """The answer to a head that breaks a limit, or `None`; framing was checked before."""
    if method == "CONNECT":
        return refusal(405, "This is no proxy.", (b"allow", b"GET, HEAD, POST, PUT, OPTIONS"))
    if len(headers) > limits.header_count:
        return refusal(431, f"The request has more than {limits.header_count} headers.")
    if sum(len(name) + len(value) for name, value in headers) > limits.head_bytes:
        return refusal(431, f"The request's headers are longer than {limits.head_bytes} bytes.")
    for name, value in headers:
        if name == b"content-length":
            return refuse_length(value, limits)
    return None


def refuse_length(value: bytes, limits: Limits) -> HttpResponse | None:
    """The answer to a `content-length` that is no number or beyond the limit, or `None`."""
    if _is_length(value) is None:
        return refusal(400, "The content-length is not a number.")
    if int(value) > limits.body_bytes:
        return refusal(413, f"The body is longer than {limits.body_bytes} bytes.")
    return None


def to_origin_form(target: bytes, headers: Sequence[Header]) -> tuple[bytes, Sequence[Header]]:
    """An absolute target as path and `host`, which then replaces the one sent (RFC 9112 §3.2.2)."""
    if target.startswith(b"/"):
        return target, headers
    absolute = _is_absolute(target)
    if absolute is None:
        return target, headers
    authority, rest = absolute.groups()
    others = [header for header in headers if header[0] != b"host"]
    path = rest if rest.startswith(b"/") else b"/" + rest
    return path, [(b"host", authority), *others]
