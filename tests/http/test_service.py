"""The node's HTTP face: what goes in, what comes out, and what is refused at the edge."""

from __future__ import annotations

import orjson
import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import ConfigError
from hyperbeam_trio.http.service import serve_node
from hyperbeam_trio.message import Message, Value
from hyperbeam_trio.testing.node import TEST_SEED, running_node
from tests.support.in_memory import Client, header


class Clock(Device):
    """Counts, and breaks, for the tests of the edge."""

    name = "clock@1.0"

    def __init__(self) -> None:
        self.ticks = 0

    @key
    async def count(self, base: Message, request: Message, context: Context) -> Value:
        """How often it was executed."""
        self.ticks += 1
        return Message.of({"ticks": self.ticks})

    @key
    async def breaks(self, base: Message, request: Message, context: Context) -> Value:
        """A fault of ours with a secret in its text."""
        raise RuntimeError("the secret is 1234")

    @key
    async def who(self, base: Message, request: Message, context: Context) -> Value:
        """Who signed the request."""
        return [signer.encode() for signer in request.caller.signers] or [b"nobody"]

    @key
    async def nested(self, base: Message, request: Message, context: Context) -> Value:
        """A message with a message inside."""
        return Message(top="t", inner={"k": "v"})


DEVICES = {"clock@1.0": Clock}
UNREADABLE = [(b"signature", b"comm-x=:AAAA:"), (b"signature-input", b"rubbish(")]


@pytest.fixture
async def node():
    async with running_node(devices=DEVICES) as running:
        yield running


@pytest.fixture
def client(node):
    return Client(node)


async def _signed(node, wallet, **keys):
    """Headers and body of a request that `wallet` signed."""
    message = Message({name.replace("_", "-"): value for name, value in keys.items()})
    signed = await commit_signed(message, wallet, limiter=node.crypto_limiter)
    encoded = HTTPSIG.encode(signed, bundle=False)
    return [(name.encode(), value) for name, value in encoded.headers], encoded.body or b""


def _decoded(response) -> Message:
    return HTTPSIG.decode([(n.decode(), v) for n, v in response.headers], response.body or None)


async def test_every_answer_is_signed_by_the_node(node, client):
    answer = _decoded(await client.ask("/~message@1.0&a=1/a"))
    assert answer.signers == [node.address]
    assert verify_message(answer, commitment_ids="all")


async def test_a_node_may_be_told_not_to_sign():
    async with running_node(force_signed=False) as node:
        response = await Client(node).ask("/~message@1.0&a=1/a")
        assert header(response, "signature") is None
        assert response.body == b"1"


@pytest.mark.parametrize("slow", [True, False])
async def test_others_go_first_while_an_answer_is_made_that_is_signed_slowly(nursery, slow):
    rounds, begun = [], []

    class Watched(Ed25519Wallet):
        async def sign_async(self, data, algorithm=None, *, limiter):
            begun.append(len(rounds))
            return self.sign(data, algorithm)

    async def go_round():
        while True:
            await trio.lowlevel.checkpoint()
            rounds.append(True)

    Watched.slow = slow
    async with running_node(wallet=Watched(TEST_SEED)) as node:
        nursery.start_soon(go_round)
        answer = await Client(node).ask("/~meta@1.0/is-operator")
        nursery.cancel_scope.cancel()
    assert _decoded(answer).signers == [node.address]
    assert (begun[0] >= 2, len(rounds) >= begun[0] + 2) == (slow, slow)


async def test_a_node_may_sign_in_the_order_of_the_keys():
    async with running_node(component_order="committed") as node:
        response = await Client(node).ask("/~message@1.0&body=text&c=1")
    assert '"content-digest" "c"' in header(response, "signature-input")
    answer = _decoded(response)
    assert answer.signers == [node.address]
    assert verify_message(answer, commitment_ids="all")


async def test_a_signed_request_is_known_by_its_signer(node, client):
    wallet = generate_wallet("ed25519")
    headers, body = await _signed(node, wallet, path="/~clock@1.0/who/1", a="1")
    response = await client.ask("/ignored", headers=headers, body=body)
    assert response.body == wallet.address.encode()


async def test_tampering_with_a_signed_key_is_refused_and_named(node, client):
    headers, body = await _signed(node, generate_wallet("ed25519"), path="/~message@1.0/a", a="1")
    tampered = [(n, b"2" if n == b"a" else v) for n, v in headers]
    response = await client.ask("/x", headers=tampered, body=body)
    assert response.status == 400
    assert b"does not hold" in response.body
    assert len(header(response, "commitment")) == 43
    assert (await client.ask("/~message@1.0&a=1/a")).status == 200


