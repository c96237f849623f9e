"""Messages to other nodes and their replies as messages."""

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.device import Device, key
from hyperbeam_trio.errors import BadRequest, NotFound, RemoteError
from hyperbeam_trio.http.client import ClientResponse
from hyperbeam_trio.http.remote import (
    Outgoing,
    Reply,
    ask,
    decode_reply,
    encode_request,
    own_port,
    url_of,
)
from hyperbeam_trio.message import Atom, Link, Message
from hyperbeam_trio.testing.node import running_node, served

SIGNER = Ed25519Wallet(b"s" * 32)


async def signed(message: Message) -> Message:
    return await commit_signed(message, SIGNER, limiter=trio.CapacityLimiter(1))


def codecs(name):
    return {"httpsig@1.0": HTTPSIG, "json@1.0": JSON}.get(name)


def encode(message: Message, port: int | None = None) -> Outgoing:
    return encode_request(message, codecs, port=port)


# Requests.


def test_keys_become_headers_but_path_and_method():
    found = encode(Message(path="/~x@1.0/y?z=1", method="post", a="1", n=5, body="hi"), 8734)
    headers = dict(found.headers)
    assert (found.method, found.body) == ("POST", b"hi")
    assert headers[b"a"] == b"1"
    assert headers[b"ao-types"] == b'n="integer"'
    assert headers[b"accept-bundle"] == b"true"
    assert headers[b"ao-peer-port"] == b"8734"
    assert not {b"path", b"method", b"codec-device"} & headers.keys()


def test_a_wish_of_the_message_is_not_overridden():
    assert dict(encode(Message({"accept-bundle": "false"})).headers)[b"accept-bundle"] == b"false"


def test_private_keys_are_never_sent():
    message = Message({"private": "s3cret", "priv-wallet": "s3cret", "a": "1"})
    assert b"s3cret" not in repr(encode(message.with_private(x="s3cret"))).encode()


async def test_what_was_signed_is_sent_as_it_was_signed():
    message = await signed(Message(x="1", n=5, nested={"deep": "value"}))
    found = encode(message.set(path="/~x@1.0/y", method="POST"), 8734)
    received = HTTPSIG.decode([(n.decode(), v) for n, v in found.headers], found.body)
    assert received.signers == [SIGNER.address]


async def test_a_path_that_was_signed_stays_a_key():
    found = encode(await signed(Message(path="/~x@1.0/y")))
    assert dict(found.headers)[b"path"] == b"/~x@1.0/y"


def test_other_codecs_put_the_message_into_the_body():
    message = Message({"codec-device": "json@1.0", "a": "1", "path": "/x"})
    found = encode(message)
    headers = dict(found.headers)
    assert (headers[b"codec-device"], headers[b"content-type"]) == (
        b"json@1.0",
        b"application/json",
    )
    assert JSON.from_bytes(found.body) == Message(a="1")


def test_raw_requests_are_headers_and_a_body():
    message = Message({"codec-device": "raw", "content-type": "text/plain", "n": 5, "body": "hi"})
    found = encode(message)
    assert sorted(found.headers) == [(b"content-type", b"text/plain"), (b"n", b"5")]
    assert found.body == b"hi"


def test_a_codec_that_is_none_is_refused():
    with pytest.raises(BadRequest, match="nope"):
        encode(Message({"codec-device": "nope@1.0"}))


@pytest.mark.parametrize(
    ("peer", "path", "url"),
    [
        ("http://a", "/x", "http://a/x"),
        ("http://a/", "x", "http://a/x"),
        ("http://a/base", "/x?y", "http://a/base/x?y"),
        ("http://a", "https://b/x", "https://b/x"),
        ("http://a", ".evil.example/x", "http://a/.evil.example/x"),
        ("http://a", "@evil.example/x", "http://a/@evil.example/x"),
    ],
)
def test_a_path_never_changes_the_peer(peer, path, url):
    assert url_of(peer, path) == url


