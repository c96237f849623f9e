"""Hypothesis strategies for messages and what they hold."""

from __future__ import annotations

import string
from typing import Final

from hypothesis import strategies as st

from hyperbeam_trio.message import Atom, Message, Value

RESERVED: Final = frozenset(
    {
        *("ao-data-key", "ao-type", "bundle-format", "bundle-map", "bundle-version"),
        *("ao-body-key", "ao-ids", "ao-types", "body-keys", "commitments", "content-digest"),
        *("content-disposition", "content-length", "inline-body-key", "signature"),
        *("signature-input", "unsigned_id"),
    }
)
"""Keys that an encoding uses itself, so that a message can't have them as its own everywhere."""

_USUAL: Final = ("body", "data", "path", "method", "device", "content-type", "target", "query")
_ODD: Final = (
    "Mixed-Case",
    "a b",
    "k%41",
    "é",
    "x" * 32,
    "0x" + "Ab" * 20,
    "Q" * 43,
    "1",
    "a=b",
    "@at",
)

KEYS: Final[st.SearchStrategy[str]] = st.one_of(
    st.text(string.ascii_lowercase + string.digits + "-_.", min_size=1, max_size=12),
    st.sampled_from(_USUAL),
).filter(lambda key: key not in RESERVED and not key.startswith("priv"))

ODD_KEYS: Final[st.SearchStrategy[str]] = st.one_of(KEYS, st.sampled_from(_ODD))

TEXTS: Final[st.SearchStrategy[bytes]] = st.one_of(
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [b"", b" padded ", b"a\nb", b"a\r\nb: c\r\n\r\nd", b"\0", b'q"\\', b"x" * 5000]
    ),
)
BINARIES: Final[st.SearchStrategy[bytes]] = st.one_of(TEXTS, st.binary(max_size=30))

SCALARS: Final[st.SearchStrategy[Value]] = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.sampled_from([Atom("ok"), Atom("not_found"), Atom("unset")]),
)


def messages(
    binaries: st.SearchStrategy[bytes] = BINARIES,
    keys: st.SearchStrategy[str] = ODD_KEYS,
    *,
    nested: bool = True,
) -> st.SearchStrategy[Message]:
    """Messages with keys from `keys` and binaries from `binaries`.

    Their other values are typed scalars and, with `nested`, messages and lists, some levels deep.
    """
    flat: st.SearchStrategy[Value] = st.one_of(binaries, SCALARS)
    if not nested:
        return st.dictionaries(keys, flat, max_size=8).map(Message.of)
    values = st.recursive(flat, lambda inner: _nested(inner, binaries), max_leaves=8)
    return st.dictionaries(keys, values, max_size=6).map(Message.of)


def _nested(
    inner: st.SearchStrategy[Value], binaries: st.SearchStrategy[bytes]
) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4).map(Message.of)
    )
