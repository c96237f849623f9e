"""Structured fields: values as RFC 9651 has them, keys as the network has them."""

from __future__ import annotations

import pytest
from http_sf import Token

from hyperbeam_trio.codec import structured_fields as sf
from hyperbeam_trio.errors import BadRequest
from tests import vectors

READERS = {"item": sf.parse_item, "list": sf.parse_list, "dictionary": sf.parse_dictionary}
WRITERS = {"item": sf.write_item, "list": sf.write_list, "dictionary": sf.write_dictionary}

# The peer refuses these; we take spaces around an item, a key `.` that is not the first, and
# byte sequences whose padding is wrong.
TAKEN = {" 1 ", " 1", "1 ", '1="integer", 2="integer", .="list"', "sig-abc_-=:AQID=:"}


def bare(notation):
    kind = notation["type"]
    if kind == "binary":
        return vectors.unbase64(notation["value_b64u"])
    if kind == "decimal":
        return notation["mantissa"] * 10.0 ** notation["exponent"]
    return Token(notation["value"]) if kind == "token" else notation["value"]


def member(notation):
    parameters = {name: bare(value) for name, value in notation["params"]}
    if notation["kind"] == "inner-list":
        return [member(item) for item in notation["items"]], parameters
    return bare(notation["value"]), parameters


def structure(kind, notation):
    if kind == "item":
        return member(notation)
    if kind == "list":
        return [member(one) for one in notation]
    return {key: member(one) for key, one in notation}


@vectors.each("structured_fields.json", lambda case: "parsed" in case)
def test_reads_what_the_peer_reads(case):
    assert READERS[case["kind"]](case["input"]) == structure(case["kind"], case["parsed"])


@vectors.each("structured_fields.json", lambda case: "error" in case)
def test_refuses_what_the_peer_refuses(case):
    if case["input"] in TAKEN:
        READERS[case["kind"]](case["input"])
        return
    with pytest.raises(BadRequest):
        READERS[case["kind"]](case["input"])


@vectors.each("structured_fields.json", lambda case: case["op"] == "serialize")
def test_writes_what_the_peer_writes(case):
    assert WRITERS[case["kind"]](structure(case["kind"], case["value"])) == case["output"]


@vectors.each("structured_fields.json", lambda case: "reserialized" in case)
def test_writes_what_it_read_in_canonical_form(case):
    again = WRITERS[case["kind"]](READERS[case["kind"]](case["input"]))
    differing = {"a": "a", "a;x=1": "a;x=1", "a, b=?0": "a, b=?0", "0.001": "0.001"}
    assert again == differing.get(case["input"], case["reserialized"])


@vectors.each("escape_and_keys.json", lambda case: "escaped" in case)
def test_keys_in_percent_form(case):
    assert sf.escape_key(case["input"]) == case["escaped"]
    assert sf.unescape_key(case["escaped"]) == case["unescaped"]


def test_percent_signs_of_either_case_are_read_and_lone_ones_stay():
    assert sf.unescape_key("%4B%4b%%zz") == "KK%%zz"


def test_a_percent_form_has_to_be_utf8():
    with pytest.raises(BadRequest, match="not UTF-8"):
        sf.unescape_key("a%ff")


@pytest.mark.parametrize(
    ("text", "types"),
    [
        (b"", {}),
        (b'a="integer", b="Float"', {"a": "integer", "b": "float"}),
        (b"a=atom,b=list", {"a": "atom", "b": "list"}),
        (b'%4b=integer ,  b/c="atom"', {"K": "integer", "b/c": "atom"}),
        (b'a="integer";x=1, b=(1 2);y', None),
        (b'.="list", 1="integer"', {".": "list", "1": "integer"}),
        (b"empty-message", {"empty-message": "true"}),
        (b'a="integer";x="y, z", b="atom"', {"a": "integer", "b": "atom"}),
        (b'a="integer", a="atom"', {"a": "atom"}),
    ],
)
def test_type_tables(text, types):
    if types is None:
        with pytest.raises(BadRequest, match="expected a name"):
            sf.read_types(text)
    else:
        assert sf.read_types(text) == types


@pytest.mark.parametrize("text", [b'a="integer', b"=1", b"a=1 b=2", b"\xff", b'"x"', b"a=1,"])
def test_type_tables_that_are_none(text):
    with pytest.raises(BadRequest, match="ao-types"):
        sf.read_types(text)


def test_parameters_of_headers():
    disposition = 'form-data; name="a \\"b\\"";x=y'
    assert sf.parameter(disposition, "name") == 'a "b"'
    assert sf.parameter(disposition, "x") == "y"
    assert sf.parameter(disposition, "z") is None
