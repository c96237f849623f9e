"""Uploads: every slot goes to the bundlers, nobody waits for them, and a restart loses none."""

from __future__ import annotations

import pytest
import trio

from hyperbeam_trio.codec.ans104 import read_item
from hyperbeam_trio.codec.httpsig import decode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling import uploads
from hyperbeam_trio.devices.scheduling.assignment import Notary, Tip
from hyperbeam_trio.devices.scheduling.confirmation import Confirmation
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.devices.scheduling.uploads import KEPT_EVERY
from hyperbeam_trio.errors import NodeError, RemoteError
from hyperbeam_trio.http.exchange import HttpResponse
from hyperbeam_trio.message import Message
from hyperbeam_trio.service.timestamp import BlockTime
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.stub import Asked, Stub, answering
from tests.devices.scheduling.world import SCHEDULER, current, ping, post, spawn


def taking(asked: Asked) -> HttpResponse:
    return HttpResponse(200, body=b"{}")


def uploaded(stub: Stub) -> list[Message]:
    """What was sent to a bundler of httpsig messages, verified by nobody but us."""
    return [
        decode(((n, v) for n, v in asked.headers.items() if n not in TRANSPORT), asked.body or None)
        for asked in stub.asked
    ]


TRANSPORT = {"host", "content-length", "connection"}


async def test_each_message_and_each_assignment_is_uploaded_in_order():
    async with (
        answering(taking) as bundler,
        running_node(**{"bundler-httpsig": bundler.url}) as node,
    ):
        process = await spawn(node)
        sent = [await post(node, await ping(process, data=str(n))) for n in range(2)]
        await bundler.until(6)
    assert {(asked.method, asked.target) for asked in bundler.asked} == {("POST", "/tx")}
    ids = [signed_id(message) for message in uploaded(bundler)]
    assert ids[0] == process
    assert ids[2:] == [signed_id(part) for one in sent for part in (one.message("body"), one)]


async def test_items_go_to_the_bundler_of_items_as_they_were_signed():
    user = Ed25519Wallet(bytes([7]) * 32)
    async with (
        answering(taking) as bundler,
        running_node(**{"bundler-ans104": bundler.url}) as node,
    ):
        process = await spawn(node)
        item = DataItem.create(b"1 + 1", [(b"Action", b"Eval"), (b"target", process.encode())])
        signed = item.sign(user)
        message = read_item(signed)
        assert isinstance(message, Message)
        await post(node, message)
        await bundler.until(1)
    (asked,) = bundler.asked
    assert asked.body == signed.to_bytes()
    assert asked.headers["content-type"] == b"application/octet-stream"


async def test_without_a_bundler_nothing_is_kept_for_one(node):
    process = await spawn(node)
    assert await node.cache.lookup(f"~scheduler@1.0/uploads/{process}") is None
    assert "scheduler-uploads" not in node.services.names()


async def test_a_sender_does_not_wait_for_a_bundler_that_is_away():
    async with running_node(**{"bundler-httpsig": "http://127.0.0.1:1"}) as node:
        process = await spawn(node)
        assert (await post(node, await ping(process))).int("slot") == 1


async def test_a_bundler_that_comes_back_gets_what_it_missed(monkeypatch):
    monkeypatch.setattr(uploads, "FIRST_PAUSE", 0.001)
    answers = iter([503, 429])

    def busy_first(asked: Asked) -> HttpResponse:
        return HttpResponse(next(answers, 200))

    async with (
        answering(busy_first) as bundler,
        running_node(**{"bundler-httpsig": bundler.url}) as node,
    ):
        process = await spawn(node)
        await bundler.until(4)
    ids = [signed_id(message) for message in uploaded(bundler)]
    assert ids[:3] == [process] * 3
    assert len(set(ids)) == 2


async def test_processes_that_get_nowhere_hold_up_no_other():
    def stuck(asked: Asked) -> HttpResponse:
        return HttpResponse(503 if b"stuck" in asked.headers.get("name", b"") else 200)

    async with (
        answering(stuck) as bundler,
        running_node(**{"bundler-httpsig": bundler.url}) as node,
    ):
        for number in range(uploads.AT_ONCE):
            await spawn(node, name=f"stuck {number}")
        await bundler.until(uploads.AT_ONCE)
        process = await spawn(node, name="free")
        await bundler.until(uploads.AT_ONCE + 2)
    assert process in [signed_id(message) for message in uploaded(bundler)]


async def test_what_a_bundler_refuses_for_good_is_named_and_passed_over():
    def refuse_pings(asked: Asked) -> HttpResponse:
        return HttpResponse(400 if b"Ping" in asked.headers.get("action", b"") else 200)

    async with (
        answering(refuse_pings) as bundler,
        running_node(**{"bundler-httpsig": bundler.url}) as node,
    ):
        process = await spawn(node)
        refused = await post(node, await ping(process, action="Ping"))
        taken = await post(node, await ping(process, action="Pong"))
        await bundler.until(6)
        with trio.fail_after(5):
            while await node.cache.lookup(f"~scheduler@1.0/rejected/{process}/1") is None:
                await trio.lowlevel.checkpoint()
        assert await node.cache.lookup(f"~scheduler@1.0/rejected/{process}/1") == signed_id(refused)
        assert await node.cache.lookup(f"~scheduler@1.0/rejected/{process}/2") is None
    assert signed_id(taken) in [signed_id(message) for message in uploaded(bundler)]


