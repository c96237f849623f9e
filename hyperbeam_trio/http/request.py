"""What comes in: the checks of a request's head that both doors make (RFC 9110, RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hyperbeam_trio.http.exchange import Header, HttpResponse
from hyperbeam_trio.http.limits import Limits
from hyperbeam_trio.http.response import refusal

_match_absolute = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_find_control = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_is_host = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*").fullmatch

_VERSIONS = frozenset({"1.0", "1.1", "2"})


def refuse_head(
    method: str, target: bytes, version: str, headers: Sequence[Header], limits: Limits
) -> HttpResponse | None:
    """The answer to a head that hypercorn lets pass and we don't, or `None`."""
    if len(headers) > limits.header_count:
        return refusal(431, f"The request has more than {limits.header_count} headers.")
    if sum(len(name) + len(value) for name, value in headers) > limits.head_bytes:
        return refusal(431, f"The request's headers are longer than {limits.head_bytes} bytes.")
    if version not in _VERSIONS:
        return refusal(505, "The HTTP version is none that the node knows.")
    if any(_find_control(value) for _, value in headers):
        return refusal(400, "A header's value has a control character.")
    return refuse_target(method, target) or _refuse_fields(dict(headers), limits)


def _refuse_fields(fields: dict[bytes, bytes], limits: Limits) -> HttpResponse | None:
    length, expected = fields.get(b"content-length"), fields.get(b"expect")
    if length is not None and b"transfer-encoding" in fields:
        return refusal(400, "The request has a transfer-encoding where it must not.")
    if expected is not None and expected.lower() != b"100-continue":
        return refusal(417, "The only expectation that the node meets is 100-continue.")
    refused = refuse_host(fields.get(b"host", b""))
    return refused or (None if length is None else refuse_length(length, limits))


def refuse_target(method: str, target: bytes) -> HttpResponse | None:
    """The answer to a target that is no path, or `None` (RFC 9112 §3.2)."""
    if target.startswith(b"/") and b"#" not in target and method != "CONNECT":
        return None
    if method == "CONNECT":
        return refusal(405, "This is no proxy.", (b"allow", b"GET, HEAD, POST, PUT, OPTIONS"))
    if b"#" in target:
        return refusal(400, "The request's target has a fragment.")
    if target == b"*" and method == "OPTIONS":
        return None
    absolute = _match_absolute(target)
    if absolute is None or not absolute[1] or _is_host(absolute[1]) is None:
        return refusal(400, "The request's target is neither a path nor an http URL.")
    return None


def refuse_host(value: bytes) -> HttpResponse | None:
    """The answer to a `host` that can't be one, or `None` (RFC 9112 §3.2)."""
    if _is_host(value) is None:
        return refusal(400, "The host header is malformed.")
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
    absolute = None if target.startswith(b"/") else _match_absolute(target)
    if absolute is None:
        return target, headers
    authority, rest = absolute.groups()
    others = [header for header in headers if header[0] != b"host"]
    path = rest if rest.startswith(b"/") else b"/" + rest
    return path, [(b"host", authority), *others]
