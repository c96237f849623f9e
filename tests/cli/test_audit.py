"""`audit`: stored states against the schedule, and against another node's."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cli import main
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import generate_wallet
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_store
from hyperbeam_trio.testing.node import fixed_wallet, running_node, served
from tests.devices.processes.conftest import Running, signed, spawn

PROGRAM = """
total = 0
function compute(base, req)
  total = total + (req.body.number or 0)
  base.results = {total = total, deep = {slot = req.slot, text = 'slot ' .. req.slot}}
  return base
end
"""
SLOTS = 40


async def _adder(node) -> Running:
    module = {"content-type": "application/lua", "body": PROGRAM}
    return await spawn(node, execution_device="lua@5.3a", module=module)


async def _filled(uri: str) -> str:
    """A process of 40 slots, all computed; its id."""
    async with running_node(store=[uri]) as node:
        process = await _adder(node)
        for number in range(1, SLOTS):
            await process.send(number=number)
        await process.state(SLOTS - 1)
        return process.id


@pytest.fixture
def store(tmp_path) -> str:
    return f"lmdb:{tmp_path}/data"


@pytest.fixture
def process(store) -> str:
    return trio.run(_filled, store)


@pytest.fixture
def audit(capfd, monkeypatch):
    """Run the command; its exit status, what it printed, what it complained about."""
    for name in ("HB_PORT", "HB_CONFIG", "HB_KEY", "HB_STORE"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> tuple[int, list[str], str]:
        with pytest.raises(SystemExit) as ended:
            main(["audit", *arguments])
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out.splitlines(), err

    return command


async def _tamper(uri: str, process: str, slot: int, change) -> None:
    """Put another state, or what `change` makes of it, where the state after a slot was."""
    store = await open_store(uri)
    cache = Cache(store)
    name = f"computed/{process}/slot/{slot}"
    state = await cache.read(await cache.lookup(name))
    await cache.link(name, await cache.write(await change(state, cache)))
    await store.close()


def test_states_that_the_schedule_gives(audit, store, process):
    code, out, _ = audit(process, "--store", store)
    assert code == 0
    assert out == [f"Replayed slots 0 to 39, compared {SLOTS} stored states: equal."]


def test_a_store_that_is_audited_stays_as_it_is(audit, store, process):
    before = trio.run(_keys, store)
    assert audit(process, "--store", store)[0] == 0
    assert trio.run(_keys, store) == before


async def _keys(uri: str) -> list[str]:
    store = await open_store(uri)
    keys = list(await store.list(""))
    await store.close()
    return keys


async def _with_total(state: Message, cache: Cache) -> Message:
    results = await cache.load(state["results"])
    deep = await cache.load(results["deep"])
    return state.set(results=results.set(total=7, deep=deep.without("text"), more="x"))


def test_a_tampered_state_is_found_with_the_keys_that_differ(audit, store, process):
    trio.run(_tamper, store, process, 33, _with_total)
    code, out, _ = audit(process, "--store", store)
    assert code == 1
    assert out == [
        "slot 33: the stored state is not what the schedule gives",
        "    results/deep/text: stored absent, replayed slot 33",
        "    results/more: stored x, replayed absent",
        "    results/total: stored 7, replayed 561",
        f"Replayed slots 0 to 39, compared {SLOTS} stored states: "
        "1 differ or are flawed, the first at slot 33.",
    ]


def test_a_range_of_slots(audit, store, process):
    trio.run(_tamper, store, process, 33, _with_total)
    code, out, _ = audit(process, "--store", store, "--from", "34")
    assert (code, out) == (0, ["Replayed slots 0 to 39, compared 6 stored states: equal."])
    assert audit(process, "--store", store, "--to", "32")[0] == 0
    assert audit(process, "--store", store, "--from", "33", "--to", "33")[0] == 1


async def _unlink(uri: str, process: str) -> None:
    store = await open_store(uri)
    await store.delete([f"name/computed/{process}/slot/{slot}" for slot in range(5, SLOTS)])
    await store.close()


def test_states_that_are_not_stored_are_not_compared(audit, store, process):
    trio.run(_unlink, store, process)
    code, out, _ = audit(process, "--store", store, "--to", "9")
    assert (code, out) == (0, ["Replayed slots 0 to 9, compared 5 stored states: equal."])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "no id of a process"),
        (["A" * 43], "No state of AAAA"),
        (["A" * 43, "--from", "5", "--to", "4"], "--to 4 comes before --from 5"),
        (["A" * 43, "--to", "4"], "is not stored here"),
        (["A" * 43, "--against", "http://127.0.0.1:1"], "did not answer"),
        (["A" * 43, "--from", "x"], "not a valid integer"),
        (["A" * 43, "--option", "port"], "expected KEY=VALUE"),
    ],
)
def test_what_can_not_be_told_ends_with_status_2(audit, store, process, arguments, complaint):
    code, _, err = audit(*arguments, "--store", store)
    assert code == 2
    assert complaint in err
    assert "Traceback" not in err


async def _forge(uri: str, process: str, slot: int, change) -> None:
    """Replace an assignment by what `change` makes of it."""
    store = await open_store(uri)
    cache = Cache(store)
    name = f"~scheduler@1.0/assignments/{process}/{slot}"
    found = await cache.load_all(await cache.read(await cache.lookup(name)))
    forged = await change(found)
    await cache.write(forged)
    await cache.link(name, signed_id(forged))
    await store.close()


async def _signed_by_a_stranger(assignment: Message) -> Message:
    return await signed(assignment.uncommitted())


async def _with_another_message(assignment: Message) -> Message:
    other = await signed(Message(type="Message", number=1_000))
    limiter = trio.CapacityLimiter(1)
    changed = assignment.uncommitted().set(body=other)
    return await commit_signed(changed, fixed_wallet(), limiter=limiter)


@pytest.mark.parametrize(
    ("change", "flaws"),
    [
        (_signed_by_a_stranger, ["no scheduler of the process has signed the assignment"]),
        (_with_another_message, ["the hash chain does not go on from the slot before"]),
    ],
)
def test_a_forged_assignment_is_found(audit, store, process, change, flaws):
    trio.run(_forge, store, process, 17, change)
    code, out, _ = audit(process, "--store", store, "--to", "17")
    assert code == 1
    assert [line for line in out if line.startswith("slot 17: ")][: len(flaws)] == [
        f"slot 17: {flaw}" for flaw in flaws
    ]


# Against another node.


async def _copied(node, process: str, store: str) -> None:
    """The same process with the same messages on another node."""
    opened = await open_store(store)
    cache = Cache(opened)
    for slot in range(SLOTS):
        name = f"~scheduler@1.0/assignments/{process}/{slot}"
        assignment = await cache.load_all(await cache.read(await cache.lookup(name)))
        await node.cache.write(assignment, names=[name])
    await node.cache.write(await cache.load_all(await cache.read(process)))
    await opened.close()


@asynccontextmanager
async def _other(store: str, process: str):
    async with running_node() as node:
        await _copied(node, process, store)
        async with served(node) as url:
            yield node, url


async def _audit_against(audit, store: str, process: str, url: str, *arguments: str):
    run = [process, "--store", store, "--against", url, *arguments]
    return await trio.to_thread.run_sync(lambda: audit(*run))


async def test_two_nodes_that_agree(audit, store, tmp_path):
    process = await _filled(store)
    async with _other(store, process) as (_, url):
        code, out, _ = await _audit_against(audit, store, process, url)
    assert code == 0
    (line,) = out
    assert line == (
        f"Replayed slots 0 to 39, compared {SLOTS} stored states "
        f"and {SLOTS} of {url.rstrip('/')}: equal."
    )


async def test_where_two_nodes_part_and_in_what(audit, store):
    process = await _filled(store)
    async with _other(store, process) as (node, url):
        await node.resolve(f"/{process}~process@1.0/compute=39")
        state = await node.resolve(f"/{process}~process@1.0/compute=21")
        name = f"computed/{process}/slot/21"
        await node.cache.link(name, await node.cache.write(await _with_total(state, node.cache)))
        code, out, _ = await _audit_against(audit, store, process, url)
    assert code == 1
    assert out[0].startswith("slot 21: http://127.0.0.1:")
    assert out[0].endswith("has another state; the nodes part here")
    assert "    results/total: there 7, replayed 231" in out
    assert out[-1].endswith("1 differ or are flawed, the first at slot 21.")


async def test_two_schedules_part_in_an_assignment(audit, store):
    process = await _filled(store)
    async with _other(store, process) as (node, url):
        name = "~scheduler@1.0/assignments/" + process
        other = await node.cache.lookup(f"{name}/30")
        await node.cache.link(f"{name}/31", other)
        changed = (await node.cache.read(other)).set(slot=31)
        await node.cache.write(changed, names=[f"{name}/31"])
        code, out, _ = await _audit_against(audit, store, process, url)
    assert code == 1
    assert out[0].startswith("slot 31: ")
    assert out[1] == "    the slot's assignments differ: these are two schedules"
    assert out[-1].endswith(f"{SLOTS - 31} differ or are flawed, the first at slot 31.")


async def _followed(store: str) -> str:
    """A process that another node schedules, computed on a store of ours."""
    async with running_node() as there, served(there) as url:
        hint = f"{there.address}?hint={url}"
        module = {"content-type": "application/lua", "body": PROGRAM}
        process = await spawn(there, execution_device="lua@5.3a", module=module, scheduler=hint)
        for number in range(5):
            await process.send(number=number)
        definition = await there.cache.load_all(await there.cache.read(process.id))
        options = {"store": [store], "http_allow_private": ["127.0.0.1"]}
        options["scheduler_async_remote_cache"] = False
        async with running_node(wallet=generate_wallet("ed25519"), **options) as here:
            await here.cache.write(definition)
            await Running(here, process.id).state(5)
    return process.id


def test_a_schedule_that_is_elsewhere_is_replayed_from_its_copies(audit, store):
    process = trio.run(_followed, store)
    code, out, err = audit(process, "--store", store)
    assert (code, out) == (0, ["Replayed slots 0 to 5, compared 6 stored states: equal."])

    assert "The schedule is elsewhere and was not checked" in err
