"""Where things lie in a store: content, records and names (spec/04 §6.4 "Ours").

    data/<id>                content: a binary under its base64url SHA-256, nothing around it
    packed/<id>              a page of a binary, deflated, maybe as what differs from another page
    parts/<id>               the parts or pages, in their order, of a binary that consists of them
    message/<id>             a message or list under its unsigned id, never changed
    commitments/<id>/<cid>   a commitment of that message
    alias/<cid>              what a commitment id, or the combined id of several, stands for
    result/<key>             the result of a computation, under its hashpath
    name/<text>              an id under a name that somebody chose

All but `data/` are records (see `record`). Content comes before what points at it, in every batch
and in the order in which stores are copied: `NAMESPACES` lists it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from hyperbeam_trio.crypto.encoding import hash_id

DATA: Final = "data/"
PACKED: Final = "packed/"
PARTS: Final = "parts/"
MESSAGE: Final = "message/"
COMMITMENTS: Final = "commitments/"
ALIAS: Final = "alias/"
RESULT: Final = "result/"
NAME: Final = "name/"

NAMESPACES: Final = (DATA, PACKED, PARTS, MESSAGE, COMMITMENTS, ALIAS, RESULT, NAME)

LONGEST_PLAIN: Final = 300
"""Bytes of an escaped text that is its own store key; longer ones end in a hash."""
_KEPT = 200
_HASH_MARK = "%~"
_SAFE = "/-_.~@+=&:,;!*'()$"
_PLAIN = re.compile(r"[\w\-~@+=&:,;!*'()$]+(?:/[\w\-~@+=&:,;!*'()$]+)*", re.ASCII)
_ODD_PART = re.compile(r"(?:(?<=/)|^)(\.{0,2})(?=/|$)")
_ODD_PARTS = {"": "%", ".": "%2E", "..": "%2E%2E"}


def escape(text: str) -> str:
    """`text` as the rest of a store key: any text, any length, no two alike.

    Letters, digits and most marks stay; others are percent-escaped; parts that a store refuses
    (empty, `.`, `..`) too. Texts that get too long keep their beginning and end in a hash.
    """
    return _kept_escape(text) if len(text) <= LONGEST_PLAIN else _escape(text)


def _escape(text: str) -> str:
    if len(text) <= LONGEST_PLAIN and _PLAIN.fullmatch(text):
        return text
    quoted = quote(text, safe=_SAFE, errors="surrogatepass")
    escaped = _ODD_PART.sub(lambda part: _ODD_PARTS[part[1]], quoted)
    if len(escaped) <= LONGEST_PLAIN:
        return escaped
    digest = hash_id(text.encode("utf-8", "surrogatepass"))
    return escaped[:_KEPT] + _HASH_MARK + digest


_kept_escape = lru_cache(maxsize=1024)(_escape)
"""While a message is written, its ids become part of one key after the other."""


def unescape(escaped: str) -> str | None:
    """The text of an escaped key; `None` when only its hash is there."""
    if _HASH_MARK in escaped:
        return None
    parts = ["" if part == "%" else part for part in escaped.split("/")]
    return unquote("/".join(parts), errors="surrogatepass")


def common_prefix(prefix: str) -> str:
    """What the escaped forms of all texts that start with `prefix` start with."""
    quoted = quote(prefix, safe=_SAFE, errors="surrogatepass")[:_KEPT]
    # The last part may look different once the text goes on behind it.
    whole = quoted.rpartition("/")[0]
    escaped = _ODD_PART.sub(lambda part: _ODD_PARTS[part[1]], whole)
    return f"{escaped}/"[:_KEPT] if whole else ""
