"""message@1.0: what the reference answered, and what we answer where it raised."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.devices.message import MessageDevice
from hyperbeam_trio.errors import BadRequest, Forbidden, KeyNotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node
from tests import vectors

OURS = {
    "get": "the reference raises for `get` with a key; ours looks the key up",
    "index": "the page is the peer's own",
    "commit": "compared without the commitments' order of fields, below",
}


def _plain(case: vectors.Case) -> bool:
    return str(case["request"]["path"]) not in OURS and not vectors.is_error(case["result"])


class TestContract(DeviceContract):
    device = MessageDevice
    base = {"a": "1", "nested": {"b": 2}}
    requests = [{"path": "a"}, {"path": "set", "c": "3"}, {"path": "keys"}, {"path": "id"}]


@vectors.each("n-message_device.json", _plain)
async def test_answers_as_the_reference_does(case, node):
    base, request = vectors.message(case["base"]), vectors.message(case["request"])
    status, expected = case["result"]
    if status == {"$atom": "ok"}:
        result = await node.resolve(base, request)
        result = await node.cache.load_all(result)
        assert vectors.notation(result) == vectors.normal(_without_private(expected))
    else:
        with pytest.raises(KeyNotFound):
            await node.resolve(base, request)


def _without_private(notation):
    if isinstance(notation, dict) and "$link" not in notation:
        return {k: _without_private(v) for k, v in notation.items() if k != "priv"}
    return notation


@vectors.each("n-message_device.json", lambda case: vectors.is_error(case["result"]))
async def test_never_crashes_where_the_reference_raises(case, node):
    base, request = vectors.message(case["base"]), vectors.message(case["request"])
    if case["request"]["path"] == "get":
        assert await node.resolve(base, request) == base["a"]
    else:
        with pytest.raises(BadRequest, match=r"no commitment by A{43}"):
            await node.resolve(base, request)


async def test_commit_unsigned_names_the_message_by_its_id(node):
    base = Message(a="1", b=2)
    committed = await node.resolve(base, Message(path="commit", type="unsigned"))
    assert list(committed.commitments) == ["EP5D9LtwRAfUbHjvCoDay5PQONWO1hnQuFSuGSwCyzg"]


async def test_only_the_operator_may_have_the_node_sign(node):
    with pytest.raises(Forbidden, match="operator"):
        await node.resolve(Message(a="1"), Message(path="commit"))
    request = await commit_signed(Message(path="commit"), node.wallet, limiter=node.crypto_limiter)
    signed = await node.resolve(Message(a="1"), request)
    assert signed.signers == [node.address]
    assert await node.resolve(signed, Message(path="verify", committers="all")) is True


async def test_a_change_of_a_committed_key_drops_the_signature(node):
    signed = await node.sign(Message(a="1", b=2))
    assert (await node.resolve(signed, Message(path="set", c="new"))).signers == [node.address]
    assert (await node.resolve(signed, Message(path="set", a="2"))).signers == []
    # A typed key changes `ao-types`, which is committed too.
    assert (await node.resolve(signed, Message(path="set", n=5))).signers == []


@pytest.mark.parametrize("key", ["priv", "private", "priv_x"])
async def test_private_keys_are_never_shown(node, key):
    with pytest.raises(KeyNotFound):
        await node.resolve(Message({key: "secret"}), key)
    assert key.encode() not in await node.resolve(Message({key: "secret"}), "keys")


async def test_an_unknown_set_mode_is_refused(node):
    with pytest.raises(BadRequest, match="'deep' or 'explicit'"):
        await node.resolve(Message(a="1"), Message({"path": "set", "set-mode": "sideways"}))


async def test_components_may_come_in_the_order_of_the_keys():
    async with running_node(component_order="committed") as node:
        asked = Message(path="commit", type="unsigned", committed=["c", "body", "a"])
        committed = await node.resolve(Message(a="1", body="b", c="2"), asked)
    (commitment,) = committed.commitments.values()
    assert commitment.committed == ("c", "body", "a")
    assert verify_message(committed)
