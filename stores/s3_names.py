"""Keys as object names that every S3 service lists in the keys' byte order.

Services differ in how they order `/`, and some keep objects as files in directories, where `a` and
`a/b` can't both be; so `/` is escaped with the rest, in two characters whose order is that of the
bytes. What is left are letters, digits, `-` and the marks `! . = _ | ~`. A name is cut after every
200 characters, since some services limit the parts of a name; `~~/` stands at the cut, which no
escape can give and which sorts behind the uncut name.
"""

from __future__ import annotations

import re

_DIGITS = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_GROUPS = (("!", 0x00, 0x2D), (".", 0x2E, 0x30), ("=", 0x3A, 0x41), ("_", 0x5B, 0x61))
_HIGH_GROUPS = (("|", 0x7B, 0xBB), ("~", 0xBB, 0xFB))
_TABLE = {
    byte: mark + _DIGITS[byte - first]
    for mark, first, end in (*_GROUPS, *_HIGH_GROUPS)
    for byte in range(first, end)
}
_BYTES = {code: chr(byte) for byte, code in _TABLE.items()}
_CODE = re.compile(r"[!.=_|~].")

PART = 200
CUT = "~~/"
BEHIND = "~~~~"
"""Sorts behind every continuation of a name."""


def object_name(key: str) -> str:
    """The name of a key, or the start of the names of keys that start with it."""
    name = key.encode().decode("latin-1").translate(_TABLE)
    if len(name) <= PART:
        return name
    return CUT.join(name[start : start + PART] for start in range(0, len(name), PART))


def key_of(name: str) -> str:
    """The inverse of `object_name`; `ValueError` or `KeyError` for what it never gives."""
    escaped = name.replace(CUT, "")
    return _CODE.sub(lambda code: _BYTES[code[0]], escaped).encode("latin-1").decode()


def just_before(name: str) -> str:
    """A text that sorts before `name` and behind every other name that does."""
    return name[:-1] + chr(ord(name[-1]) - 1) + BEHIND if name else ""
