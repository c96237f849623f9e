"""Slots of legacynet that another node has stored as they came (spec/05 §4.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest

from hyperbeam_trio.codec.ids import link_id, signed_id
from hyperbeam_trio.codec.json import read_json
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.errors import CorruptData, NecessaryMessageNotFound
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import Node
from hyperbeam_trio.testing.node import running_node
from tests.devices.scheduling.legacynet import DEFINITION, Unit, item, sent
from tests.devices.scheduling.world import OTHER, SCHEDULER, current, listed
from tests.support.older_messages import add_signed, add_value
from tests.support.older_store import WRITERS, Layout, To, taken_over

Json = dict[str, object]
Form = Callable[[Json], bytes | Message]


def as_text(node: Json) -> bytes:
    """JSON as bytes."""
    return orjson.dumps(node)


def as_message(node: Json) -> Message:
    """JSON as the message that it is decoded to."""
    message = read_json(orjson.dumps(node))
    assert isinstance(message, Message)
    return message


def with_variant(node: Json) -> Message:
    """The same, marked as what it is."""
    return as_message({**node, "variant": "ao.TN.1"})


def page(node: Json) -> Json:
    """A page that holds one slot."""
    edges = [{"cursor": "1", "node": node}]
    return {"page_info": {"has_next_page": False}, "edges": edges}


def as_page(node: Json) -> bytes:
    """A page as bytes."""
    return as_text(page(node))


def page_message(node: Json) -> Message:
    """A page as the message that it is decoded to."""
    return as_message(page(node))


def wrapped(node: Json) -> bytes:
    """A slot with its wrapping."""
    return as_text({"node": node})


TEXTS: list[Form] = [as_text, wrapped, as_page]
MESSAGES: list[Form] = [as_message, with_variant, page_message]


@pytest.fixture
def unit() -> Unit:
    """A schedule of three slots."""
    unit = Unit(DEFINITION.id)
    unit.take(DEFINITION)
    for number in range(2):
        unit.take(item(unit.process, f"data {number}", Action="Eval"))
    return unit


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """A node that knows the process, and can ask nobody about it."""
    async with running_node() as node:
        await node.cache.write(sent(DEFINITION))
        yield node


async def hold(node: Node, slot: int, value: bytes | Message, process: str = DEFINITION.id) -> None:
    """Let the store hold `value` as an assignment."""
    await node.cache.write(value, names=[f"~scheduler@1.0/assignments/{process}/{slot}"])


@pytest.mark.parametrize("form", TEXTS)
async def test_they_are_read_as_assignments_of_ours(node, unit, form):
    for slot in range(3):
        await hold(node, slot, form(unit.node(slot)))
    assert await current(node, unit.process) == 2
    found = await Slots(node.cache, unit.process).read_whole(2)
    assert found is not None
    assert found["slot"] == 2
    assert found["epoch"] == 0
    assert found["timestamp"] == 1_700_000_000_002
    assert found["block-hash"] == b"A" * 43
    assert found.message("body")["data"] == b"data 1"
    assert signed_id(found.message("body")) == unit.slots[2][0].id


@pytest.mark.parametrize("form", TEXTS)
async def test_they_are_computed_and_listed(node, unit, form):
    for slot in range(3):
        await hold(node, slot, form(unit.node(slot)))
    state = await node.resolve(Link(unit.process), Message(path="compute", slot=2))
    assert state["at-slot"] == 2
    assert state["already-seen"] == [2, 1, 0]
    page = await listed(node, unit.process, **{"from": 1})
    found = page.message("assignments")
    assert list(found) == ["1", "2"]
    assert found.message("1").message("body")["action"] == b"Eval"
    legacy = await listed(node, unit.process, accept="application/aos-2")
    edges = orjson.loads(legacy["body"])["edges"]
    assert [edge["node"]["message"]["Data"] for edge in edges] == ["", "data 0", "data 1"]


async def test_an_assignment_may_lie_there_without_its_message(node, unit):
    message, assignment = unit.slots[1]
    await hold(node, 1, sent(assignment))
    with pytest.raises(NecessaryMessageNotFound, match=message.id):
        await Slots(node.cache, unit.process).read(1)
    await node.cache.write(sent(message))
    second = await Slots(node.cache, unit.process).read(1)
    assert second is not None
    assert second.message("body")["data"] == b"data 0"


async def test_what_lies_beside_the_signed_keys_of_an_assignment_counts_for_nothing(node, unit):
    message, assignment = (sent(one) for one in unit.slots[1])
    held = assignment.set_values({"body": sent(unit.slots[2][0]), "x": b"y"})
    await hold(node, 1, held.with_commitments(assignment.commitments.values()))
    with pytest.raises(NecessaryMessageNotFound, match=signed_id(message)):
        await Slots(node.cache, unit.process).read(1)
    await node.cache.write(message)
    found = await Slots(node.cache, unit.process).read(1)
    assert found is not None
    assert found.message("body")["data"] == b"data 0"
    assert "x" not in found


async def test_a_slot_under_the_number_of_another_is_refused(node, unit):
    await hold(node, 0, as_text(unit.node(1)))
    with pytest.raises(CorruptData, match="it says that it is slot 1"):
        await Slots(node.cache, unit.process).read(0)


@pytest.mark.parametrize("form", MESSAGES)
async def test_as_messages_they_lost_their_signatures(node, unit, form):
    for slot in range(3):
        await hold(node, slot, form(unit.node(slot)))
    with pytest.raises(CorruptData, match="does not verify"):
        await Slots(node.cache, unit.process).read(1)
    node.reconfigure({"ans104-trust-gql": True})
    state = await node.resolve(Link(unit.process), Message(path="compute", slot=2))
    assert state["already-seen"] == [2, 1, 0]
    assert list((await listed(node, unit.process)).message("assignments")) == ["0", "1", "2"]


async def test_a_message_that_was_left_out_is_looked_up(node, unit):
    message, _ = unit.slots[1]
    await hold(node, 0, as_text(unit.node(0)))
    await hold(node, 1, as_text({**unit.node(1), "message": None}))
    state = SCHEDULER.set(process=sent(DEFINITION)).set({"at-slot": 0})
    with pytest.raises(NecessaryMessageNotFound) as error:
        await node.resolve(state, Message(path="next"))
    assert error.value.details["unavailable"] == message.id
    await node.cache.write(sent(message))
    answer = await node.resolve(state, Message(path="next"))
    assert answer.message("body").message("body")["data"] == b"data 0"


async def test_what_no_scheduler_of_the_process_has_signed_is_refused(node, unit):
    unit.wallet = OTHER
    unit.take(item(unit.process, "from another"))
    await hold(node, 3, as_text(unit.node(3)))
    with pytest.raises(CorruptData, match=r"No scheduler of .* has signed"):
        await Slots(node.cache, unit.process).read(3)


async def test_what_was_changed_is_refused_unless_the_operator_trusts(node, unit):
    changed = unit.node(1)
    changed["message"] = {**as_dict(changed["message"]), "data": "changed"}
    await hold(node, 1, as_text(changed))
    with pytest.raises(CorruptData, match="does not verify"):
        await Slots(node.cache, unit.process).read(1)
    found = await Slots(node.cache, unit.process, trusting=True).read(1)
    assert found is not None
    assert found.message("body")["data"] == b"changed"


def as_dict(value: object) -> Json:
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"not JSON",
        b"[]",
        b"{}",
        b'{"edges": []}',
        Message(slot="x"),
        Message(variant="ao.TN.1"),
    ],
)
async def test_what_is_no_slot_at_all_is_damage(node, unit, rubbish):
    await hold(node, 1, rubbish)
    with pytest.raises(CorruptData, match="Slot 1"):
        await Slots(node.cache, unit.process).read(1)


@pytest.mark.parametrize("kind", ["fs", "lmdb"])
@pytest.mark.parametrize("names", ["~scheduler@1.0/assignments", "assignments"])
async def test_they_come_with_a_store_that_is_imported(
    tmp_path: Path, unit: Unit, kind: str, names: str
) -> None:
    layout: Layout = {}
    add_signed(layout, sent(DEFINITION), link_id)
    for slot in range(3):
        held = as_message(unit.node(slot))
        add_value(layout, held, link_id(held), link_id)
        layout[f"{names}/{unit.process}/{slot}"] = To(link_id(held))
    uri = f"lmdb:{tmp_path}/data"
    await taken_over(WRITERS[kind](tmp_path / "older", layout), uri)
    async with running_node(store=uri) as node:
        assert await current(node, unit.process) == 2
        state = await node.resolve(Link(unit.process), Message(path="compute", slot=2))
        assert state["already-seen"] == [2, 1, 0]
