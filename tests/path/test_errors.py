"""Paths that can't be read: a 400 that shows the part and where it is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperbeam_trio.errors import PathError
from hyperbeam_trio.message import Message
from hyperbeam_trio.path import parse, parse_request, unparse


@pytest.mark.parametrize(
    ("path", "says", "part", "at"),
    [
        ("/a/b%2", "two hex digits", "%2", 4),
        ("/a?k=%25zz", "two hex digits", "%zz", 3),
        ("/a/b&n+integer=x", "'n' should be an integer", "n+integer=x", 5),
        ("/a%20b/%62&n+integer=x", "should be an integer", "n+integer=x", 11),
        ("/a/b&n+float=5", "'n' should be a float", "n+float=5", 5),
        ("/a/b&n+atom=strange", "known atom", "n+atom=strange", 5),
        ("/a/b&n+bool=null", "true or false", "n+bool=null", 5),
        ("/a/b&n+list=(", "'n'", "n+list=(", 5),
        ("/a/b&n+map=,", "'n'", "n+map=,", 5),
        ("/a/b&n+binary=5", "Unexpected type 'binary'; expected one of atom", "n+binary=5", 5),
        ("/a/b&n+resolve=(x)", "sub-path takes no type", "n+resolve=(x)", 5),
        ("/a/b+integer", "needs a value", "b+integer", 3),
        ("/a/b+integer&k=1", "needs a value", "b+integer", 3),
        ("/a?k=1&x+integer", "needs a value", "x+integer", 7),
        ("/a/=v", "key needs a name", "", 3),
        ("/a&=v", "key needs a name", "", 3),
        ("/a?=v", "key needs a name", "", 3),
        ("/a&%ff=v", "UTF-8", "\\xff", 3),
        ("/a~", "name of a device", "a~", 1),
        ("/a/(b/c&n+integer=x)/d", "should be an integer", "n+integer=x", 8),
        ("/a&k=(b&n+integer=x)", "should be an integer", "n+integer=x", 8),
        ("/a?-1.k=v", "count from 0", "-1.k=v", 3),
        ("/a/" + "x" * 513, "at most 512 bytes", "x" * 60 + "…", 3),
        ("/a/(" + "x" * 512 + ")", "at most 512 bytes", "(" + "x" * 59 + "…", 3),
        ("/a" * 1001, "at most 1000 segments", "/a" * 30 + "…", 2001),
        ("/" + "(" * 65 + "a" + ")" * 65, "more than 64 deep", "a", 66),
    ],
)
def test_error_shows_the_part_and_its_offset(path: str, says: str, part: str, at: int) -> None:
    with pytest.raises(PathError) as caught:
        parse(path)

    assert caught.value.status == 400
    assert says in caught.value.text
    assert caught.value.details == {"path": part, "at": at}
    assert f"at offset {at} of the path" in caught.value.text


def test_path_is_bounded() -> None:
    with pytest.raises(PathError, match="65537 bytes; 65536 are allowed"):
        parse("/a?k=" + "v" * (65537 - 5))

    assert len(parse("/a?k=" + "v" * (65536 - 5))) == 2


def test_keys_times_elements_are_bounded() -> None:
    query = "&".join(f"k{number}" for number in range(1000))

    with pytest.raises(PathError, match="1000 keys for each of 501 path elements"):
        parse("/a" * 500 + "?" + query)


def test_nesting_up_to_the_limit_is_read() -> None:
    parse("/" + "(" * 64 + "a" + ")" * 64)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"n+integer": "x"}, "'n+integer': Key 'n' should be an integer"),
        ({"n+integer": 5}, "'n+integer' is typed and should be text, not the integer 5"),
        ({"sub+link": "x"}, "'sub+link': Unexpected type 'link'"),
        ({"-2.k": "x"}, "'-2.k': elements count from 0"),
        ({"path": {"a": 1}}, "'path' should be a HyperPATH, not a message"),
        ({"path": [[1]]}, "'path' should be a HyperPATH, not a list"),
    ],
)
def test_error_in_a_key_names_the_key(keys: dict[str, object], says: str) -> None:
    with pytest.raises(PathError) as caught:
        parse_request(Message({"path": "/a", **keys}))

    assert caught.value.status == 400
    assert says in caught.value.text


fragments = st.sampled_from(
    [
        *("/", "a", "b", "&", "=", "~", "+", " ", "?", "(", ")", '"', "\\", "%", "%2F", "%25", "."),
        *("k", "1.", "-1.", "integer", "+float=", "+list=", "+map=", "+resolve=", "+atom=", ","),
        *("d@1.0", "e5ohB7TgMYRoc0BLllkmAqkqLy1SrliEkOPJlNPXBQ8", "é", "\0", "1", "e9", "?1", ":"),
        *("(ao-type-integer)", ";", "@1", "*"),
    ]
)


@given(st.lists(fragments, max_size=24).map("".join))
@example('"' * 5000 + "\\")
@example("(" * 5000)
@example("/a&k+list=" + "(" * 400)
def test_text_is_read_or_refused(text: str) -> None:
    with suppress(PathError):
        assert parse(text) == parse_request(Message(path=text))


@given(st.binary(max_size=80))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    with suppress(PathError):
        assert isinstance(parse(b"/" + raw), list)


@given(
    st.lists(fragments, max_size=12).map("".join),
    st.dictionaries(
        st.lists(fragments, min_size=1, max_size=4).map("".join),
        st.one_of(st.lists(fragments, max_size=5).map("".join), st.integers(), st.booleans()),
        max_size=3,
    ),
)
def test_requests_are_read_or_refused(path: str, keys: dict[str, str | int]) -> None:
    with suppress(PathError):
        assert isinstance(unparse(parse_request(Message({**keys, "path": path}))), Message)
