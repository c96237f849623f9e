"""Ids and encodings of messages that nobody has seen before."""

from __future__ import annotations

from bench.timing import Result, rate
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.message import Message, Value

TEN_KEYS: dict[str, Value] = {
    **{f"key-{number}": b"value" for number in range(7)},
    "count": 7,
    "ratio": 1.5,
    "flag": True,
}


def run(quick: bool) -> list[Result]:
    """codec.unsigned_id of a fresh 10-key message; encoding and decoding it."""
    seconds = 0.1 if quick else 0.5
    message = Message.of(TEN_KEYS)
    nested = Message({"a": {"b": {"c": 1}}, "list": [1, "two", 3.0]})
    encoded = HTTPSIG.encode(message, bundle=False)
    text = JSON.to_bytes(message, bundle=True)
    return [
        rate("codec.unsigned_id", lambda: unsigned_id(Message.of(dict(TEN_KEYS))), seconds),
        rate("codec.httpsig_encode", lambda: HTTPSIG.encode(message, bundle=False), seconds),
        rate(
            "codec.httpsig_decode",
            lambda: HTTPSIG.decode(encoded.headers, encoded.body),
            seconds,
        ),
        rate("codec.httpsig_bundle", lambda: HTTPSIG.encode(nested, bundle=True), seconds),
        rate("codec.json_encode", lambda: JSON.to_bytes(message, bundle=True), seconds),
        rate("codec.json_decode", lambda: JSON.from_bytes(text), seconds),
    ]
