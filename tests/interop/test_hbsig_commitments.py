"""Messages with nested ones that hbsig commits to, inside of requests and as requests."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trio

from hyperbeam_trio.codec.httpsig import decode
from hyperbeam_trio.commitments import failing_commitments
from hyperbeam_trio.crypto.key_file import generate_wallet, save_wallet, wallet_from_jwk
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Message
from tests import vectors

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the path"),
    pytest.mark.skipif(
        not (HERE / "node_modules" / "hbsig").exists(),
        reason="needs the npm packages of tests/interop: run `make interop`",
    ),
]

SHAPES = {
    "a map": {"m": {"x": "1"}},
    "a key and a map": {"a": "b", "m": {"x": "1", "n": 2}},
    "data and a map": {"data": "hello", "m": {"x": "1"}},
    "data of lines and a map": {"a": "b", "data": "two\nlines", "m": {"x": "1"}},
    "data that is a map": {"a": "b", "data": {"x": "1", "y": {"z": 2}}},
    "body and a map": {"body": "hello", "m": {"x": "1"}},
    "data, body and a map": {"data": "d", "body": "hello", "m": {"x": "1"}},
    "maps in maps": {"m": {"x": "1", "n": {"y": {"z": 2}}}},
    "a list of maps": {"l": [{"x": "1"}, {"y": "2"}]},
}
each_shape = pytest.mark.parametrize("shape", SHAPES)

Wire = tuple[dict[str, str], bytes]


@pytest.fixture(scope="module")
def wallet(tmp_path_factory) -> Path:
    file: Path = tmp_path_factory.mktemp("client") / "key.json"
    save_wallet(wallet_from_jwk(vectors.load("keys/key-1.json")), file)
    return file


@pytest.fixture(scope="module")
def node_wallet():
    return generate_wallet("ed25519")


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def made(wallet: Path, fields: dict[str, object], *path: str) -> dict[str, Wire]:
    """What hbsig makes of a message: `committed` inside of a request, and as one (`direct`)."""
    command = ["node", "clients/hbsig_commit.mjs", "http://localhost", str(wallet)]
    with trio.fail_after(60):
        done = await trio.run_process(
            [*command, json.dumps(fields), *path],
            cwd=HERE,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert done.returncode == 0, done.stdout.decode()
    given = json.loads(done.stdout.decode().strip().splitlines()[-1])
    return {
        kind: (one["headers"], base64.b64decode(one["body"] or "")) for kind, one in given.items()
    }


def read(headers: dict[str, str], body: bytes) -> Message:
    return decode([(name.lower(), value.encode()) for name, value in headers.items()], body)


def signed_values(message: Message) -> dict[str, object]:
    """The committed values of a message whose signatures all hold; nothing if one does not."""
    if not message.signers or failing_commitments(message):
        return {}
    keys = set.intersection(*(set(c.committed) for c in message.commitments.values()))
    return {key: message[key] for key in keys if key in message}


def changed(body: bytes) -> Iterator[bytes]:
    """A body with each byte of what it says changed, one by one, and many of the signatures'."""
    signatures = (len(body) + body.find(b"body/commitments/") + 1) % (len(body) + 1)
    for place in (*range(signatures), *range(signatures, len(body), 31)):
        byte = body[place]
        yield body[:place] + bytes([byte ^ 1]) + body[place + 1 :]


def said_after(headers: dict[str, str], body: bytes, member: str | None) -> dict[str, object]:
    try:
        message = read(headers, body)
        return signed_values(message if member is None else message.message(member))
    except BadRequest:
        return {}


@each_shape
async def test_each_committed_byte_counts(wallet, shape):
    fields = {**SHAPES[shape], "target": "a" * 43, "type": "Message"}
    for kind, member in (("committed", "body"), ("direct", None)):
        headers, body = (await made(wallet, fields))[kind]
        said = said_after(headers, body, member)
        message = read(headers, body)
        inner = message if member is None else message.message(member)
        assert set(inner) == set(said)
        for other in changed(body):
            # A byte may stand where nothing is said: in a digest that nobody reads, for example.
            assert said_after(headers, other, member) in ({}, said)


@each_shape
async def test_the_keys_that_were_committed_can_not_be_renamed(wallet, shape):
    headers, body = (await made(wallet, {**SHAPES[shape], "type": "Message"}))["committed"]
    said = said_after(headers, body, "body")
    for old, new in ((b"data: ", b"body: "), (b"data: ", b"type: "), (b"inline\r\n\r\n", b"")):
        assert said_after(headers, body.replace(old, new), "body") in ({}, said)


# The type of a list is signed beside the parts, and who reads these as one value has no list.
@pytest.mark.parametrize("shape", sorted(SHAPES.keys() - {"a list of maps"}))
async def test_a_committed_message_is_scheduled_and_verified_by_who_reads_it(
    url, client, wallet, node_wallet, shape
):
    process = await spawned(url, client, wallet, node_wallet.address)
    fields = {**SHAPES[shape], "target": process, "type": "Message"}
    headers, body = (await made(wallet, fields, f"/{process}/schedule"))["committed"]
    answer = await client.post(f"{url}/{process}/schedule", headers=headers, content=body)
    assert (answer.status_code, answer.headers["slot"]) == (200, "1")
    message = await scheduled(url, client, process)
    assert signed_values(message) == said_after(headers, body, "body")
    assert message.signers == [vectors.load("hbsig-signed.json")["address"]]


@each_shape
async def test_a_changed_message_in_an_unsigned_request_is_not_scheduled(
    url, client, wallet, node_wallet, shape
):
    process = await spawned(url, client, wallet, node_wallet.address)
    fields = {**SHAPES[shape], "target": process, "type": "Message"}
    headers, body = (await made(wallet, fields, f"/{process}/schedule"))["committed"]
    unsigned = {"path": headers["path"], "content-type": headers["content-type"]}
    tampered = body.replace(b"x: 1", b"x: 2").replace(b"hello", b"jello")
    assert tampered != body
    answer = await client.post(f"{url}/{process}/schedule", headers=unsigned, content=tampered)
    assert answer.status_code == 400
    answer = await client.post(f"{url}/{process}/schedule", headers=unsigned, content=body)
    assert answer.status_code == 200


@each_shape
async def test_a_request_with_nested_messages_is_verified(url, client, wallet, shape):
    fields = {**SHAPES[shape], "type": "Message"}
    headers, body = (await made(wallet, fields, "/~message@1.0/type"))["direct"]
    answer = await client.post(f"{url}/~message@1.0/type", headers=headers, content=body)
    assert (answer.status_code, answer.content) == (200, b"Message")
    for place in (body.index(b"x: 1") + 3, 5, len(body) - 3):
        tampered = body[:place] + b"7" + body[place + 1 :]
        answer = await client.post(f"{url}/~message@1.0/type", headers=headers, content=tampered)
        assert answer.status_code == 400


async def spawned(url, client, wallet, scheduler) -> str:
    fields = {"device": "process@1.0", "type": "Process", "scheduler": scheduler}
    headers, body = (await made(wallet, fields))["committed"]
    answer = await client.post(f"{url}/~process@1.0/schedule", headers=headers, content=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["process"]


async def scheduled(url, client, process) -> Message:
    """The message at slot 1, as another node gets it."""
    answer = await client.get(
        f"{url}/{process}/schedule?from=1&to=1", headers={"accept-bundle": "true"}
    )
    listed = read(dict(answer.headers), answer.content)
    return listed.message("assignments").message("1").message("body")
