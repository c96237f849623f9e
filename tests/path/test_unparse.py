"""Sequences written as requests and read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.encoding import human_id
from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import UNSET, As, Link, Message, Resolve, Value
from hyperbeam_trio.path import parse_request, unparse
from tests.vectors import notation

ID = "e5ohB7TgMYRoc0BLllkmAqkqLy1SrliEkOPJlNPXBQ8"

names = st.text("abcxyz-_.@0189%é", min_size=1, max_size=12).map(str.encode)
keys = st.text("abcdeXYZ-_0123é", min_size=1, max_size=8).filter(lambda key: key != "path")
ids = st.binary(min_size=32, max_size=32).map(lambda raw: Link(human_id(raw)))
scalars: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.none(),
    st.just(UNSET),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abc d&/?=+~(%\\é", max_size=10).map(str.encode),
    st.binary(max_size=6).filter(lambda raw: b'"' not in raw),
)
sayable: st.SearchStrategy[Any] = st.one_of(
    scalars.filter(lambda value: not isinstance(value, bytes)),
    st.text("abc d=+~é-_.", max_size=10).map(str.encode),
    st.sampled_from([b"v/1", b"c&d", b"a?b", b"x(y"]),
)


def requests(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(
        lambda name, own: Message.of({**own, "path": name}),
        names,
        st.dictionaries(keys, values, max_size=3),
    )


def casts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[As]:
    return st.builds(
        lambda device, name, own: As(
            device, Message.of(own if name is None else {**own, "path": name})
        ),
        names,
        st.one_of(st.none(), names),
        st.dictionaries(keys, values, max_size=2),
    )


def sequences(
    values: st.SearchStrategy[Any], nested: st.SearchStrategy[Any]
) -> st.SearchStrategy[list[Any]]:
    """Sequences such as parsing gives: the base first, then requests, ids, casts, sub-paths."""
    step = st.one_of(requests(values), ids, casts(values), nested)
    bare = st.builds(
        lambda own, request, rest: [Message.of(own), request, *rest],
        st.dictionaries(keys, values, max_size=2),
        requests(values),
        st.lists(step, max_size=3),
    )
    based = st.builds(
        lambda base, rest: [base, *rest],
        st.one_of(ids, casts(values), nested),
        st.lists(step, max_size=3),
    )
    return st.one_of(bare, based)


def _short(sequence: list[Any]) -> bool:
    return len(repr(sequence)) < 900


subpaths = st.recursive(
    st.just(Resolve(())),
    lambda inner: (
        sequences(st.one_of(sayable, inner), inner)
        .filter(_short)
        .map(lambda sequence: Resolve(tuple(sequence)))
    ),
    max_leaves=3,
)


def _written(sequence: list[Any]) -> Message | None:
    try:
        return unparse(sequence)
    except PathError:
        return None


@given(sequences(st.one_of(scalars, subpaths), subpaths).filter(_short))
def test_reading_what_was_written_gives_the_sequence(sequence: list[Any]) -> None:
    request = _written(sequence)

    if request is not None:
        assert [notation(e) for e in parse_request(request)] == [notation(e) for e in sequence]


@given(
    sequences(
        st.one_of(st.integers(), st.binary(max_size=9), st.booleans(), st.floats(0, 9)),
        st.just(Resolve((Message(), Message(path="x")))),
    )
)
def test_plain_sequences_can_always_be_written(sequence: list[Any]) -> None:
    assert [notation(e) for e in parse_request(unparse(sequence))] == [
        notation(e) for e in sequence
    ]


def test_keys_of_all_elements_are_written_once() -> None:
    written = unparse([Message(k="v", n=1), Message(path="a", k="v"), Message(path="b", k="v")])

    assert written == Message({"path": "/a/b", "k": "v", "0.n+integer": "1"})


def test_sub_paths_and_casts() -> None:
    sequence: list[Value] = [
        As(b"process@1.0", Message(path=Link(ID))),
        Message(path="compute", slot=7),
        Resolve((Message(), Message(path="x", n=1, text="a/b"))),
        As(Resolve((Message(k="a b"), Message(path="y"))), Message(path="z")),
    ]

    written = unparse(sequence)

    assert written == Message(
        {
            "path": f"/{ID}~process@1.0/compute/(x&n+integer=1&text=%22a/b%22)/z~(y?0.k=a%2520b)",
            "1.slot+integer": "7",
        }
    )
    assert parse_request(written) == sequence


def test_nested_values_stay_values() -> None:
    sequence: list[Value] = [Message(), Message(path="a", items=[1, "x"], inner={"k": 1.5})]

    assert parse_request(unparse(sequence)) == sequence


@pytest.mark.parametrize(
    "sequence",
    [
        pytest.param([Message(), Message(path="a/b")], id="a name with a slash"),
        pytest.param([Message(), Message(path="a b")], id="a name with a space"),
        pytest.param([Message(), Message(path='a"b')], id="a name that opens a quote"),
        pytest.param([Message(), Message(path=ID)], id="a name that is an id"),
        pytest.param([Message(), Message(path="")], id="an empty name"),
        pytest.param([Message(), Message(path="x" * 513)], id="a name that is too long"),
        pytest.param([Message(k="v")], id="a base alone"),
        pytest.param([Message(), Link(ID)], id="a base before an id"),
        pytest.param([Message({"1.5": "x"}), Message(path="a")], id="a base with a scoped key"),
        pytest.param([Message(), Message({"path": "a", "b+c": "d"})], id="a key with a type"),
        pytest.param([Link("x", "binary"), Message(path="a")], id="a binary as base"),
        pytest.param([Message(), 7], id="a number as request"),
        pytest.param([Message(), As(b"", Message())], id="a cast to no device"),
        pytest.param([Resolve((Message(), Message(path="a", k=[1])))], id="a list in a sub-path"),
        pytest.param([Resolve((Message(), Message(path="a", k='"')))], id="a lone quote in one"),
        pytest.param([Resolve((Message(k='"q"'), Message(path="a")))], id="quotes in its base"),
        pytest.param([Resolve((Message({"a b": 1}), Message(path="a")))], id="a key with a space"),
    ],
)
def test_what_no_path_can_say_is_refused(sequence: list[Value]) -> None:
    with pytest.raises(PathError, match="path"):
        unparse(sequence)