# Replies.


def reply_of(message: Message, status: int = 200, *headers: tuple[bytes, bytes]) -> Reply:
    encoded = HTTPSIG.encode(message, bundle=True)
    lines = [(n.encode(), v) for n, v in encoded.headers] + list(headers)
    return decode_reply(ClientResponse(status, lines, encoded.body or b"", "http://a/x"), codecs)


def test_headers_and_body_are_the_message_without_what_is_the_connections():
    reply = reply_of(
        Message(a="1", n=5, body="hi"),
        200,
        (b"date", b"now"),
        (b"content-length", b"2"),
        (b"access-control-allow-origin", b"*"),
        (b"set-cookie", b"x=y"),
    )
    assert reply.message == Message(a="1", n=5, body="hi", status=200)
    assert reply.result is reply.message


@pytest.mark.parametrize(
    ("body", "value"), [(b"hi", b"hi"), (Atom("not_found"), Atom("not_found")), (7, 7)]
)
def test_a_reply_may_be_a_single_value(body, value):
    reply = reply_of(Message({"ao-result": "body", "body": body}))
    assert reply.result == value


def test_a_single_value_that_is_missing_is_the_empty_binary():
    assert reply_of(Message({"ao-result": "body"})).result == b""


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (201, "created"), (404, "error"), (500, "failure")]
)
def test_a_status_has_an_outcome(status, outcome):
    assert reply_of(Message(), status).outcome == outcome


def test_an_accepted_reply_is_its_result_and_others_are_errors():
    assert reply_of(Message({"ao-result": "body", "body": "x"})).accepted() == b"x"
    with pytest.raises(NotFound, match="gone"):
        reply_of(Message(body="gone"), 404).accepted()
    with pytest.raises(RemoteError, match="500"):
        reply_of(Message(body="broken"), 500).accepted()


async def test_a_signed_reply_keeps_its_signer_and_loses_what_is_not_signed():
    message = await signed(Message(a="1", n=5))
    reply = reply_of(message, 200, (b"added", b"by-somebody"), (b"date", b"now"))
    assert reply.message.signers == [SIGNER.address]
    assert reply.message == Message(a="1", n=5, status=200)


async def test_a_status_that_was_signed_is_not_replaced():
    message = await signed(Message(status=201))
    assert reply_of(message, 200).message["status"] == 201


async def test_a_tampered_reply_is_refused():
    encoded = HTTPSIG.encode(await signed(Message(a="1")), bundle=True)
    lines = [(n.encode(), b"2" if n == "a" else v) for n, v in encoded.headers]
    with pytest.raises(RemoteError, match="does not hold"):
        decode_reply(ClientResponse(200, lines, b"", "http://a/x"), codecs)


def test_an_id_that_is_none_is_refused():
    message = commit_unsigned(Message(a="1")).set_values({})
    encoded = HTTPSIG.encode(message, bundle=True)
    lines = [(n.encode(), b"2" if n == "a" else v) for n, v in encoded.headers]
    with pytest.raises(RemoteError, match="does not hold"):
        decode_reply(ClientResponse(200, lines, b"", "http://a/x"), codecs)


def test_a_reply_says_its_codec():
    response = ClientResponse(
        200, [(b"codec-device", b"json@1.0")], b'{"a": {"b": 1}}', "http://a/x"
    )
    assert decode_reply(response, codecs).message == Message(a={"b": 1}, status=200)


def test_a_body_of_another_service_stays_a_body():
    response = ClientResponse(200, [(b"content-type", b"application/json")], b"[1]", "http://a/x")
    message = decode_reply(response, codecs).message
    assert (message["body"], message["content-type"]) == (b"[1]", b"application/json")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"codec-device", b"json@1.0")], b"{"),
        ([(b"ao-types", b'n="integer"'), (b"n", b"x")], b""),
        ([(b"signature-input", b"("), (b"signature", b"(")], b""),
    ],
)
def test_rubbish_is_the_remotes_fault(headers, body):
    with pytest.raises(RemoteError, match="can't be read"):
        decode_reply(ClientResponse(200, headers, body, "http://a/x?token=s3cret"), codecs)


