"""Kills a node at random moments while clients post to it, and checks what is left of it.

By hand: `python -m tests.support.crash --kills 500 --store lmdb`. Eight clients post messages, each
of them once, to one process; one more asks for its newest state, so that states and snapshots are
being written too. After the last kill every acknowledged message must have its slot, in order and
exactly once, under the id that was acknowledged; the chain must hold, nothing in the store may be
damaged, and the states must be those that the schedule gives.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.cache.verify import Damage, verify
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import decode, encode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.commitments import verify_message
from hyperbeam_trio.crypto.key_file import load_wallet, save_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling.chain import extend_chain
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.message import Link, Message
from hyperbeam_trio.node import open_node
from hyperbeam_trio.store import Store, open_store

CLIENTS = 8
USER = Ed25519Wallet(bytes(range(64, 96)))
PROGRAM = """
count = 0
function compute(base, req)
  count = count + 1
  base.results = {count = count, number = req.body.number}
  return base
end
"""
STARTING = 0.5
"""Seconds from the start of a node within which it is killed while it starts."""
WORKING = 0.3
"""Seconds from the first acknowledged message of a node within which it is killed otherwise."""


class Broken(AssertionError):
    """What a killed node must not leave behind."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a client was told: the slot of its message, and the assignment's id."""

    message: str
    slot: int
    assignment: str


@dataclass(slots=True)
class Crashes:
    """One store, the node on it that is killed again and again, and what clients were told."""

    folder: Path
    scheme: str
    random: Random
    process: str = ""
    kills: int = 0
    while_starting: int = 0
    posted: int = 0
    states_read: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)

    @property
    def store(self) -> str:
        """The URI of the store."""
        return f"{self.scheme}:{self.folder}/data"

    async def prepare(self) -> None:
        """Spawn the process, on a node that is not killed."""
        wallet = self.folder / "key.json"
        save_wallet(Ed25519Wallet(bytes([5]) * 32), wallet)
        module = {"content-type": "application/lua", "body": PROGRAM}
        definition = Message(
            {
                "device": "process@1.0",
                "type": "Process",
                "execution-device": "lua@5.3a",
                "module": module,
                "scheduler": load_wallet(wallet).address,
            }
        )
        signed = await _signed(definition)
        self.process = signed_id(signed)
        async with self._node() as node, httpx.AsyncClient(timeout=30) as client:
            url = await _url_of(node)
            self.acknowledged.append(await _post(client, url, signed))

    async def kill_once(self) -> None:
        """Start the node, let clients work, and kill it at some moment."""
        self.kills += 1
        async with self._node() as node:
            if self.kills % 5 == 0:
                self.while_starting += 1
                await trio.sleep(self.random.uniform(0, STARTING))
                return
            url = await _url_of(node)
            async with httpx.AsyncClient(timeout=60) as client, trio.open_nursery() as nursery:
                first = trio.Event()
                for _ in range(CLIENTS):
                    nursery.start_soon(self._post_on, client, url, first)
                nursery.start_soon(self._read_on, client, url)
                await first.wait()
                await trio.sleep(self.random.uniform(0, WORKING))
                node.kill()

    @asynccontextmanager
    async def _node(self) -> AsyncIterator[trio.Process]:
        """A node in a process of its own, which is killed at the end."""
        arguments = ["start", "--port", "0", "--store", self.store, "--wallet", "key.json"]
        # Often, so that snapshots are written at the moments of death too.
        arguments += ["--option", "process-snapshot-slots=10", "--option", "log-level=warning"]
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "hyperbeam_trio", *arguments],
            stdout=subprocess.PIPE,
            cwd=self.folder,
        )
        try:
            yield process
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()

    async def _post_on(self, client: httpx.AsyncClient, url: str, first: trio.Event) -> None:
        """Post one message after another until the node is gone; no message twice."""
        while True:
            self.posted += 1
            keys = {"type": "Message", "target": self.process, "number": self.posted}
            message = await _signed(Message(keys))
            try:
                self.acknowledged.append(await _post(client, url, message))
            except httpx.TransportError:
                return
            first.set()

    async def _read_on(self, client: httpx.AsyncClient, url: str) -> None:
        """Ask for the newest state until the node is gone."""
        while True:
            try:
                answer = await client.get(f"{url}/{self.process}~process@1.0/now/results/count")
            except httpx.TransportError:
                return
            if answer.status_code != 200:
                raise Broken(f"now: {answer.status_code} {answer.text[:300]}")
            self.states_read += 1

    async def check(self) -> int:
        """Everything that must hold after the last kill; how many slots there are.

        Raises `Broken` with what does not hold.
        """
        store = await open_store(self.store)
        try:
            await _check_store(store)
            found = await _read_slots(Slots(Cache(store), self.process), Cache(store))
        finally:
            await store.close()
        for told in self.acknowledged:
            if told.slot >= len(found):
                raise Broken(f"Slot {told.slot} was acknowledged and is gone.")
            if found[told.slot] != told:
                raise Broken(f"Slot {told.slot} is {found[told.slot]}; {told} was acknowledged.")
        if len({slot.message for slot in found}) != len(found):
            raise Broken("A message that was posted once has two slots.")
        await self._check_states(len(found))
        return len(found)

    async def _check_states(self, slots: int) -> None:
        wallet = load_wallet(self.folder / "key.json")
        async with open_node(store=self.store, wallet=wallet, log_level="warning") as node:
            state = await node.resolve(Link(self.process), "now")
            results = await node.resolve(state, "results")
        if not isinstance(state, Message) or not isinstance(results, Message):
            raise Broken(f"The newest state is {state!r:.200}.")
        if (state["at-slot"], results["count"]) != (slots - 1, slots):
            raise Broken(f"{slots} slots make {state['at-slot']!r} and count {results['count']!r}.")

    async def audit(self) -> str:
        """Replay all slots; `Broken` where a state that was stored at some time is another one."""
        command = [sys.executable, "-m", "hyperbeam_trio", "audit", self.process]
        done = await trio.run_process(
            [*command, "--store", self.store],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        said = done.stdout.decode().strip()
        if done.returncode != 0:
            raise Broken(f"audit: {said}")
        return said

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.while_starting} while starting), {self.posted} posted, "
            f"{len(self.acknowledged)} acknowledged, {self.states_read} states read"
        )


