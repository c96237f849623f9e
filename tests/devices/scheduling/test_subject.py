"""What may be scheduled: what its signers signed, and nothing that does not verify."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import without_false_inside
from hyperbeam_trio.devices.scheduling.subject import Subject, check, subject_of
from hyperbeam_trio.errors import BadRequest, NotFound
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from tests.devices.scheduling.world import OTHER, ping, signed

PROCESS = "l9ZzVYIXoWenmAjgzE2d5BUOxgm4MnyYk6uenVRX38E"
MODES = ("true", "accept_unsigned", "false")


def came_by_http(request: Message) -> Message:
    """The request as an element of the path of a request that was verified at the door."""
    checked = without_false_inside(request)
    caller = checked.with_private(
        transport={},
        signed=checked if checked.signers else None,
        forged=True if checked is not request else None,
    )
    return caller.with_private(singleton=caller)


def forged(message: Message) -> Message:
    return message.set(type="forged").with_commitments(message.commitments.values())


async def subject(node: Node, request: Message, base: Message | None = None) -> Subject:
    return await subject_of(base or Message(), request, node.context())


async def test_the_body_is_scheduled_and_else_the_request_itself(node):
    message = await ping(PROCESS)
    found = await subject(node, Message(body=message))
    assert (found.message, found.flat) == (message, False)
    found = await subject(node, came_by_http(message))
    assert (found.message, found.flat, found.verified) == (message, True, True)


async def test_a_body_that_is_text_belongs_to_the_request_itself(node):
    message = await ping(PROCESS, body="text")
    assert (await subject(node, message)).message == message


async def test_a_request_may_say_what_is_meant(node):
    message, other = await ping(PROCESS), await ping(PROCESS, data="other")
    request = Message(body=message, letter=other)
    assert (await subject(node, request.set(subject="letter"))).message == other
    assert (await subject(node, request.set(subject="base"), other)).message == other
    own = await ping(PROCESS, body=Message(x="1"), subject="self")
    assert (await subject(node, own)).message == own
    with pytest.raises(BadRequest, match="'subject' names 'nothing'"):
        await subject(node, request.set(subject="nothing"))


async def test_only_committed_keys_are_scheduled(node):
    message = await ping(PROCESS)
    beside = message.set(method="POST").with_commitments(message.commitments.values())
    assert (await subject(node, Message(body=beside))).message == message


async def test_what_is_linked_is_loaded_and_what_is_missing_is_told(node):
    message = await ping(PROCESS, nested=Message(a="1"))
    await node.cache.write(message)
    found = await subject(node, Message(body=Link(signed_id(message))))
    assert found.message == message
    with pytest.raises(NotFound, match="Cannot fully load message to schedule") as error:
        await subject(node, Message(body=Link("A" * 43)))
    assert error.value.details["unavailable"] == "A" * 43


async def test_a_message_that_lacks_a_committed_key_is_refused(node):
    message = await ping(PROCESS, data="x")
    less = message.without("data").with_commitments(message.commitments.values())
    with pytest.raises(BadRequest, match="Committed components cannot be validated"):
        await subject(node, Message(body=less))


async def test_signed_messages_pass_and_forged_ones_do_not(node):
    message = await ping(PROCESS)
    for mode in MODES:
        check(await subject(node, Message(body=message)), mode)
    for mode in ("true", "accept_unsigned"):
        with pytest.raises(BadRequest, match="Message is not valid") as error:
            check(await subject(node, Message(body=forged(message))), mode)
        assert error.value.details["commitment"] in message.commitments
    check(await subject(node, Message(body=forged(message))), "false")


async def test_one_signature_that_does_not_hold_spoils_all(node):
    message = await signed(await ping(PROCESS), OTHER)
    assert len(message.signers) == 2
    good, *others = message.commitments.values()
    spoiled = message.with_commitments([good, *(replace(c, signature=b"x" * 64) for c in others)])
    with pytest.raises(BadRequest, match="not valid"):
        check(await subject(node, Message(body=spoiled)), "true")


async def test_unsigned_messages_pass_only_where_they_may(node):
    found = await subject(node, Message(body=Message(target=PROCESS)))
    for mode in ("accept_unsigned", "false"):
        check(found, mode)
    with pytest.raises(BadRequest) as error:
        check(found, "true")
    assert "Nobody has signed it" in str(error.value.details["reason"])


async def test_a_signed_request_covers_a_body_without_commitments(node):
    wrapper = came_by_http(await signed(Message(body=Message(target=PROCESS, data="x"))))
    found = await subject(node, wrapper)
    assert found.covered
    check(found, "true")


async def test_an_unsigned_request_or_one_that_nobody_verified_covers_nothing(node):
    body = Message(target=PROCESS)
    unsigned = came_by_http(Message(body=body))
    unverified = await signed(Message(body=body))
    for wrapper in (unsigned, unverified):
        with pytest.raises(BadRequest, match="not valid"):
            check(await subject(node, wrapper), "true")


async def test_a_signed_request_does_not_mend_a_body_with_commitments_that_fail(node):
    wrapper = came_by_http(await signed(Message(body=forged(await ping(PROCESS)))))
    found = await subject(node, wrapper)
    for mode in ("true", "accept_unsigned"):
        with pytest.raises(BadRequest, match="not valid"):
            check(found, mode)