async def test_a_node_that_starts_again_goes_on_where_it_was(tmp_path):
    store = [f"lmdb:{tmp_path}"]
    async with running_node(store=store, **{"bundler-httpsig": "http://127.0.0.1:1"}) as node:
        process = await spawn(node)
        for number in range(KEPT_EVERY):
            await post(node, await ping(process, data=str(number)))
    async with answering(taking) as bundler:
        options = {"bundler-httpsig": bundler.url}
        async with running_node(store=store, **options) as node:
            await node.resolve(SCHEDULER, "status")
            await bundler.until(2 * (KEPT_EVERY + 1))
        async with running_node(store=store, **options) as node:
            last = await post(node, await ping(process, data="last"))
            await bundler.until(2 * (KEPT_EVERY + 2))
    ids = [signed_id(message) for message in uploaded(bundler)]
    assert ids[-1] == signed_id(last)
    assert len(set(ids)) == len(ids)


# Remote confirmation.

REMOTE = {"scheduling-mode": "remote_confirmation"}


async def test_a_sender_is_answered_once_both_are_uploaded():
    async with (
        answering(taking) as bundler,
        running_node(**REMOTE, **{"bundler-httpsig": bundler.url}) as node,
    ):
        process = await spawn(node)
        assignment = await post(node, await ping(process))
        ids = [signed_id(message) for message in uploaded(bundler)]
        assert ids[2:] == [signed_id(assignment.message("body")), signed_id(assignment)]


async def test_a_slot_whose_upload_fails_is_nobodys_and_given_to_the_next():
    broken = False

    def maybe(asked: Asked) -> HttpResponse:
        return HttpResponse(500 if broken else 200)

    async with (
        answering(maybe) as bundler,
        running_node(**REMOTE, **{"bundler-httpsig": bundler.url}) as node,
    ):
        process = await spawn(node)
        broken = True
        with pytest.raises(RemoteError, match="answered 500"):
            await post(node, await ping(process, data="lost"))
        assert await current(node, process) == 0
        broken = False
        assignment = await post(node, await ping(process, data="kept"))
        assert assignment.int("slot") == 1
        assert assignment.message("body")["data"] == b"kept"


async def test_remote_confirmation_without_a_bundler_gives_no_slots():
    async with running_node(**REMOTE) as node:
        with pytest.raises(NodeError, match="has no bundler for httpsig") as error:
            await spawn(node)
        assert error.value.status == 503


async def test_what_was_uploaded_when_the_node_died_keeps_its_slot(tmp_path):
    store = [f"lmdb:{tmp_path}"]
    async with answering(taking) as bundler:
        options = {**REMOTE, "store": store, "bundler-httpsig": bundler.url}
        async with running_node(**options) as node:
            process = await spawn(node)
            message = await ping(process, data="uploaded")
            first = await Slots(node.cache, process).read(0)
            assert first is not None
            notary = Notary(process, [node.wallet])
            draft = notary.draft(message, b"compute", Tip.of(first), BlockTime(0, 0), 1)
            begun = notary.finish(draft, notary.sign(draft))
            await Confirmation(process, node).confirm(begun)
            assert await current(node, process) == 0
        uploaded_before = len(bundler.asked)
        async with running_node(**options) as node:
            senders = [await ping(process, data=f"next {number}") for number in range(4)]
            slots: list[int] = []

            async def send(message: Message) -> None:
                slots.append((await post(node, message)).int("slot"))

            async with trio.open_nursery() as nursery:
                for sender in senders:
                    nursery.start_soon(send, sender)
            assert sorted(slots) == [2, 3, 4, 5]
            kept = await Slots(node.cache, process).read(1)
    assert kept is not None
    assert signed_id(kept) == signed_id(begun)
    # However many woke the scheduler, it went on with what was left once.
    again = [signed_id(sent) for sent in uploaded(bundler)[uploaded_before:]]
    assert again.count(signed_id(begun)) == 1


async def test_what_was_refused_is_not_taken_up_again(tmp_path):
    store, refusing = [f"lmdb:{tmp_path}"], False
    async with answering(lambda asked: HttpResponse(400 if refusing else 200)) as bundler:
        options = {**REMOTE, "store": store, "bundler-httpsig": bundler.url}
        async with running_node(**options) as node:
            process = await spawn(node)
            refusing = True
            with pytest.raises(RemoteError, match="answered 400"):
                await post(node, await ping(process, data="refused"))
            refusing = False
        async with running_node(**options) as node:
            assignment = await post(node, await ping(process, data="next"))
    assert assignment.int("slot") == 1
    assert assignment.message("body")["data"] == b"next"