async def _signed(message: Message) -> Message:
    return await commit_signed(message, USER, limiter=trio.CapacityLimiter(1))


async def _url_of(node: trio.Process) -> str:
    """Where a node listens, as soon as it says so."""
    said = b""
    if node.stdout is None:
        raise Broken("The node has no standard output.")
    while b"url:" not in said or not said.endswith(b"\n"):
        chunk = await node.stdout.receive_some()
        if not chunk:
            raise Broken(f"The node did not start: {said!r}")
        said += chunk
    return said.split()[1].decode().rstrip("/")


async def _post(client: httpx.AsyncClient, url: str, message: Message) -> Acknowledged:
    """What the node says of a message; `Broken` where it refuses it."""
    encoded = encode(message, bundle=True)
    headers = [(name.encode(), value) for name, value in encoded.headers]
    target = f"{url}/~scheduler@1.0/schedule"
    answer = await client.post(target, headers=headers, content=encoded.body or b"")
    if answer.status_code != 200:
        raise Broken(f"The node refused a message: {answer.status_code} {answer.text[:300]}")
    pairs = [(name.decode().lower(), value) for name, value in answer.headers.raw]
    told = decode(pairs, answer.content or None)
    return Acknowledged(signed_id(message), told.int("slot"), signed_id(told))


async def _check_store(store: Store) -> None:
    async with aclosing(verify(store)) as findings:
        async for found in findings:
            if isinstance(found, Damage):
                raise Broken(f"{found.kind}: {found.key}: {found.reason}")


async def _read_slots(slots: Slots, cache: Cache) -> list[Acknowledged]:
    """All slots in their order; `Broken` for a hole, a false signature or a broken chain."""
    names = await cache.names(slots.name(0).removesuffix("0"))
    found: list[Acknowledged] = []
    chain: str | None = None
    for slot in range(len(names)):
        assignment = await slots.read(slot)
        if assignment is None:
            raise Broken(f"There are {len(names)} slots, but no slot {slot}.")
        body = assignment["body"]
        message = body.id if isinstance(body, Link) else ""
        if assignment.int("slot") != slot or not verify_message(assignment, commitment_ids="all"):
            raise Broken(f"Slot {slot} holds {assignment!r:.300}.")
        before, chain = chain, assignment.text("hash-chain")
        if chain != extend_chain(before, message):
            raise Broken(f"The chain does not hold at slot {slot}.")
        found.append(Acknowledged(message, slot, signed_id(assignment)))
    return found


async def run(scheme: str, kills: int, folder: Path, seed: int = 0) -> Crashes:
    """Kill a node on a store of `scheme` so many times, then check; raises `Broken`."""
    crashes = Crashes(folder, scheme, Random(seed))
    await crashes.prepare()
    for number in range(kills):
        await crashes.kill_once()
        if number % 50 == 49:
            slots = await crashes.check()
            print(f"{slots} slots hold after {crashes}", flush=True)
    slots = await crashes.check()
    print(f"{slots} slots hold after {crashes}", flush=True)
    print(await crashes.audit(), flush=True)
    return crashes


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--store", choices=["lmdb", "fs"], default="lmdb")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trio.run(run, given.store, given.kills, Path(folder), given.seed)


if __name__ == "__main__":
    main()
