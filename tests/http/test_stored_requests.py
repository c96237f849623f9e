"""What the node keeps of requests: nothing that somebody else is only said to have signed."""

from dataclasses import replace

import pytest
import trio

from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned
from hyperbeam_trio.commitments import without_false_inside
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.http.remote import ask
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node, served

VICTIM = Ed25519Wallet(b"v" * 32)
ATTACKER = Ed25519Wallet(b"a" * 32)


async def signed(wallet, **keys) -> Message:
    return await commit_signed(Message(keys), wallet, limiter=trio.CapacityLimiter(1))


async def test_a_signed_request_is_kept_with_what_is_signed_inside_of_it():
    inner = await signed(VICTIM, said="mine", n=5)
    asked = (await signed(ATTACKER, inner=inner)).set(path="/~meta@1.0/build/node", method="POST")
    async with running_node() as node, served(node) as url, running_node() as client:
        await ask(client, url, asked, allow_private=True)
        for id in inner.commitments:
            assert await node.cache.read(id, commitments="none") == Message(said="mine", n=5)


async def test_a_signature_on_another_message_does_not_take_the_place_of_the_real_one():
    real = await signed(VICTIM, said="mine")
    forged = Message(said="forged").with_commitments(real.commitments.values())
    asked = (await signed(ATTACKER, inner=forged)).set(path="/~meta@1.0/build", method="POST")
    async with running_node() as node, served(node) as url, running_node() as client:
        await ask(client, url, asked, allow_private=True)
        for id in real.commitments:
            assert await node.cache.read(id) is None
        await node.cache.write(real)
        for id in real.commitments:
            found = await node.cache.read(id)
            assert found == Message(said="mine")


async def test_an_empty_signature_does_not_let_anybody_choose_an_id():
    real = await signed(VICTIM, said="mine")
    id = next(iter(real.commitments))
    blank = replace(real.commitments[id], signature=b"", evidence=None)
    forged = Message(said="forged").with_commitments([blank])
    asked = Message({"path": "/~meta@1.0/build", "method": "POST", "inner": forged})
    asked = await commit_signed(asked, ATTACKER, limiter=trio.CapacityLimiter(1))
    async with running_node() as node, served(node) as url, running_node() as client:
        await ask(client, url, asked, allow_private=True)
        assert await node.cache.read(id) is None


@pytest.mark.parametrize("wrap", [lambda m: [m], lambda m: Message(deeper=m)])
def test_false_signatures_are_found_however_deep(wrap):
    false = Message(a="1").with_commitments(commit_unsigned(Message(b="2")).commitments.values())
    true = commit_unsigned(Message(c="3"))
    checked = without_false_inside(Message.of({"x": wrap(false), "y": wrap(true)}))
    assert "commitments" not in repr(checked["x"])
    assert "commitments" in repr(checked["y"])


def test_a_message_without_false_signatures_stays_the_same_object():
    message = Message.of({"x": commit_unsigned(Message(a="1")), "y": [Message(b=1)]})
    assert without_false_inside(message) is message