# Two nodes.


class Witness(Device):
    """Tells what a request says and who signed it."""

    name = "witness@1.0"
    volatile = True

    @key
    async def see(self, base: Message, request: Message, context: Context) -> Message:
        caller = request.caller
        said = {name: caller[name] for name in ("x", "n", "nested") if name in caller}
        return Message.of({"said": Message.of(said), "by": [s.encode() for s in caller.signers]})


@pytest.mark.parametrize(
    "message",
    [
        Message(x="1"),
        Message(x="1", n=5),
        Message(x="1", nested={"a": "b", "n": 1}),
        Message(x="a" * 20_000, n=1),
    ],
)
async def test_a_node_hears_who_signed_a_message(message):
    witnesses = {"witness@1.0": Witness}
    async with running_node(devices=witnesses) as peer, served(peer) as url, running_node() as node:
        asked = (await signed(message)).set(path="/~witness@1.0/see", method="POST")
        reply = await ask(node, url, asked, allow_private=True)
    assert reply.message["by"] == [SIGNER.address.encode()]
    assert reply.message["said"] == message
    assert reply.message.signers == [peer.address]


async def test_a_signer_of_typed_keys_is_heard_without_any_wish():
    async with running_node(devices={"witness@1.0": Witness}) as peer, served(peer) as url:
        sent = encode((await signed(Message(n=5))).set(path="/~witness@1.0/see", method="POST"))
        signed_headers = [h for h in sent.headers if h[0] != b"accept-bundle"]
        response = await peer.http_client.request(
            "POST", url_of(url, "/~witness@1.0/see"), headers=signed_headers, allow_private=True
        )
    assert response.header(b"by+link") == fresh_id([SIGNER.address.encode()]).encode()


@pytest.mark.parametrize(
    "message", [Message(x="1"), Message(x="1", n=5), Message(n=1, body="z" * 9000, m={"n": 2})]
)
async def test_who_signed_a_stored_message_is_seen_by_who_asks_for_it(message):
    own = await signed(message)
    id = next(c.id for c in own.commitments.values() if c.committer)
    async with running_node() as peer, served(peer) as url, running_node() as node:
        await peer.cache.write(own)
        reply = await ask(node, url, Message(path=id), allow_private=True)
    assert reply.message.signers == [SIGNER.address]
    assert reply.message == message.set(status=200)


async def test_links_are_loaded_and_sent_along():
    witnesses = {"witness@1.0": Witness}
    async with running_node(devices=witnesses) as peer, served(peer) as url, running_node() as node:
        id = await node.cache.write(Message(deep="value"))
        asked = Message(path="/~witness@1.0/see", nested=Link(id))
        reply = await ask(node, url, asked, allow_private=True)
    assert reply.message["said"] == Message(nested={"deep": "value"})


async def test_peers_are_told_the_port_that_the_node_is_served_at():
    async with running_node() as node:
        assert own_port(node) is None
        async with served(node) as url:
            assert url == f"http://127.0.0.1:{own_port(node)}/"
        node.reconfigure({"port-external": 443})
        assert own_port(node) == 443


async def test_a_single_value_may_be_wanted_with_all_that_came_with_it():
    wish = Message(path="/~message@1.0&a=1/a")
    async with running_node() as other, served(other) as url, running_node() as node:
        plain = await ask(node, url, wish, allow_private=True)
        node.reconfigure({"http-only-result": False})
        whole = await ask(node, url, wish, allow_private=True)
    assert plain.result == b"1"
    assert isinstance(whole.result, Message)
    assert whole.result["body"] == b"1"
