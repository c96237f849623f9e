"""Signature bases, content digests, labels."""

from __future__ import annotations

import json

import pytest

from hyperbeam_trio.crypto.encoding import commitment_id, from_base64, to_base64url
from hyperbeam_trio.crypto.keyid import CONSTANT_AO, Keyid, hmac_sha256, verify_signature
from hyperbeam_trio.crypto.signature_base import (
    base_of,
    commitment_label,
    content_digest,
    derived_name,
    is_ambiguous,
    plain_name,
    signature_base,
    signature_params,
)
from tests import vectors

UNSIGNED = {"alg": "hmac-sha256", "keyid": CONSTANT_AO}
EXAMPLE_2 = [
    ("a", b"1"),
    ("ao-types", b'b="integer"'),
    ("b", b"2"),
    ("content-digest", b"sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"),
    ("path", b"/x/y"),
    ("zed", b"q"),
]
EXAMPLES = json.loads((vectors.FOLDER.parent / "worked_examples.json").read_text())


def _id(components) -> str:
    base, _ = signature_base(components, UNSIGNED)
    return commitment_id(hmac_sha256(CONSTANT_AO.encode(), base))


def test_no_components_leave_an_empty_line():
    base, _ = signature_base([], UNSIGNED)
    assert base == b'\n"@signature-params": ();alg="hmac-sha256";keyid="constant:ao"'
    assert _id([]) == "TWaabU6nSWpn7zPaiWSd9gQkfNwa1t3onrDRNB-bFiI"


def test_components_stand_in_lines_and_derived_ones_get_an_at_in_the_list():
    base, params = signature_base(EXAMPLE_2, UNSIGNED)
    assert base.decode() == (
        '"a": 1\n"ao-types": b="integer"\n"b": 2\n'
        '"content-digest": sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:\n'
        '"path": /x/y\n"zed": q\n'
        '"@signature-params": ("a" "ao-types" "b" "content-digest" "@path" "zed")'
        ';alg="hmac-sha256";keyid="constant:ao"'
    )
    assert base.endswith(params.encode())
    assert _id(EXAMPLE_2) == "XrOXIGatEtv9RSBXsRHnfEtpizQzLw6FNqArw0R-7Jw"


@pytest.mark.parametrize(
    ("components", "id_"),
    [
        ([("a", b"1")], "z3vwVvCE7AFo58_pb6AkT5VCNON3r4Y_6aiRg46otN4"),
        ([("k", b"v")], "rcDzQV_uLcM7tx6Bb77vlumFw_h5q8Trx8FD5G8mzcs"),
        (
            [("a", b"1"), ("ao-types", b'a="integer"')],
            "Fw6WjtgZ_dz5YcW1hMFCwE98adFvWtAOyVbl6K3CrDA",
        ),
    ],
)
def test_known_ids(components, id_):
    assert _id(components) == id_


def test_the_rsa_signature_of_the_worked_example_holds():
    keyid = "publickey:" + EXAMPLES["modulus"]
    base, _ = signature_base(EXAMPLE_2, {"alg": "rsa-pss-sha512", "keyid": keyid})
    signature = from_base64(EXAMPLES["httpsig_signature"])
    read = Keyid.parse(keyid, "rsa-pss-sha512")
    assert read.committer == "hzKu9y0bS7AsgNI7ZrYVePTsy1AzkgC-xKRKw0H8NTg"
    assert verify_signature("rsa-pss-sha512", read, base, signature)
    assert commitment_id(signature) == "u2X15_8ssMAjTZc4oZOOb6EcENn5c-WSKN2r-ZEp_8o"


def test_a_label_is_made_of_characters_that_every_parser_takes():
    hmac = from_base64("XrOXIGatEtv9RSBXsRHnfEtpizQzLw6FNqArw0R-7Jw")
    assert commitment_label(hmac) == "comm-lzrykkacrtbbdznr6eol5pk-tjdjguisrafjpxhoukk"
    rsa = from_base64(EXAMPLES["httpsig_signature"])
    # The worked example has the reference's own label, with an underscore.
    assert commitment_label(rsa) == "comm-u2x15-8ssmajtzc4ozoob6ecenn5c-wskn2r-zep-8o"


def test_parameters_are_sorted_and_others_are_not_signed():
    parameters = {
        "tag": "t",
        "nonce": 'n"\\',
        "keyid": "k",
        "created": 1,
        "expires": 2,
        "alg": "a",
        "bundle": "true",
        "field-target": "no",
        "id": "no",
    }
    assert signature_params(["x"], parameters) == (
        '("x");alg="a";bundle="true";created=1;expires=2;keyid="k";nonce="n\\"\\\\";tag="t"'
    )


def test_the_digest_of_a_body():
    assert content_digest(b"hello") == "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"
    assert content_digest(b"") == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


@pytest.mark.parametrize("name", ["method", "path", "query", "query-param", "target-uri"])
def test_derived_names_have_two_forms(name):
    assert derived_name(name) == f"@{name}"
    assert plain_name(f"@{name}") == plain_name(name) == name


def test_other_names_have_one_form():
    assert derived_name("status") == plain_name("status") == "status"
    assert plain_name("@odd") == "@odd"


def test_a_base_can_be_made_of_a_list_as_it_came():
    listed = '("@path" "a");alg="hmac-sha256";keyid="ao"'
    assert base_of([("path", b"/"), ("a", b"1")], listed) == (
        b'"path": /\n"a": 1\n"@signature-params": ' + listed.encode()
    )


def test_the_form_of_hbsig_gives_its_known_id():
    lines = [EXAMPLE_2[4], *EXAMPLE_2[:4], EXAMPLE_2[5]]
    names = " ".join(f'"{derived_name(name)}"' for name, _ in lines)
    base = base_of(lines, f'({names});alg="hmac-sha256";keyid="ao"')
    assert to_base64url(hmac_sha256(b"ao", base)) == "5PF2urPT_8BM9vhJc3zucxpzCo3BsjZ6d-fE0KUAsS8"


@pytest.mark.parametrize(
    "components",
    [
        [],
        EXAMPLE_2,
        [("a", b"two\nlines"), ("b", b"")],
        [("a", b'x\n"c": y'), ("b", b'\n"b":y')],
        [("@path", b"/"), ("my key", b'\n"key": 1')],
        [('in "quotes"', b"x\ny"), ("x)", b"\n\n")],
    ],
)
def test_values_may_have_several_lines(components):
    assert not is_ambiguous(signature_base(components, UNSIGNED)[0])


@pytest.mark.parametrize(
    "components",
    [
        [("a", b'x\n"b": y'), ("b", b"z")],
        [("a", b"x"), ("b", b'y\n"b": z')],
        [("b", b'\n"b": '), ("c", b"")],
        [("a", b'1\n"path": /x'), ("path", b"/y")],
        [("my key", b"1"), ("other", b'\n"my key": 2')],
    ],
)
def test_a_line_that_could_be_another_component_is_found(components):
    assert is_ambiguous(signature_base(components, UNSIGNED)[0])
