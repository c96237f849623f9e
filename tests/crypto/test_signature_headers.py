"""The headers `signature` and `signature-input`."""

from __future__ import annotations

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperbeam_trio.crypto.keyid import Keyid, verify_signature
from hyperbeam_trio.crypto.signature_base import base_of, content_digest, signature_base
from hyperbeam_trio.crypto.signature_headers import (
    SignatureInput,
    input_header,
    input_member,
    parse_input,
    parse_signature,
    read_signatures,
    signature_header,
)
from hyperbeam_trio.errors import BadRequest
from tests import vectors
from tests.crypto.refusal import value_or_refusal

labels = st.from_regex(r"comm-[a-z0-9_-]{1,43}", fullmatch=True)
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
parameters = st.fixed_dictionaries(
    {"alg": texts, "keyid": texts},
    optional={
        "created": st.integers(-(10**14), 10**14),
        "nonce": texts,
        "bundle": texts,
        "field-target": texts,
    },
)
inputs = st.dictionaries(labels, st.tuples(st.lists(texts, max_size=4), parameters), min_size=1)


@given(inputs)
def test_inputs_that_are_written_read_back(given_):
    header = input_header({label: input_member(*pair) for label, pair in given_.items()})
    read = parse_input(header)
    assert {label: (list(found.components), found.parameters) for label, found in read.items()} == (
        given_
    )
    assert list(read) == sorted(given_)
    assert header == ", ".join(f"{label}={found.text}" for label, found in read.items())


@given(inputs)
def test_the_fast_path_reads_what_http_sf_reads(given_):
    header = input_header({label: input_member(*pair) for label, pair in given_.items()})
    members = http_sf.parse(header.encode(), tltype="dictionary")
    assert {
        label: ([str(name) for name, _ in names], raw) for label, (names, raw) in members.items()
    } == {
        label: (list(found.components), found.parameters)
        for label, found in parse_input(header).items()
    }


@given(st.dictionaries(labels, st.binary(max_size=600), min_size=1))
def test_signatures_that_are_written_read_back(signatures):
    header = signature_header(signatures)
    assert parse_signature(header) == signatures
    assert list(parse_signature(header)) == sorted(signatures)
    assert http_sf.parse(header.encode(), tltype="dictionary") == {
        label: (raw, {}) for label, raw in signatures.items()
    }


def test_the_member_of_the_worked_example():
    names = ["a", "ao-types", "b", "content-digest", "path", "zed"]
    member = input_member(names, {"keyid": "constant:ao", "alg": "hmac-sha256"})
    assert member == (
        '("a" "ao-types" "b" "content-digest" "path" "zed");alg="hmac-sha256";keyid="constant:ao"'
    )


def test_parameters_are_written_in_the_order_of_the_reference():
    given_ = {"bundle": "false", "nonce": "n", "created": 5, "keyid": "k", "alg": "a", "tag": "t"}
    assert input_member([], given_) == (
        '();alg="a";keyid="k";tag="t";created=5;nonce="n";bundle="false"'
    )


@pytest.mark.parametrize("text", ["a\nb", "é", "\x7f"])
def test_what_a_header_can_not_carry_is_refused(text):
    with pytest.raises(BadRequest, match="can't carry the character"):
        input_member([text], {})
    with pytest.raises(BadRequest, match="can't carry the character"):
        input_member([], {"nonce": text})


def _wire(case):
    """The encoding that carries what was signed."""
    bundled = case["name"].startswith("bundle: ") and isinstance(case.get("http_bundled"), dict)
    return case.get("http_bundled" if bundled else "http_linked")


def _on_the_wire(case) -> bool:
    encoded = _wire(case)
    return isinstance(encoded, dict) and "signature-input" in encoded.get("headers", {})


