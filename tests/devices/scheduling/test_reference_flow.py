"""A schedule as the reference made it, made again by us from the very same requests.

Its answers (n-http_nodes.json) are compared header by header, but for clocks and signatures.
"""

from __future__ import annotations

import re

import orjson
import pytest

from hyperbeam_trio.crypto.key_file import wallet_from_jwk
from hyperbeam_trio.testing.node import running_node
from tests import vectors
from tests.support.in_memory import Client

FILE = "n-http_nodes.json"
POSTS = [
    "POST /~scheduler@1.0/schedule signed wrapper, body = signed process",
    "POST /~scheduler@1.0/schedule signed wrapper, body = signed message",
    "POST /~scheduler@1.0/schedule plain signed message with target (no wrapper)",
    "POST /~scheduler@1.0/schedule bundle-signed message with nested message",
    "POST /~scheduler@1.0/schedule ans104 message",
]
OURS = {"signature", "signature-input", "date", "server", "transfer-encoding", "content-length"}
OURS |= {"timestamp", "connection", "cache-status"}
# What others signed carries no status beside it.
UNSIGNED = {"status"}
REWORKED = {"content-digest", "content-type"}
"""Of the last two: the reference gives a stored message another unsigned commitment than it had."""


def case(name: str) -> vectors.Case:
    return vectors.cases(FILE, lambda one: one["name"] == f"scheduler: {name}")[0]


@pytest.fixture(scope="module")
def key_1():
    return wallet_from_jwk(vectors.load("keys/key-1.json"))


@pytest.fixture
async def client(key_1):
    async with running_node(wallet=key_1) as node:
        client = Client(node)
        for name in POSTS:
            await compare(client, case(name))
        yield client


async def ask(client: Client, one: vectors.Case):
    method, target, _ = one["request"]["line"].split(" ", 2)
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in one["request"]["headers"]]
    body = vectors.unbase64(one["request"].get("body_b64u", ""))
    response = await client.ask(target, method=method, headers=headers, body=body)
    got = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    return response, got


async def compare(client: Client, one: vectors.Case) -> None:
    response, got = await ask(client, one)
    wanted = dict(one["response"]["headers"])
    assert response.status == one["response"]["status"], response.body
    same_body = wanted["slot"] in "012"
    ours = OURS | UNSIGNED | (set() if same_body else REWORKED)
    assert comparable(got, ours) == comparable(wanted, ours)
    if same_body:
        assert response.body == vectors.unbase64(one["response"]["body_b64u"])


def comparable(headers: dict[str, str], ours: set[str]) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name not in ours}
    if "slot" in headers:
        kept["ao-types"] = kept["ao-types"].replace(', status="integer"', "")
    return kept


@pytest.mark.vectors(FILE)
async def test_messages_of_every_form_get_the_slots_and_chain_that_the_reference_gave(client):
    response, got = await ask(client, case("GET /~scheduler@1.0/slot target, signed request"))
    assert response.status == 200
    assert got["current"] == "4"
    wanted = dict(case("GET /~scheduler@1.0/slot target, signed request")["response"]["headers"])
    assert comparable(got, OURS) == comparable(wanted, OURS)


@pytest.mark.vectors(FILE)
async def test_the_schedule_as_a_message(client):
    name = "GET /~scheduler@1.0/schedule from 0 to 10, signed request, accept application/http"
    response, got = await ask(client, case(name))
    wanted = case(name)["response"]
    different = OURS | {"content-digest", "content-type"}
    assert comparable(got, different) == comparable(dict(wanted["headers"]), different)
    assert parts(response.body) == parts(vectors.unbase64(wanted["body_b64u"]))


def parts(body: bytes) -> set[bytes]:
    """The lines of all parts that do not depend on our clock and signatures.

    The reference lists assignments without the signatures of their scheduler.
    """
    lines = re.sub(rb"timestamp: \d{13}", b"timestamp: now", body).split(b"\r\n")
    said = (
        b"--",
        b"content-disposition",
        b"signature",
        b"keyid",
        b"bundle",
        b"ao-types",
        b"committer",
    )
    return {line for line in lines if not line.startswith(said) and not line[:1].isdigit()}


@pytest.mark.vectors(FILE)
async def test_the_schedule_as_json(client):
    name = "GET /~scheduler@1.0/schedule from 0 to 10, signed request, accept application/aos-2"
    response, got = await ask(client, case(name))
    wanted = orjson.loads(vectors.unbase64(case(name)["response"]["body_b64u"]))
    page = orjson.loads(response.body)
    assert got["content-type"] == "application/json"
    assert page["page_info"] == wanted["page_info"]
    for ours, theirs in zip(page["edges"], wanted["edges"], strict=True):
        assert ours["cursor"] == theirs["cursor"]
        assert ours["node"]["message"] == theirs["node"]["message"]
        assert tags(ours) == tags(theirs)


def tags(edge: dict) -> list:
    """The tags of the assignment without its clock; the reference leaves its signer out."""
    return [tag for tag in edge["node"]["assignment"]["Tags"] if tag["name"] != "Timestamp"]


@pytest.mark.vectors(FILE)
async def test_a_process_that_nobody_knows_is_not_found(client):
    response, _ = await ask(client, case("message for an unknown process"))
    assert response.status == 404
