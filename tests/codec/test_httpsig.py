"""httpsig@1.0: what goes over HTTP, to the byte, and what is read from there."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.httpsig import HTTPSIG, decode, encode
from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.commitments import committed_keys, verify_message
from hyperbeam_trio.errors import BadRequest
from tests import vectors

ENCODED = "n-httpsig_encode.json"
SIGNED = "n-httpsig_signed.json"


def wire(http):
    """Headers and body of a vector."""
    headers = [(name, value_bytes(value)) for name, value in http["headers"].items()]
    body = http["body_b64u"]
    return sorted(headers), None if body is False else vectors.unbase64(body)


def value_bytes(value):
    return value.encode() if isinstance(value, str) else vectors.value(value)


def encoded(message, bundle):
    result = encode(message, bundle=bundle, safe=False)
    return result.headers, result.body


def no_note(case):
    return "note" not in case


@vectors.each(ENCODED, no_note)
def test_november_form_is_written_to_the_byte(case):
    message = vectors.message(case["message"])
    assert encoded(message, False) == wire(case["http_linked"])
    assert encoded(message, True) == wire(case["http_bundled"])


@vectors.each(ENCODED, lambda case: not vectors.is_error(case["http_bundled"]))
def test_november_form_is_read_back(case):
    back = decode(*wire(case["http_bundled"]))
    assert vectors.notation(back) == vectors.normal(case["message"])


@vectors.each(ENCODED, lambda case: isinstance(case["http_bundled_binary_b64u"], str))
def test_headers_and_body_in_one(case):
    message = vectors.message(case["message"])
    exact, safe = (encode(message, bundle=True, safe=safe) for safe in (False, True))
    data = HTTPSIG.to_bytes(message, bundle=True)
    assert HTTPSIG.from_bytes(data) == message
    # An empty body is written too; what HTTP can't carry in a header is in the body. Where there
    # is an `ao-body-key`, the peer wraps the body once more, and could not read that back.
    wrapped = ("ao-body-key", b"data") in exact.headers
    if exact == safe and exact.body != b"" and not wrapped and "note" not in case:
        assert data == vectors.unbase64(case["http_bundled_binary_b64u"])


def signed_message(case, bundle):
    fields = {id: entry["commitment"] for id, entry in case["commitments"].items()}
    loaded = {"body": case["extra"]["child"]} if bundle and "child" in case["extra"] else {}
    return vectors.message({**case["message"], **loaded, "commitments": fields})


@vectors.each(SIGNED, lambda case: "http_linked" in case and no_note(case))
def test_signed_messages_are_written_as_the_peer_writes_them(case):
    for bundle, name in ((False, "http_linked"), (True, "http_bundled")):
        http = case["http_linked"] if case[name] == "as http_linked" else case[name]
        headers, body = wire(http)
        ours = encode(signed_message(case, bundle), bundle=bundle, safe=False)
        assert ours.body == body
        unsigned = [(k, v) for k, v in ours.headers if not k.startswith("signature")]
        assert unsigned == [(k, v) for k, v in headers if not k.startswith("signature")]
        again = decode(ours.headers, ours.body)
        assert again.commitments == decode(headers, body).commitments


@vectors.each(SIGNED, lambda case: "http_linked" in case)
def test_signed_messages_are_read_and_verified(case):
    for name in ("http_linked", "http_bundled"):
        http = case["http_linked"] if case[name] == "as http_linked" else case[name]
        if vectors.is_error(http):
            continue
        message = decode(*wire(http))
        verifies = verify_message(message, committers="all")
        expected = case[f"{name}_decoded_verifies"]
        if "note" in case:
            assert verifies or not vectors.is_error(expected)
        else:
            assert verifies == expected
        if name == "http_bundled":
            assert vectors.notation(message) == vectors.notation(signed_message(case, True))
        assert signed_id(message) == case["signed_id"]
        assert unsigned_id(message) == case["unsigned_id"]


@vectors.each(SIGNED, lambda case: case["name"].startswith("wire: "))
def test_what_changes_on_the_wire(case):
    headers, body = wire(case["http"])
    if vectors.is_error(case["decoded"]) and case["name"] != "wire: keyid-unknown-scheme":
        with pytest.raises(BadRequest):
            decode(headers, body)
        return
    message = decode(headers, body)
    if case["name"] == "wire: keyid-unknown-scheme":
        assert not verify_message(message, committers="all") or not verify_message(
            message, commitment_ids="all"
        )
        return
    expected = vectors.value(case["decoded"])
    assert vectors.notation(message, commitments=True) == vectors.notation(
        expected, commitments=True
    )
    assert committed_keys(message, committers="all") == case["committed_keys"]
    assert signed_id(message) == case["signed_id"]
    assert unsigned_id(message) == case["unsigned_id"]
    assert verify_message(message, committers="all") == case["verifies"]
    assert verify_message(message, commitment_ids="all") == case["verifies_every_commitment"]
    assert message.signers == case["signers"]


def test_parts_and_ids_never_pass_for_transport_headers_or_private_keys():
    part = b'--b\r\ncontent-disposition: form-data;name="%b"\r\n\r\nx\r\n'
    names = (b"signature", b"signature-input", b"private-y", b"ok")
    body = b"".join(part % name for name in names) + b"--b--"
    assert list(decode([("content-type", b'multipart/form-data; boundary="b"')], body)) == ["ok"]
    assert not decode([("ao-ids", b'signature="x", private-y="y"')])
