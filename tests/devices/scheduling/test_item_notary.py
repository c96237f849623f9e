"""Assignments signed as items: for definitions or nodes that want them, verifiable as any."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.ans104 import write_item
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.devices.scheduling.chain import extend_chain
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.message import Message
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.stub import answering
from tests.devices.scheduling.world import definition, listed, ping, post

AS_ITEMS = {"scheduler-commitment-spec": "ans104@1.0"}


async def spawn_with(node, **keys: str) -> tuple[str, Message]:
    process = await definition(node, **keys)
    return signed_id(process), await post(node, process)


async def test_a_definition_has_its_assignments_signed_as_items(node):
    process, first = await spawn_with(node, **AS_ITEMS)
    second = await post(node, await ping(process))
    for assignment in (first, second):
        (commitment,) = assignment.commitments.values()
        assert commitment.device == "ans104@1.0"
        assert assignment.signers == [node.address]
        assert verify_message(assignment, commitment_ids="all")
    assert second["slot"] == 1
    body = signed_id(second.message("body"))
    assert second.text("hash-chain") == extend_chain(first.text("hash-chain"), body)


async def test_they_are_the_same_when_read_again_from_the_store(node):
    process, first = await spawn_with(node, **AS_ITEMS)
    page = await node.cache.load_all(await listed(node, process))
    read = page.message("assignments").message("0")
    assert read == first
    assert signed_id(read) == signed_id(first)
    assert verify_message(read, commitment_ids="all")
    item = DataItem.parse(write_item(read).to_bytes())
    assert item.verify()
    assert (b"slot", b"0") in item.tags


async def test_the_operator_chooses_for_definitions_that_do_not_say():
    async with (
        answering(lambda asked: HttpResponse(200)) as bundler,
        running_node(
            **{"scheduler-default-commitment-spec": "ans104@1.0", "bundler-ans104": bundler.url}
        ) as node,
    ):
        _, assignment = await spawn_with(node)
        _, other = await spawn_with(node, **{"scheduler-commitment-spec": "httpsig@1.0", "x": "1"})
        await bundler.until(1)
    assert [c.device for c in assignment.commitments.values()] == ["ans104@1.0"]
    assert {c.device for c in other.commitments.values()} == {"httpsig@1.0"}
    assert DataItem.parse(bundler.asked[0].body).id == signed_id(assignment)


async def test_base_hashpaths_go_on_over_items():
    async with running_node(**{"scheduler-base-hashpath": True}) as node:
        process, first = await spawn_with(node, **AS_ITEMS)
        second = await post(node, await ping(process))
    assert first.text("base-hashpath") == process
    assert second.text("base-hashpath") == f"{process}/{signed_id(first)}"


async def test_a_codec_that_signs_no_assignments_is_refused(node):
    with pytest.raises(BadRequest, match=r"not in 'json@1\.0'"):
        await spawn_with(node, **{"scheduler-commitment-spec": "json@1.0"})
    process = await definition(node, **{"scheduler-commitment-spec": "json@1.0"})
    assert await node.cache.read(signed_id(process)) is None
