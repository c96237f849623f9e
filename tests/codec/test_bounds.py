"""Input made to hurt: whatever its size, it is read or refused in time that grows with it.

Nothing here measures time; what grows with the square of these sizes would take minutes.
"""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.ans104 import ANS104
from hyperbeam_trio.codec.flat import FLAT
from hyperbeam_trio.codec.httpsig import HTTPSIG, decode
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.codec.structured import from_tabm
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.bundle import FORMAT_TAGS, build_list
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.errors import BadRequest, TooLarge
from hyperbeam_trio.message import Message

MANY = 50_000


def read_or_refuse(call, *arguments):
    try:
        return call(*arguments)
    except (BadRequest, TooLarge):
        return None


TEXTS = {
    "types": b'a="integer", ' * MANY,
    "other types": b", ".join(b'k%d="atom"' % n for n in range(MANY)),
    "commas": b"," * MANY,
    "quotes": b'"' * MANY,
    "one quote": b'a="' + b"x" * MANY,
    "backslashes": b'"' + b"\\" * MANY,
    "parentheses": b"(" * MANY,
    "spaces": b" " * MANY + b"x",
    "equals": b"a=" * MANY,
    "percent signs": b"%" * MANY,
    "percent forms": b"%41" * MANY,
    "semicolons": b"a;" * MANY,
    "digits": b"9" * MANY,
    "points": b"1." * MANY,
    "items": b'"(ao-type-integer) 1", ' * MANY + b"2",
    "lists in lists": b'"(ao-type-list) ' * 300 + b"1" + b'"' * 300,
    "unquoted items": b",".join([b"(ao-type-integer) 1"] * MANY),
    "colons": b":" * MANY,
    "lines": b"a: b\r\n" * MANY,
    "blank lines": b"\r\n" * MANY,
    "dashes": b"-" * MANY,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_texts_in_every_place_where_text_is_read(text):
    for kind in ("integer", "float", "atom", "list", "map", "zorkmid"):
        types = f'a="{kind}"'.encode()
        read_or_refuse(from_tabm, {"a": text, "ao-types": types})
    read_or_refuse(from_tabm, {"a": b"1", "ao-types": text})
    for name in ("signature", "signature-input"):
        other = "signature" if name == "signature-input" else "signature-input"
        read_or_refuse(decode, [(name, text), (other, b"comm-x=:AAAA:")], b"x")
    for name in ("content-type", "ao-ids", "ao-body-key", "content-digest"):
        read_or_refuse(decode, [(name, text)], text)
    read_or_refuse(decode, [("content-type", b'multipart/form-data; boundary="-"')], text)
    for codec in (JSON, FLAT, HTTPSIG, ANS104):
        read_or_refuse(codec.from_bytes, text)


def multipart(parts):
    body = b"\r\n".join(b"--B\r\n" + part for part in parts) + b"\r\n--B--"
    return decode([("content-type", b'multipart/form-data; boundary="B"')], body)


def test_too_many_parts_are_refused():
    part = b'content-disposition: form-data;name="a"\r\n\r\nx'
    assert multipart([part] * 4096) == Message(a="x")
    with pytest.raises(TooLarge, match="4096 parts"):
        multipart([part] * 4097)


def test_paths_that_are_too_deep_are_refused():
    deep = b'content-disposition: form-data;name="%b"\r\n\r\nx'
    assert "a" in multipart([deep % (b"a/" * 255 + b"a")])
    with pytest.raises(BadRequest, match="256"):
        multipart([deep % (b"a/" * 256 + b"a")])


def test_many_headers_under_many_signatures():
    headers = [(f"%6b{n}", b"v") for n in range(5000)]
    names = " ".join(f'"k{n}"' for n in range(5000))
    labels = [f"comm-{n}" for n in range(64)]
    inputs = ", ".join(
        f'{label}=({names});alg="hmac-sha256";keyid="constant:ao";nonce="{label}"'
        for label in labels
    )
    signatures = ", ".join(f"{label}=:{n:04d}:" for n, label in enumerate(labels))
    headers += [("signature", signatures.encode()), ("signature-input", inputs.encode())]
    message = decode(headers)
    assert len(message) == 5000
    assert len(failing_commitments(message)) == len(message.commitments) == 64


def test_a_header_that_comes_again_and_again():
    message = decode([("a", b"b" * 40)] * MANY)
    assert message == Message(a=b", ".join([b"b" * 40] * MANY))


@pytest.mark.parametrize("count", [65, 5000])
def test_too_many_signatures_are_refused(count):
    signatures = ", ".join(f"comm-{n}=:AAAA:" for n in range(count))
    inputs = ", ".join(f'comm-{n}=("a");alg="x";keyid="y"' for n in range(count))
    headers = [("signature", signatures.encode()), ("signature-input", inputs.encode())]
    with pytest.raises(BadRequest, match="64"):
        decode(headers)
    nested = {f"{n:043}": {"type": b"x"} for n in range(count)}
    with pytest.raises(BadRequest, match="64"):
        from_tabm({"a": {"commitments": nested}})


def test_one_body_under_many_signatures_is_hashed_once_a_form():
    body = bytes(2_000_000)
    labels = [f"sig-{n}" for n in range(64)]
    inputs = ", ".join(
        f'{label}=("content-digest");alg="hmac-sha256";keyid="ao";nonce="{label}"'
        for label in labels
    )
    signatures = ", ".join(f"{label}=:{n:04d}:" for n, label in enumerate(labels))
    message = decode(
        [("signature", signatures.encode()), ("signature-input", inputs.encode())], body
    )
    assert len(failing_commitments(message)) == 64


def test_items_nested_too_deep_are_refused():
    item = DataItem.create(b"x")
    for _ in range(20):
        item = DataItem.create(build_list([item]), FORMAT_TAGS)
    with pytest.raises(BadRequest, match="16 deep"):
        ANS104.from_bytes(item.to_bytes())
