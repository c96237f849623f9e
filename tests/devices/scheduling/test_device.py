"""`scheduler@1.0` as devices and clients ask it."""

from __future__ import annotations

import orjson
import pytest
import trio

from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import save_wallet
from hyperbeam_trio.devices.scheduler import SchedulerDevice
from hyperbeam_trio.errors import BadRequest, CorruptData, NotFound
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.testing.device import DeviceContract
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.world import (
    OTHER,
    SCHEDULER,
    USER,
    current,
    definition,
    listed,
    ping,
    post,
    signed,
    spawn,
)
from tests.support.in_memory import Client

UNKNOWN = "A" * 43


class TestContract(DeviceContract):
    device = SchedulerDevice
    requests = ({"path": "status"}, {"path": "init"}, {"path": "checkpoint"})  # type: ignore[assignment]
    plain_keys = False

    async def test_never_shows_private_keys(self) -> None:
        async with running_node() as node:
            with pytest.raises(NotFound):
                await node.resolve(SCHEDULER, "private-probe")


@pytest.fixture
async def process(node) -> str:
    return await spawn(node)


# POST.


async def test_a_process_is_spawned_by_scheduling_its_definition(node):
    process = await definition(node)
    assignment = await post(node, process)
    assert assignment.text("process") == signed_id(process)
    assert assignment.int("slot") == 0
    assert assignment.signers == [node.address]
    assert await node.cache.read(signed_id(process)) == process


async def test_a_rejected_spawn_creates_nothing(node):
    process = await definition(node)
    forged = process.set(extra="1").set(type="process")
    for bad in (forged.with_commitments(process.commitments.values()), process.uncommitted()):
        with pytest.raises(BadRequest):
            await post(node, bad)
        assert await node.store.list() == []
        assert node.schedulers.names() == []
    assert (await post(node, process)).int("slot") == 0


async def test_a_definition_that_names_no_scheduler_is_refused(node):
    process = await definition(None)
    with pytest.raises(BadRequest, match="No scheduler information provided"):
        await post(node, process)
    assert await node.store.list() == []


async def test_a_message_for_a_process_that_nobody_knows_is_not_found(node):
    with pytest.raises(NotFound, match=f"Process {UNKNOWN} is not known here"):
        await post(node, await ping(UNKNOWN))


async def test_a_message_may_come_before_the_definition_is_scheduled(node):
    process = await definition(node)
    base = SCHEDULER.set(process=process)
    request = Message(path="schedule", method="POST").set(body=await ping(signed_id(process)))
    assignment = await node.resolve(base, request)
    assert assignment["slot"] == 0
    assert await node.cache.read(signed_id(process)) == process


async def test_a_messages_own_path_is_the_key_that_its_slot_calls(node, process):
    message = await signed(Message(target=process, path="/info/x"))
    assert (await post(node, message)).text("path") == "info/x"


async def test_a_process_may_be_scheduled_by_another_identity_of_the_node(tmp_path):
    save_wallet(OTHER, tmp_path / "other.json")
    identities = {"other": {"priv-wallet": str(tmp_path / "other.json")}}
    async with running_node(identities=identities) as node:
        for named in ("other", OTHER.address, f'"{OTHER.address}", somebody-else'):
            process = await definition(None, scheduler=named)
            assert (await post(node, process)).signers == [OTHER.address]
        both = await definition(None, scheduler=[node.address, "other"])
        assert sorted((await post(node, both)).signers) == sorted([node.address, OTHER.address])


async def test_scheduler_location_is_an_older_name_of_the_scheduler(node):
    process = await definition(None, **{"scheduler-location": node.address})
    assert (await post(node, process)).int("slot") == 0


async def test_an_unsigned_message_is_scheduled_where_the_operator_says_so():
    async with running_node(**{"verify-assignments": "accept_unsigned"}) as node:
        process = await spawn(node)
        assert (await post(node, Message(target=process))).int("slot") == 1


# Slots and lists.