async def test_tampering_with_a_signed_body_is_refused(node, client):
    headers, body = await _signed(
        node, generate_wallet("ed25519"), path="/~message@1.0/body", body="said"
    )
    assert (await client.ask("/x", headers=headers, body=body)).body == b"said"
    assert (await client.ask("/x", headers=headers, body=b"unsaid")).status == 400


async def test_only_signed_keys_of_a_signed_request_count(node, client):
    headers, body = await _signed(node, generate_wallet("ed25519"), path="/~message@1.0/b", a="1")
    response = await client.ask("/x", headers=[*headers, (b"b", b"smuggled")], body=body)
    assert response.status == 404


async def test_a_query_key_beside_a_signed_path_does_not_count(node, client):
    headers, body = await _signed(node, generate_wallet("ed25519"), path="/~message@1.0/b", a="1")
    response = await client.ask("/~message@1.0/b?b=smuggled", headers=headers, body=body)
    assert response.status == 404


async def test_a_stored_result_says_hit_and_is_not_computed_again(node, client):
    first = await client.ask("/~clock@1.0/count/ticks")
    again = await client.ask("/~clock@1.0/count/ticks")
    assert [header(r, "cache-status") for r in (first, again)] == ["miss", "hit"]
    assert first.body == again.body == b"1"
    assert node.devices.get("clock@1.0").ticks == 1


async def test_another_client_gets_the_same_stored_result(node, client):
    await client.ask("/~clock@1.0/count/ticks", headers=[(b"user-agent", b"curl")])
    again = await client.ask("/~clock@1.0/count/ticks", headers=[(b"user-agent", b"node")])
    assert header(again, "cache-status") == "hit"


async def test_a_client_may_insist_on_a_fresh_answer(node, client):
    await client.ask("/~clock@1.0/count/ticks")
    fresh = [(b"cache-control", b"no-cache")]
    assert (await client.ask("/~clock@1.0/count/ticks", headers=fresh)).body == b"2"


async def test_only_if_cached_is_504_when_nothing_is_stored(client):
    asked = [(b"cache-control", b"only-if-cached")]
    response = await client.ask("/~clock@1.0/count/ticks", headers=asked)
    assert response.status == 504


async def test_kept_answers_follow_the_options(node, client):
    await client.ask("/~clock@1.0/count/ticks")
    node.reconfigure({"force-signed": False})
    again = await client.ask("/~clock@1.0/count/ticks")
    assert (header(again, "signature"), header(again, "cache-status")) == (None, "hit")


@pytest.mark.parametrize("name", [b"accept", b"require-codec", b"accept-codec"])
async def test_json_can_be_asked_for_in_three_ways(client, name):
    response = await client.ask("/~clock@1.0/nested", headers=[(name, b"application/json")])
    assert header(response, "content-type") == "application/json"
    assert orjson.loads(response.body)["top"] == "t"


async def test_bundles_hold_nested_messages_and_links_lead_to_them(client):
    bundled = await client.ask("/~clock@1.0/nested", headers=[(b"accept-bundle", b"true")])
    assert _decoded(bundled)["inner"] == Message(k="v")
    linked = await client.ask("/~clock@1.0/nested")
    id = header(linked, "inner+link")
    assert (await client.ask(f"/{id}/k")).body == b"v"


async def test_json_with_bundles_has_everything_inline(client):
    wishes = [(b"require-codec", b"application/json"), (b"accept-bundle", b"true")]
    response = await client.ask("/~clock@1.0/nested", headers=wishes)
    assert orjson.loads(response.body)["inner"]["k"] == "v"


async def test_flat_text_is_an_answer_too(client):
    response = await client.ask("/~message@1.0&a=1/keys", headers=[(b"accept", b"flat@1.0")])
    assert b"1: a\n" in response.body


async def test_a_codec_without_bytes_is_not_acceptable(client):
    response = await client.ask(
        "/~message@1.0&a=1/a", headers=[(b"require-codec", b"structured@1.0")]
    )
    assert response.status == 406


async def test_browsers_get_pages(client):
    response = await client.ask("/~clock@1.0/nested", headers=[(b"accept", b"text/html,*/*")])
    assert header(response, "content-type").startswith("text/html")
    assert b"<td>top<td>t" in response.body


async def test_a_json_body_is_the_message(client):
    response = await client.ask(
        "/~message@1.0/n",
        method="POST",
        headers=[(b"content-type", b"application/json")],
        body=b'{"n": 5}',
    )
    assert response.body == b"5"


