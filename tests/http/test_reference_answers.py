"""Our answers to hand-written requests, beside those of the reference (n-http_raw_*.json).

Compared: status, every header that is part of the message, the unsigned id (the label of the HMAC
signature), and the body. What we answer otherwise is listed with its reason.
"""

from __future__ import annotations

import re

import orjson
import pytest

from hyperbeam_trio.crypto.key_file import wallet_from_jwk
from hyperbeam_trio.testing.node import running_node
from tests import vectors
from tests.support.in_memory import Client

HTML = "the reference shows a page; ours sends the error itself unless the client accepts HTML"
BRAND = "the name and version of the software are our own"
EDGE = "a signature that does not hold is refused (400), where the reference ignores it"
STRICT = "400 that says where, instead of a crash page (decision 12)"
LATER = "another device's; tested with that device or not offered"
OTHERWISE = {
    "GET with origin and request headers": BRAND,
    "http 1.0": BRAND,
    "message: whole": "a base alone is the message itself, not an empty text",
    "message: whole bundle": "as above",
    "message: whole html": "as above",
    "message: set with resolve": "a sequence as a value to set is resolved: 200",
    "message: lower key asked upper": "a key is found by its lower-case form (spec/01 §2)",
    "message: map bundle": "its signature covers other types than it sends, and can't verify",
    "error: unknown device": "404 with near misses, not 500",
    "error: unknown device bundle": "404 with near misses, not 500",
    "error: bad path parens": HTML,
    "error: bad type": "`+int` is an alias of `+integer` (decision 3)",
    "error: bad integer": STRICT,
    "error: bad scope": "a dotted key with a name before the dot is an ordinary key (decision 3)",
    "error: bad percent": STRICT,
    "error: segment too long": STRICT,
    "error: local-name register unsigned": LATER,
    "error: schedule of unknown process": LATER,
    "error: lua error": LATER,
    "error: lua missing function": LATER,
    "bad signature": EDGE,
    "bad signature bundle": EDGE,
    "old label signature is ignored": EDGE,
    "very large header value": "values of up to 64 KiB are taken (08 §2)",
    "no host header": "refused by the front door, which this test does not go through",
    "HEAD data": "needs data of an earlier flow",
    "OPTIONS preflight": "compared on its own, below",
    "message: json serialize device segment": "JSON whose members stand in another order",
}
DEVICES = ("name:", "whois:", "secret:", "query:", "profile")
TRANSPORT = frozenset(
    {
        *("signature", "signature-input", "date", "server", "transfer-encoding"),
        *("content-length", "connection", "cache-status"),
    }
)


def _in_scope(case: vectors.Case) -> bool:
    name = case["name"]
    return (
        name not in OTHERWISE
        and not name.startswith(DEVICES)
        and case["response"]["status"] not in (500,)
        and "body_omitted" not in case["request"]
    )


@pytest.fixture
async def client(key_1):
    async with running_node(wallet=key_1) as node:
        yield Client(node)


@pytest.fixture(scope="module")
def key_1():
    return wallet_from_jwk(vectors.load("keys/key-1.json"))


async def _ask(client: Client, case: vectors.Case):
    method, target, _ = case["request"]["line"].split(" ", 2)
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in case["request"]["headers"]]
    body = vectors.unbase64(case["request"].get("body_b64u", ""))
    return method, await client.ask(target, method=method, headers=headers, body=body)


def _message_headers(pairs) -> dict[str, str]:
    return {name: value for name, value in pairs if name not in TRANSPORT}


def _unsigned_labels(headers: dict[str, str]) -> list[str]:
    found = re.findall(r'(comm-[^=]+=?)=\([^)]*\);alg="hmac', headers.get("signature-input", ""))
    return sorted(label.replace("_", "-") for label in found)


def _is_page(case: vectors.Case) -> bool:
    return ["content-type", "text/html"] in case["response"]["headers"]


@vectors.each("n-http_raw_requests.json", _in_scope)
async def test_raw_requests_are_answered_alike(case, client):
    method, response = await _ask(client, case)
    _compare(case, method, response)


@vectors.each(
    "n-http_raw_reads.json",
    lambda case: case["name"].startswith("post:") and _in_scope(case),
)
async def test_raw_posts_are_answered_alike(case, client):
    method, response = await _ask(client, case)
    _compare(case, method, response)


def _compare(case, method, response) -> None:
    expected = case["response"]
    assert response.status == expected["status"]
    if _is_page(case):
        return
    got = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    wanted = dict(expected["headers"])
    if wanted.get("content-type") == "application/json":
        _compare_json(vectors.unbase64(expected["body_b64u"]), response.body)
        return
    assert _message_headers(got.items()) == _message_headers(wanted.items())
    if "+link" not in wanted.get("signature-input", ""):
        assert _unsigned_labels(got) == _unsigned_labels(wanted)
    if method != "HEAD":
        assert response.body == vectors.unbase64(expected["body_b64u"])


def _compare_json(expected: bytes, got: bytes) -> None:
    """Equal but for the order of members and the signatures, which differ from run to run."""
    left, right = orjson.loads(expected), orjson.loads(got)
    signers = [
        {c.get("committer") for c in found.pop("commitments").values()} for found in (left, right)
    ]
    assert signers[0] == signers[1]
    assert right == left


async def test_preflights_are_answered_without_asking_anybody(client):
    response = await client.ask("/anything", method="OPTIONS")
    assert response.status == 204
    assert dict(response.headers)[b"access-control-allow-headers"] == b"*"


def test_every_exception_is_a_case_that_exists():
    names = {case["name"] for case in vectors.cases("n-http_raw_requests.json")}
    assert set(OTHERWISE) <= names
