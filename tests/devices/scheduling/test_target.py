"""Which process a request is about, and whose word for its definition counts."""

from __future__ import annotations

import pytest

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.context import Context
from hyperbeam_trio.crypto.encoding import native_id
from hyperbeam_trio.devices.scheduling.target import (
    Target,
    definition_of,
    read_target,
    split_hint,
    target_of,
)
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Message
from hyperbeam_trio.node import Node
from tests.devices.scheduling.world import definition, ping

A, B, C = ("l9ZzVYIXoWenmAjgzE2d5BUOxgm4MnyYk6uenVRX38E", "A" * 43, "B" * 43)


@pytest.fixture
def context(node: Node) -> Context:
    return node.context()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (A.encode(), Target(A)),
        (f"/{A}".encode(), Target(A)),
        (native_id(A), Target(A)),
        (f"{A}?hint=https://x.example/".encode(), Target(A, "https://x.example/")),
        (f"{A}?hint=".encode(), Target(A)),
    ],
)
def test_a_process_is_named_by_its_id_in_any_form(given, expected):
    assert read_target("target", given) == expected


@pytest.mark.parametrize("given", [b"", b"not an id", 7, None, Message()])
def test_anything_else_is_no_process(given):
    with pytest.raises(BadRequest, match="'target' should be the id of a process"):
        read_target("target", given)


def test_a_hint_is_split_off():
    assert split_hint("alice?hint=http://h/x?y=1") == ("alice", "http://h/x?y=1")
    assert split_hint("alice") == ("alice", None)


async def test_the_message_says_it_before_the_request_and_the_base(context, node):
    process = await definition(node)
    message, request, base = await ping(A), Message(target=B), Message(process=process)
    assert await target_of(base, request, message, context) == Target(A)
    assert await target_of(base, request, process, context) == Target(signed_id(process))
    assert await target_of(base, request, None, context) == Target(B)
    assert await target_of(base, Message({"process-id": C}), None, context) == Target(C)
    assert await target_of(base, Message(), None, context) == Target(signed_id(process))
    assert await target_of(process, Message(), None, context) == Target(signed_id(process))
    assert await target_of(Message(), process, None, context) == Target(signed_id(process))
    assert await target_of(Message(process=A), Message(), None, context) == Target(A)


async def test_a_request_about_no_process_is_not_found(context):
    with pytest.raises(NotFound, match="names no process"):
        await target_of(Message(), Message(), None, context)


async def test_a_definition_is_taken_from_the_store(context, node):
    process = await definition(node)
    await node.cache.write(process)
    found = await definition_of(signed_id(process), Message(), None, context)
    assert found == process


async def test_a_definition_in_the_request_counts_if_its_signature_holds(context, node):
    process = await definition(node)
    found = await definition_of(signed_id(process), Message(process=process), None, context)
    assert found == process


async def test_nobody_can_pass_another_definition_off_as_a_process(context, node):
    process = await definition(None, scheduler="somebody else")
    forged = process.set(scheduler=node.address).with_commitments(process.commitments.values())
    assert signed_id(forged) == signed_id(process)
    assert await definition_of(signed_id(process), Message(process=forged), None, context) is None
    assert await definition_of(signed_id(process), forged, None, context) is None


async def test_keys_beside_the_signed_ones_are_no_part_of_a_definition(context, node):
    process = await definition(node)
    beside = process.set(method="POST").with_commitments(process.commitments.values())
    found = await definition_of(signed_id(process), beside, None, context)
    assert found == process
