"""JSON as the reference writes it for guests: its length decides addresses (spec/06 §3.2.1)."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_ESCAPE: Final = re.compile(rb"\\(?:u00[01][0-9a-f]|.)")


def write_json(value: Any) -> bytes:
    """JSON without white space, keys in byte order, control characters as `\\u00XX`."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return _ESCAPE.sub(_upper, text) if rb"\u00" in text else text


def _upper(escape: re.Match[bytes]) -> bytes:
    found = escape.group()
    return found[:2] + found[2:].upper() if found.startswith(rb"\u") else found