async def test_the_slot_before_the_first_is_minus_one(node):
    process = await definition(node)
    await node.cache.write(process)
    assert await current(node, signed_id(process)) == -1
    page = await listed(node, signed_id(process))
    assert page.message("assignments") == Message()
    assert page["continues"] is False


async def test_slot_says_who_signs_and_what_time_it_is(node, process):
    slot = await node.resolve(SCHEDULER, Message(path="slot", target=process))
    assert slot == Message(
        {
            "process": process,
            "current": 0,
            "addresses": [node.address],
            "timestamp": 0,
            "block-height": 0,
            "block-hash": "A" * 43,
            "cache-control": "no-store",
        }
    )


@pytest.mark.parametrize("path", ["slot", "schedule"])
async def test_reading_a_process_that_nobody_knows_is_not_found(node, path):
    with pytest.raises(NotFound, match="is not known here"):
        await node.resolve(SCHEDULER, Message(path=path, target=UNKNOWN))


async def test_status_lists_the_schedulers_that_run(node, process):
    status = await node.resolve(SCHEDULER, "status")
    assert status == Message(
        {"address": node.address, "processes": [process], "cache-control": "no-store"}
    )


async def test_an_unknown_key_means_schedule(node, process):
    page = await node.resolve(SCHEDULER, Message(path="register", target=process))
    assert page.text("type") == "schedule"


async def test_a_list_holds_links_that_lead_to_the_assignments(node, process):
    await post(node, await ping(process, action="Ping"))
    page = await listed(node, process)
    assert sorted(page.message("assignments")) == ["0", "1"]
    assert all(isinstance(one, Link) for one in page.message("assignments").values())
    path = f"/~scheduler@1.0&target={process}/schedule&target={process}/assignments/1/body/action"
    assert await node.resolve(path) == b"Ping"


async def test_paging_over_1011_slots_loses_none(node, process):
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(_post_many, node, process, number)
    await _post_many(node, process, 10, count=1010 - 1000)
    seen, first, pages = [], 0, []
    while True:
        page = await listed(node, process, **{"from": first})
        slots = sorted(map(int, page.message("assignments")))
        pages.append(len(slots))
        seen += slots
        if not page["continues"]:
            break
        first = slots[-1] + 1
    assert seen == list(range(1011))
    assert pages == [1001, 10]
    past = await listed(node, process, **{"from": 1008, "to": 5000})
    assert sorted(past.message("assignments")) == ["1008", "1009", "1010"]
    assert past["continues"] is False


async def _post_many(node, process: str, name: int, count: int = 100) -> None:
    for number in range(count):
        await post(node, await ping(process, data=f"{name}/{number}"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("from=1&to=2", ["1", "2"]),
        ("from=&to=", ["0", "1", "2", "3"]),
        ("from=-4&to=0", ["0"]),
        ("from=7", []),
        ("from+integer=3", ["3"]),
    ],
)
async def test_ranges_come_as_clients_write_them(node, process, query, expected):
    for _ in range(3):
        await post(node, await ping(process))
    client = Client(node)
    target = f"/~scheduler@1.0/schedule?target={process}&{query}&accept=application%2Faos-2"
    response = await client.ask(target)
    assert [str(edge["cursor"]) for edge in orjson.loads(response.body)["edges"]] == expected


async def test_a_slot_that_is_no_number_is_refused(node, process):
    with pytest.raises(BadRequest, match="'from'"):
        await listed(node, process, **{"from": "first"})


async def test_json_is_asked_for_by_accept(node, process):
    await post(node, await ping(process, data="hello", **{"x-reply-to": "you"}))
    page = await listed(node, process, accept="application/aos-2")
    assert page.text("content-type") == "application/json"
    edges = orjson.loads(page.binary("body"))["edges"]
    item = edges[1]["node"]["message"]
    assert item["Target"] == process
    assert item["Owner"] == item["From"] == USER.address
    assert item["Data"] == "hello"
    assert item["Tags"] == [
        {"name": "Type", "value": "Message"},
        {"name": "X-Reply-To", "value": "you"},
    ]
    assert edges[1]["node"]["assignment"]["Owner"] == node.address