@pytest.mark.parametrize(
    ("target", "headers", "body", "status", "text"),
    [
        ("/~nodevice@1.0/x", [], b"", 404, b"not installed"),
        ("/~message@1.0&a=1/b", [], b"", 404, b"not_found"),
        ("/~message@1.0&n+integer=x/n", [], b"", 400, b"integer"),
        ("/%zz", [], b"", 400, b"%zz"),
        ("/" + "x" * 600, [], b"", 400, b"512"),
        ("/~message@1.0&a=%ff/a", [(b"ao-types", b'x="integer"'), (b"x", b"y")], b"", 400, b"x"),
        ("/x", [(b"content-type", b"application/json")], b'{"a":', 400, b"JSON"),
        ("/x", [(b"content-type", b'multipart/form-data; boundary="b"')], b"none", 400, b""),
        (
            "/x",
            [(b"signature", b"comm-x=:AAAA:"), (b"signature-input", b"rubbish(")],
            b"",
            400,
            b"",
        ),
        ("/~wasm-64@1.0/init", [], b"rubbish", 400, b"Invalid WebAssembly image"),
        ("/" + "A" * 43 + "/a", [], b"", 404, b"not found in cache"),
    ],
)
async def test_bad_input_is_told_apart_and_leaves_the_node_well(
    client, target, headers, body, status, text
):
    response = await client.ask(target, method="POST", headers=headers, body=body)
    assert response.status == status, response.body
    assert text in response.body
    assert header(response, "access-control-allow-origin") == "*"
    assert all(b"\n" not in value and b"\r" not in value for _, value in response.headers)
    assert (await client.ask("/~message@1.0&a=1/a")).body == b"1"


async def test_a_body_over_the_limit_is_413():
    async with running_node(max_body=1000) as node:
        client = Client(node)
        assert (await client.ask("/x", method="POST", body=b"x" * 1001)).status == 413
        assert (
            await client.ask("/~message@1.0/body", method="POST", body=b"x" * 1000)
        ).status == 200


async def test_a_fault_of_ours_shows_no_details_in_production():
    for mode, told in (("prod", False), ("debug", True)):
        async with running_node(devices=DEVICES, mode=mode) as node:
            response = await Client(node).ask("/~clock@1.0/breaks")
            assert response.status == 500
            assert (b"1234" in response.body) is told
            assert b"Traceback" not in response.body


async def test_cookies_and_credentials_are_no_keys(client):
    secret = [(b"cookie", b"session=1"), (b"authorization", b"Basic x")]
    response = await client.ask("/~message@1.0/keys", headers=secret)
    assert b"cookie" not in {value for _, value in response.headers}
    assert (await client.ask("/~message@1.0/cookie", headers=secret)).status == 404


async def test_private_keys_never_come_in_from_the_wire(client):
    response = await client.ask("/~message@1.0/keys", headers=[(b"private-x", b"1")])
    assert b"private-x" not in {value for _, value in response.headers}


async def test_the_empty_path_leads_to_the_front_page(client):
    response = await client.ask("/")
    assert (response.status, header(response, "location")) == (302, "/~hyperbuddy@1.0/dashboard")
    assert (await client.ask(header(response, "location"))).status == 200


@pytest.mark.parametrize("option", [{"operator": "unclaimed"}, {"initialized": "false"}])
async def test_a_node_that_anybody_may_take_over_is_not_put_on_the_network(option):
    async with running_node(host="0.0.0.0", port=0, **option) as node:
        with pytest.raises(ConfigError, match=r"anybody's on 0\.0\.0\.0"):
            await serve_node(node)


async def test_an_uninitialized_node_answers_only_about_itself():
    async with running_node(initialized="false") as node:
        client = Client(node)
        assert (await client.ask("/~message@1.0&a=1/a")).status == 400
        assert (await client.ask("/~meta@1.0/info/address")).status == 200


async def test_hooks_see_requests_and_answers():
    class Guard(Device):
        """Refuses one path and signs its name under answers."""

        name = "guard@1.0"

        @key
        async def request(self, base: Message, request: Message, context: Context) -> Value:
            """The request, unless it is for what is closed."""
            if "closed" in request.message("request").text("path"):
                from hyperbeam_trio.errors import Forbidden

                raise Forbidden("This way is closed.")
            return request

        @key
        async def response(self, base: Message, request: Message, context: Context) -> Value:
            """The answer with a key more."""
            return request.set(body=request.message("body").set(guarded="yes"))

    handler = {"device": "guard@1.0"}
    async with running_node(
        devices={"guard@1.0": Guard}, on={"request": handler, "response": handler}
    ) as node:
        client = Client(node)
        assert header(await client.ask("/~message@1.0&a=1/a"), "guarded") == "yes"
        refused = await client.ask("/closed")
        assert (refused.status, refused.body) == (403, b"This way is closed.")


async def test_signed_requests_are_kept(node, client):
    wallet = generate_wallet("ed25519")
    headers, body = await _signed(node, wallet, path="/~message@1.0/a", a="1")
    await client.ask("/x", headers=headers, body=body)
    stored = HTTPSIG.decode([(n.decode(), v) for n, v in headers], body or None)
    signed_id = next(c.id for c in stored.commitments.values() if c.committer)
    assert (await client.ask(f"/{signed_id}/a")).body == b"1"
