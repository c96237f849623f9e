"""meta@1.0: who may change the node; cache@1.0: who may write to it."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.errors import BadRequest, ConfigError, Forbidden, HyperbeamError, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node


async def _signed(node, wallet=None, **keys):
    request = Message({name.replace("_", "-"): value for name, value in keys.items()})
    return await commit_signed(request, wallet or node.wallet, limiter=node.crypto_limiter)


async def test_info_shows_options_and_address_but_nothing_private(node):
    info = await node.resolve("/~meta@1.0/info")
    assert info.text("address") == node.address
    assert info.int("port") == 8734
    assert not [key for key in info if key.startswith("priv")]


async def test_build_says_which_software_this_is(node):
    assert await node.resolve("/~meta@1.0/build/node") == b"hyperbeam-trio"


async def test_only_the_operator_changes_options(node):
    stranger = generate_wallet("ed25519")
    for request in (
        Message(path="/~meta@1.0/info", method="POST", **{"generate-index": False}),
        await _signed(node, stranger, path="/~meta@1.0/info", method="POST", port=1),
    ):
        with pytest.raises(HyperbeamError, match="Unauthorized") as caught:
            await node.resolve(request)
        assert caught.value.status == 400
    assert node.config.port == 8734


async def test_the_operator_changes_options_and_the_change_is_remembered(node):
    request = await _signed(node, path="/~meta@1.0/info", method="POST", generate_index=False)
    answer = await node.resolve(request)
    assert answer.text("body") == "Node message updated. History: 1 updates."
    assert node.config.generate_index is False
    info = await node.resolve("/~meta@1.0/info")
    assert len(info.list("node-history")) == 1


async def test_a_permanent_node_never_changes_again(node):
    await node.resolve(
        await _signed(node, path="/~meta@1.0/info", method="POST", initialized="permanent")
    )
    with pytest.raises(HyperbeamError, match="already permanent"):
        await node.resolve(await _signed(node, path="/~meta@1.0/info", method="POST", port=1))


async def test_a_wrong_option_changes_nothing(node):
    request = await _signed(node, path="/~meta@1.0/info", method="POST", prot=1)
    with pytest.raises(ConfigError, match="prot"):
        await node.resolve(request)
    assert (await node.resolve("/~meta@1.0/info")).list("node-history") == []


async def test_is_operator_tells_who_asks(node):
    assert await node.resolve("/~meta@1.0/is-operator") is False
    assert await node.resolve(await _signed(node, path="/~meta@1.0/is-operator")) is True


async def test_an_unclaimed_node_is_anybodys():
    async with running_node(operator="unclaimed") as node:
        await node.resolve(Message(path="/~meta@1.0/info", method="POST", operator="me"))
        assert node.operator == "me"


async def test_cache_reads_ids_paths_and_content_under_both_names(node):
    id = await node.cache.write(Message(a="1"))
    for name in ("read", "target"):
        assert await node.resolve({"path": "/~cache@1.0/read", name: id}) == Message(a="1")
    assert await node.resolve({"path": "/~cache@1.0/read", "read": f"{id}/a"}) == b"1"
    hash = await node.cache.write(b"bytes")
    assert await node.resolve({"path": "/~cache@1.0/read", "read": f"data/{hash}"}) == b"bytes"


async def test_what_is_not_in_the_cache_is_404(node):
    with pytest.raises(NotFound, match="nothing at"):
        await node.resolve({"path": "/~cache@1.0/read", "read": "A" * 43})


async def test_only_listed_signers_write(node):
    with pytest.raises(Forbidden, match="Not authorized"):
        await node.resolve(Message(path="/~cache@1.0/write", body="x"))
    answer = await node.resolve(await _signed(node, path="/~cache@1.0/write", body="x"))
    assert answer.int("status") == 200
    read = {"path": "/~cache@1.0/read", "read": answer.text("path")}
    assert await node.resolve(read) == b"x"


async def test_a_batch_is_answered_key_by_key(node):
    request = await _signed(
        node, path="/~cache@1.0/write", type="batch", body={"a": "1", "b": {"c": "2"}}
    )
    answer = await node.resolve(request)
    assert set(answer) == {"a", "b", "status"}


async def test_writing_nothing_or_oddly_is_refused(node):
    with pytest.raises(BadRequest, match="No body to write"):
        await node.resolve(await _signed(node, path="/~cache@1.0/write"))
    with pytest.raises(BadRequest, match="Invalid write type"):
        await node.resolve(await _signed(node, path="/~cache@1.0/write", body="x", type="odd"))


async def test_a_link_gives_a_message_a_name(node):
    id = await node.cache.write(Message(a="1"))
    request = await _signed(node, path="/~cache@1.0/link", source=id, destination="my/name")
    await node.resolve(request)
    assert await node.resolve({"path": "/~cache@1.0/read", "read": "my/name"}) == Message(a="1")
    with pytest.raises(NotFound, match="to link to"):
        await node.resolve(
            await _signed(node, path="/~cache@1.0/link", source="B" * 43, destination="x")
        )