# What process@1.0 asks.


async def test_next_is_the_assignment_behind_a_state(node, process):
    definition_ = await node.cache.read(process)
    messages = [await ping(process, nested=Message(n=str(n))) for n in range(3)]
    for message in messages:
        await post(node, message)
    state = SCHEDULER.set(process=definition_).set({"at-slot": 0})
    for slot, message in enumerate(messages, 1):
        found = await node.resolve(state, Message(path="next"))
        assignment = found.message("body")
        assert assignment.int("slot") == slot
        assert assignment.message("body") == message
        assert assignment.message("body").commitments == message.commitments
        assert assignment.signers == [node.address]
        state = found.message("state").set({"at-slot": slot})
    with pytest.raises(NotFound, match="not yet available") as error:
        await node.resolve(state, Message(path="next"))
    assert error.value.details == {
        "reason": "Requested slot not yet available in schedule.",
        "slot": 4,
    }


async def test_next_begins_with_slot_0(node, process):
    state = SCHEDULER.set(process=await node.cache.read(process))
    found = await node.resolve(state, Message(path="next"))
    assert found.message("body").int("slot") == 0


async def test_next_reads_ahead_where_a_read_takes_time(node, process):
    for _ in range(4):
        await post(node, await ping(process))
    node.store.scope = "remote"
    state = SCHEDULER.set(process=await node.cache.read(process))
    found = await node.resolve(state, Message(path="next"))
    ahead = found.message("state").private["scheduler@1.0/assignments"]
    assert sorted(ahead) == [1, 2, 3, 4]
    state = found.message("state").set({"at-slot": 0})
    found = await node.resolve(state, Message(path="next"))
    assert found.message("body") is ahead[1]
    node.reconfigure({"scheduler-lookahead": False})
    state = SCHEDULER.set(process=await node.cache.read(process))
    found = await node.resolve(state, Message(path="next"))
    assert not found.message("state").private.get("scheduler@1.0/assignments")


@pytest.mark.parametrize("scope", ["local", "remote"])
async def test_what_can_not_be_read_ahead_is_no_error_before_its_turn(node, process, scope):
    for _ in range(4):
        await post(node, await ping(process))
    await node.cache.write(b"no slot", names=[f"~scheduler@1.0/assignments/{process}/2"])
    node.store.scope = scope
    state = SCHEDULER.set(process=await node.cache.read(process))
    for slot in range(2):
        found = await node.resolve(state, Message({"path": "next", "to": 4}))
        assert found.message("body").int("slot") == slot
        state = found.message("state").set({"at-slot": slot})
    with pytest.raises(CorruptData, match="Slot 2"):
        await node.resolve(state, Message({"path": "next", "to": 4}))


# Over HTTP.


async def ask(client: Client, method: str, target: str, message: Message | None = None):
    encoded = None if message is None else encode(message, bundle=True)
    headers = [] if encoded is None else [(n.encode(), v) for n, v in encoded.headers]
    body = b"" if encoded is None else encoded.body or b""
    response = await client.ask(target, method=method, headers=headers, body=body)
    return response.status, {n.decode(): v.decode("latin-1") for n, v in response.headers}, response


async def test_a_flat_message_is_what_its_signer_signed(node, process):
    client = Client(node)
    message = await ping(process, action="Ping")
    status, headers, _ = await ask(client, "POST", "/~scheduler@1.0/schedule", message)
    assert status == 200
    assert headers["slot"] == "1"
    assert headers["path"] == "compute"
    assert headers["body+link"] == signed_id(message)
    assert await node.cache.read(signed_id(message)) == message