@vectors.each("n-httpsig_signed.json", _on_the_wire)
def test_bases_are_rebuilt_from_the_headers_of_the_reference(case):
    headers = {name: _bytes(value) for name, value in _wire(case)["headers"].items()}
    body = vectors.unbase64(_wire(case)["body_b64u"] or "")
    headers["content-digest"] = content_digest(body).encode()
    known = {_bytes(found["signature_base"]) for found in case["commitments"].values()}
    read = read_signatures(headers["signature"].decode(), headers["signature-input"].decode())
    for signature, found in read.values():
        lines = [(name, headers[name]) for name in found.plain_components]
        base, _ = signature_base(lines, found.parameters)
        algorithm = found.parameters["alg"]
        keyid = Keyid.parse(found.parameters["keyid"], algorithm)
        assert base in known
        assert verify_signature(algorithm, keyid, base, signature)


def _bytes(notation) -> bytes:
    return notation.encode() if isinstance(notation, str) else vectors.value(notation)


@vectors.each("hbsig-signed.json", lambda case: case["verifies"])
def test_signatures_of_hbsig_hold_over_their_list_as_it_came(case):
    headers = {name.lower(): value for name, value in case["headers"].items()}
    ((signature, found),) = read_signatures(
        headers["signature"], headers["signature-input"]
    ).values()
    lines = [(name, headers[name].encode()) for name in found.plain_components]
    base = base_of(lines, found.text)
    keyid = Keyid.parse(found.parameters["keyid"], found.parameters["alg"])
    assert base.decode() == case["signature_base"]
    assert verify_signature(found.parameters["alg"], keyid, base, signature)


def test_other_legal_spellings_are_read():
    text = 'a=("x";sf "@path"  y);alg="\\"q\\\\";created=12;flag;off=?0;t=tok,\tb=( )'
    assert parse_input(text) == {
        "a": SignatureInput(
            ("x", "@path", "y"),
            {"alg": '"q\\', "created": 12, "flag": "true", "off": "false", "t": "tok"},
            '("x";sf "@path"  y);alg="\\"q\\\\";created=12;flag;off=?0;t=tok',
        ),
        "b": SignatureInput((), {}, "( )"),
    }
    assert parse_input(text)["a"].plain_components == ("x", "path", "y")
    assert parse_signature("a=:aGk=:;x=1, b=:_-8:") == {"a": b"hi", "b": b"\xff\xef"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a dictionary at character 0"),
        (" ", "has an empty member"),
        ('a=("x"),', "is not a dictionary at character 8"),
        ('a=("x', "is not a dictionary at character 3"),
        ('a="x"', "a is not a list of component names"),
        ("a", "a is not a list of component names"),
        ('A=("x")', "can't be read"),
        ("a=(1)", "component is 1, expected text"),
        ('a=("x");n=1.5', "parameter n is .*, expected text"),
        ('a=("x");n=:aGk=:', "parameter n is b'hi', expected text"),
        ('a=("x"), a=("y")', "has the label a twice"),
        ('a=("é")', "can't be read"),
        (", ".join(f"a{n}=()" for n in range(65)), "has more than 64 members"),
    ],
)
def test_an_input_that_can_not_be_is_refused(text, problem):
    with pytest.raises(BadRequest, match=f"signature-input .*{problem}|signature-input {problem}"):
        parse_input(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a=:!:", "can't be read"),
        ("a=1", "a is not a byte sequence in colons"),
        ("a=:a:", "signature a is not base64"),
        ("a=::, a=::", "has the label a twice"),
    ],
)
def test_a_signature_that_can_not_be_is_refused(text, problem):
    with pytest.raises(BadRequest, match=problem):
        parse_signature(text)


def test_labels_have_to_be_the_same():
    with pytest.raises(BadRequest, match="different labels: b, c"):
        read_signatures("a=::, b=::", "a=(), c=()")


@given(st.text(st.sampled_from('a=("x");:, \\k1?é\t'), max_size=40))
def test_any_headers_are_read_or_refused(text):
    for read in (parse_input, parse_signature):
        assert isinstance(value_or_refusal(read, text), dict | BadRequest)


@pytest.mark.parametrize("text", ['a=("' + "x" * 100_000, "a=(" + '"x" ' * 20_000, '"\\' * 50_000])
def test_a_long_broken_header_is_refused_in_one_pass(text):
    with pytest.raises(BadRequest):
        parse_input(text)
