"""What June 2025, May 2025 and the clients of today send, and how it is read."""

from __future__ import annotations

from dataclasses import replace

from hyperbeam_trio.codec.commit import commit_unsigned, verify
from hyperbeam_trio.codec.httpsig import decode
from hyperbeam_trio.codec.ids import signed_id, unsigned_id
from hyperbeam_trio.commitments import failing_commitments, verify_message
from hyperbeam_trio.crypto.encoding import from_base64
from hyperbeam_trio.crypto.signature_headers import parse_input
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Atom, Message, Value
from tests import vectors
from tests.codec.test_httpsig import wire

# June 2025 (spec/02 §10.1).


@vectors.each(
    "httpsig_encode.json",
    lambda c: isinstance(c["http_bundled"], dict) and "headers" in c["http_bundled"],
)
def test_june_form_is_read(case):
    message = decode(*wire(case["http_bundled"]))
    given = case["back_from_bundled"]
    assert vectors.notation(message) == vectors.normal(given)


@vectors.each("httpsig_signed.json", lambda case: "http_linked" in case)
def test_june_form_is_verified(case):
    for name in ("http_linked", "http_bundled"):
        http = case["http_linked"] if case[name] == "as http_linked" else case[name]
        if "headers" not in http:
            continue
        message = decode(*wire(http))
        expected = case[f"{name}_decoded_verifies"]
        if expected is True:
            assert failing_commitments(message) == []
            assert signed_id(message) == case["signed_id"]
            assert unsigned_id(message) == case["unsigned_id"]
        elif case["extra"]["mode"].endswith("bundle=true by key-1") and name == "http_linked":
            # The peer signed anew as it sent this, and then could not read it; it holds.
            assert failing_commitments(message) == []


# May 2025, as hbsig speaks it (spec/08 §6).


def js(notation: object) -> Value:
    """A JavaScript value of the vectors: keys in lower case, literals are atoms."""
    if isinstance(notation, str):
        return notation.encode()
    if isinstance(notation, list):
        return [js(item) for item in notation]
    if not isinstance(notation, dict):
        return notation
    if "$b64" in notation:
        return vectors.unbase64(notation["$b64"])
    if "$atom" in notation:
        return Atom(notation["$atom"])
    return Message.of({key.lower(): js(value) for key, value in notation.items()})