async def test_the_path_of_a_flat_message_is_only_its_way(node, process):
    message = await signed(Message(target=process, path="/~scheduler@1.0/schedule", a="1"))
    _, headers, _ = await ask(Client(node), "POST", "/~scheduler@1.0/schedule", message)
    assert headers["path"] == "compute"
    assert headers["body+link"] == signed_id(message)


async def test_a_definition_as_the_whole_request_spawns(node):
    process = await definition(node, device="scheduler@1.0")
    status, headers, _ = await ask(Client(node), "POST", "/schedule", process)
    assert status == 200
    assert headers["process"] == headers["body+link"] == signed_id(process)


async def test_a_body_that_only_the_request_signs_is_scheduled(node, process):
    body = Message(target=process, type="Message", data="code")
    wrapper = await signed(Message(body=body, path="/~scheduler@1.0/schedule"))
    status, headers, response = await ask(Client(node), "POST", "/~scheduler@1.0/schedule", wrapper)
    assert status == 200, response.body
    assert headers["slot"] == "1"
    page = await listed(node, process, accept="application/aos-2")
    item = orjson.loads(page.binary("body"))["edges"][1]["node"]["message"]
    assert await node.cache.read(item["Id"]) == body


async def test_a_signed_request_does_not_cover_a_body_whose_signature_does_not_hold(node, process):
    message = await ping(process)
    forged = message.set(type="forged").with_commitments(message.commitments.values())
    for body in (forged, message.set(nested=forged)):
        wrapper = await signed(Message(body=body), OTHER)
        status, _, response = await ask(Client(node), "POST", "/~scheduler@1.0/schedule", wrapper)
        assert status == 400, response.body
    assert await current(node, process) == 0


async def test_an_unsigned_request_schedules_nothing(node, process):
    body = Message(target=process, type="Message")
    for message in (Message(body=body), body):
        status, headers, response = await ask(
            Client(node), "POST", "/~scheduler@1.0/schedule", message
        )
        assert status == 400
        assert response.body == b"Message is not valid."
        assert "Nobody has signed it" in headers["reason"]
    assert await current(node, process) == 0


async def test_the_newest_slot_as_text(node, process):
    await post(node, await ping(process))
    _, headers, response = await ask(
        Client(node), "GET", f"/~scheduler@1.0/slot/current?target={process}"
    )
    assert response.body == b"1"
    assert headers["ao-types"].startswith('body="integer"')


async def test_answers_about_the_newest_slot_are_never_kept(node, process):
    client = Client(node)
    target = f"/~scheduler@1.0/slot/current?target={process}"
    for slot in range(1, 4):
        await post(node, await ping(process))
        _, _, response = await ask(client, "GET", target)
        assert response.body == str(slot).encode()


async def test_next_reads_ahead_what_is_wanted_in_turn(node, process):
    for number in range(20):
        await post(node, await ping(process, number=number))
    state = SCHEDULER.set({"process": process, "at-slot": -1})
    seen = []
    for slot in range(21):
        answer = await node.resolve(state, Message({"path": "next", "to": 12}))
        assert answer["body"]["slot"] == slot
        seen.append([each["slot"] for each in answer.get("following", [])])
        state = answer["state"].set_values({"at-slot": slot})
    assert all(slots == list(range(n + 1, n + 1 + len(slots))) for n, slots in enumerate(seen))
    assert max(map(max, filter(None, seen))) == 12
    assert min(len(slots) for slots in seen[1:4]) >= 8


async def test_next_alone_reads_one(node, process):
    await post(node, await ping(process))
    state = SCHEDULER.set({"process": process, "at-slot": -1})
    assert "following" not in await node.resolve(state, "next")


async def test_behind_a_large_message_nothing_is_read_ahead(node, process):
    for size in (1, 1_000_000, 1):
        await post(node, await ping(process, data="x" * size))
    state = SCHEDULER.set({"process": process, "at-slot": -1})
    answer = await node.resolve(state, Message({"path": "next", "to": 3}))
    assert [each["slot"] for each in answer["following"]] == [1, 2]
