"""Requests signed by hbsig and aoconnect, and our answers checked by http-message-signatures."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from hyperbeam_trio.crypto.key_file import generate_wallet, save_wallet, wallet_from_jwk
from tests import vectors

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js on the path"),
    pytest.mark.skipif(
        not (HERE / "node_modules" / "hbsig").exists(),
        reason="needs the npm packages of tests/interop: run `make interop`",
    ),
]


@pytest.fixture(scope="module")
def client_wallet(tmp_path_factory):
    """Where the client's key lies, and its address."""
    jwk = vectors.load("keys/key-1.json")
    file = tmp_path_factory.mktemp("client") / "key.json"
    wallet = wallet_from_jwk(jwk)
    save_wallet(wallet, file)
    return file, wallet.address


@pytest.fixture(scope="module")
def node_wallet():
    return generate_wallet("rsa")


async def _run(script: str, url: str, wallet: Path, fields: dict, *more: str) -> dict:
    command = ["node", f"clients/{script}.mjs", url, str(wallet), json.dumps(fields), *more]
    with trio.fail_after(60):
        done = await trio.run_process(
            command, cwd=HERE, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    lines = done.stdout.decode().strip().splitlines()
    assert done.returncode == 0, done.stdout.decode()
    return json.loads(lines[-1])


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"path": "/~message@1.0/a", "a": "1"}, "1"),
        ({"path": "/~message@1.0/n", "n": 42}, "42"),
        ({"path": "/~message@1.0/m/x/y", "m": {"x": {"y": 1}}, "data": "hello"}, "1"),
        ({"path": "/~message@1.0/l/2", "l": [1, "two", True]}, "two"),
        ({"path": "/~message@1.0/data", "data": "a\nb"}, "a\nb"),
        ({"path": "/~message@1.0/body", "body": "text", "a": "1"}, "text"),
    ],
)
async def test_hbsig_is_understood_and_can_check_the_answer(url, client_wallet, fields, answer):
    got = await _run("hbsig", url, client_wallet[0], fields)
    assert (got["status"], got["body"], got["verified"]) == (200, answer, True)
    assert got["out"] == answer


async def test_a_signer_through_hbsig_is_known(url, client_wallet):
    fields = {"path": "/~meta@1.0/is-operator", "a": "1"}
    assert (await _run("hbsig", url, client_wallet[0], fields))["body"] == "false"


@pytest.mark.parametrize(
    "tamper",
    [{"headers": {"a": "2"}}, {"headers": {"path": "/~message@1.0/b"}}, {"body": "unsaid"}],
)
async def test_tampering_with_what_hbsig_signed_is_refused(url, client_wallet, tamper):
    fields = {"path": "/~message@1.0/a", "a": "1", "body": "said"}
    got = await _run("hbsig", url, client_wallet[0], fields, json.dumps(tamper))
    assert got["status"] == 400


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"path": "/~message@1.0/a", "a": "1"}, "1"),
        ({"path": "/~message@1.0/data", "data": "hello"}, "hello"),
        ({"path": "/~message@1.0/Action", "Action": "Ping"}, "Ping"),
    ],
)
async def test_aoconnects_items_are_understood_and_answered_signed(
    url, client_wallet, fields, answer
):
    got = await _run("aoconnect", url, client_wallet[0], {"method": "POST", **fields})
    assert (got["status"], got["body"], got["verified"]) == (200, answer, True)


async def test_aoconnect_may_ask_for_json_in_its_signed_tags(url, client_wallet):
    fields = {"path": "/~message@1.0/a", "method": "POST", "a": "1"}
    fields["require-codec"] = "application/json"
    got = await _run("aoconnect", url, client_wallet[0], fields)
    assert got["type"] == "application/json"
    assert json.loads(got["body"])["body"] == "1"


@pytest.mark.parametrize("place", ["2", "600", "1100", "-1"])
async def test_any_flipped_byte_of_an_item_is_refused(url, client_wallet, place):
    fields = {"path": "/~message@1.0/data", "method": "POST", "data": "hello", "a": "1"}
    got = await _run("aoconnect", url, client_wallet[0], fields, place)
    assert got["status"] == 400


async def test_aoconnects_http_signatures_are_understood_too(url, client_wallet):
    fields = {"path": "/~message@1.0/a", "method": "POST", "a": "1", "signing-format": "httpsig"}
    got = await _run("aoconnect", url, client_wallet[0], fields)
    assert (got["status"], got["body"], got["verified"]) == (200, "1", True)
