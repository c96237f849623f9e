"""Generated messages: every kind of value, nested, with any text as keys."""

from __future__ import annotations

from hypothesis import strategies as st

from hyperbeam_trio.message import Atom, Message, Value, is_private

_NOT_STORED = {"commitments", "unsigned_id", "content-digest", "ao-types", "ao-body-key"}
_NOT_STORED |= {"signature", "signature-input"}

keys = st.text(min_size=1, max_size=12).filter(
    lambda key: (
        not is_private(key)
        and key not in _NOT_STORED
        and not key.endswith("+link")
        and key.isprintable()
        and not set(key) & set('/"\\')
    )
)
"""Keys that the wire can name, so that messages of them have ids."""
scalars: st.SearchStrategy[Value] = st.one_of(
    st.binary(max_size=40),
    st.integers(4000, 5000).map(lambda size: b"%d" % size * 1100),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([True, False, None, Atom("ok"), Atom("not_found"), Atom("a-b_c")]),
)


def _nested(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4).map(Message.of)


values = st.recursive(scalars, _nested, max_leaves=12)
messages = st.dictionaries(keys, values, max_size=8).map(Message.of)