def request(headers, body) -> Message:
    """The message of a request whose body is in base64url."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    lower = [(name.lower(), value.encode()) for name, value in pairs]
    return decode(lower, None if body is None else vectors.unbase64(body))


@vectors.each("hbsig-encoding.json", lambda case: "lossy" not in case)
def test_requests_of_hbsig_are_read(case):
    message = request(case["request"]["headers"], case["request"]["body"])
    expected = js(case["message"])
    extra = {"path", "content-length"} - expected.keys()
    assert vectors.notation(message.without(*extra)) == vectors.notation(expected)


@vectors.each("hbsig-signed.json")
def test_requests_that_hbsig_signed_are_verified(case):
    message = request(case["headers"], case["body"])
    (commitment,) = message.commitments.values()
    assert failing_commitments(message) == []
    assert commitment.id == case["rsa_id"]
    assert commitment.evidence.base.decode() == case["signature_base"]
    assert message.signers == [vectors.load("hbsig-signed.json")["address"]]
    covered = {key for key in message if key not in ("path", "ao-types")}
    assert covered <= set(commitment.committed)


def is_plain(case):
    """Its id is that of its keys, none of which has its value elsewhere."""
    return not {"commitments", "content-digest"} & case["message"].keys()


@vectors.each("hbsig-ids.json", is_plain, member="ids")
def test_ids_of_hbsig_hold_as_commitments(case):
    message = js(case["message"])
    (ours,) = commit_unsigned(message).commitments.values()
    id = case["id"]
    theirs = replace(ours, id=id, signature=from_base64(id), keyid="ao", evidence=None)
    assert verify(message, theirs)


def still_holds(headers, body, member=None):
    """Whether a changed message is read, and all its commitments hold."""
    try:
        message = decode([(name, value.encode()) for name, value in headers.items()], body)
        inner = message if member is None else message.message(member)
    except BadRequest:
        return False
    return inner.commitments and failing_commitments(inner) == []


@vectors.each("hbsig-signed.json")
def test_a_request_that_was_changed_after_hbsig_signed_it_fails(case):
    headers = case["headers"]
    body = None if case["body"] is None else vectors.unbase64(case["body"])
    for name in headers.keys() - {"signature", "signature-input", "body-keys", "content-digest"}:
        assert not still_holds({**headers, name: headers[name] + "x"}, body)
    for place in range(0, len(body or b""), 17):
        changed = bytes([*body[:place], body[place] ^ 1, *body[place + 1 :]])
        assert not still_holds(headers, changed)


@vectors.each("hbsig-commit.json")
def test_messages_that_hbsig_committed_are_verified_inside_of_a_request(case):
    message = request(case["request"]["headers"], case["request"]["body"])
    body = message.message("body")
    assert failing_commitments(message) == []
    assert failing_commitments(body) == []
    assert vectors.notation(body) == vectors.notation(js(case["message"]))
    assert set(body.commitments) == set(case["committed"]["commitments"])
    (signed,) = [c for c in body.commitments.values() if c.committer]
    assert signed_id(body) == signed.id
    assert set(body) <= set(signed.committed)


@vectors.each("hbsig-commit.json")
def test_a_committed_message_that_was_changed_fails(case):
    text = vectors.unbase64(case["request"]["body"])
    for line in text.split(b"\r\n--")[0].split(b"\r\n"):
        name = line.partition(b": ")[0].decode()
        if name in case["message"]:
            changed = text.replace(line, line + b"x", 1)
            assert not still_holds(case["request"]["headers"], changed, "body")


@vectors.each("hbsig-commit.json", lambda case: case["name"] in ("data", "body"))
def test_what_was_committed_as_body_can_not_be_told_as_data(case):
    text = vectors.unbase64(case["request"]["body"])
    as_data = text.replace(b"inline\r\n\r\ntext", b"inline\r\ndata: text")
    as_body = as_data.replace(b"data: 1 + 1\r\n", b"").replace(
        b"Message\r", b"Message\r\n\r\n1 + 1\r"
    )
    assert as_body != text
    assert not still_holds(case["request"]["headers"], as_body, "body")


@vectors.each("hbsig-nested.json")
def test_the_parts_of_what_hbsig_committed_are_one_value(case):
    message = request(case["request"]["headers"], case["request"]["body"])
    body = message.message("body")
    assert failing_commitments(message) == failing_commitments(body) == []
    assert set(body.commitments) == set(case["ids"])
    assert case["value"].encode() in (body.get("data"), body.get("body"))
    assert all(set(body) <= set(commitment.committed) for commitment in body.commitments.values())


@vectors.each("hbsig-nested.json")
def test_who_has_nothing_but_the_message_can_verify_it(case):
    body = request(case["request"]["headers"], case["request"]["body"]).message("body")
    plain = [replace(commitment, evidence=None) for commitment in body.commitments.values()]
    assert failing_commitments(body.with_commitments(plain)) == []
    forged = body.set_values({"content-type": b"text/plain"}).with_commitments(plain)
    assert len(failing_commitments(forged)) == len(plain)


def test_a_line_is_long_only_if_the_boundary_of_its_own_part_ends_it():
    def read(part: bytes) -> Message:
        body = b"--o\r\ncontent-disposition: inline\r\n" + part + b"\r\n--o--"
        return decode([("content-type", b'multipart/form-data; boundary="o"')], body).message(
            "body"
        )

    kind = b'content-type: multipart/form-data; boundary="i"\r\n'
    inner = b"--i\r\na: 1\r\n\r\ntext\r\n--i--"
    whole = read(kind + b"data: " + inner + b"\r\nz: 2")
    assert (whole["data"], whole["z"], "a" in whole) == (inner, b"2", False)
    for other in (
        kind.replace(b'"i"', b'"j"') + b"data: " + inner,
        kind + b"data: " + inner.replace(b"--i--", b"--i-x"),
        kind + b"data: " + inner + b"more",
        b"data: " + inner + b"\r\n" + kind.strip(),
    ):
        assert read(other)["data"] == b"--i"


@vectors.each("hbsig-responses.json", lambda case: "throws" not in case)
def test_answers_that_hbsig_can_read_are_verified(case):
    given = case["response"]
    headers = [(name, value.encode()) for name, value in given["headers"].items()]
    message = decode(headers, given["body"].encode())
    if message.signers:
        assert message.signers == ["J-j0jyZ1YWhMBXtJMWHz-dl-mDcksoJSQo_Fq5loHUs"]
        assert verify_message(message, committers="all")


# ao-core-libs, as aoconnect speaks it unless told otherwise (spec/08 §5.0).


@vectors.each("aoconnect-httpsig.json", lambda case: "signature_base" in case)
def test_what_ao_core_libs_signs_is_verified_if_it_sends_all_of_it(case):
    for given, base in zip(case["requests"], case["signature_base"], strict=True):
        message = request(given["headers"], given["body"])
        (member,) = parse_input(dict(lowered(given))["signature-input"]).values()
        if "content-digest" in member.components:
            # It sends no body then, so that nobody can verify it: the message is unsigned.
            assert not message.commitments
            continue
        (commitment,) = message.commitments.values()
        assert commitment.evidence.base.decode() == base
        assert failing_commitments(message) == []
        assert "accept" not in commitment.committed


def lowered(given):
    return [(name.lower(), value) for name, value in given["headers"]]


def is_sound(case):
    """It sends the text `undefined` for one value of several lines."""
    return case["requests"] and "other multi-line" not in case["name"]


@vectors.each("aoconnect-httpsig.json", is_sound)
def test_what_ao_core_libs_sends_is_read(case):
    for given in case["requests"]:
        message = request(given["headers"], given["body"])
        for name, value in case["args"].items():
            if name in ("path", "method") or name not in message:
                continue
            if isinstance(value, str | int | float):
                assert vectors.notation(message[name]) == vectors.notation(js(value))
