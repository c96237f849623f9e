"""Processes on a node of their own, asked over HTTP: reading, resuming, and a thousand in turn."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import trio

from bench.load import Load, exchange, get_request
from bench.processes import Program, aos, post_request, stand_in
from bench.suite_http import _stored
from bench.timing import ROUNDS, Result, summary
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import load_wallet

WARM = 64


def run(quick: bool) -> list[Result]:
    """process.read_slot_ratio, resume_cold and rss_1000."""
    program = aos()
    return [
        *reading(program, 1.0 if quick else 6.0),
        resuming(program),
        resident(program, 96 if quick else 1000),
    ]


class Client:
    """Spawns processes of one program on a node and sends them messages."""

    def __init__(self, load: Load, program: Program) -> None:
        self._load = load
        self._program = program
        self._address = load_wallet(load.folder / "hyperbeam-key.json").address
        load.put(program.module)

    def spawn(self, seed: object) -> str:
        """A new process; its id."""
        definition = trio.run(self._program.spawn, self._address, seed)
        self._post(post_request(definition))
        return signed_id(definition)

    def send(self, process: str) -> None:
        """Give the program's message the next slot."""
        self._post(post_request(trio.run(self._program.send, process)))

    def compute(self, process: str, slot: int) -> bytes:
        """The answer to a question for a slot."""
        answer = exchange(self._load.port, get_request(slot_target(process, slot), {}))
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"Slot {slot} was not computed: {answer[:600]!r}")
        return answer

    def go_on(self, process: str, last: int, slots: int) -> int:
        """Compute up to some slots further, and schedule one more, which is the answer."""
        for slot in range(last + 1, last + slots + 1):
            self.send(process)
            if slot >= last + slots - 2:
                # Between these there may be a snapshot, or not: as in use.
                self.compute(process, slot)
        self.send(process)
        return last + slots + 1

    def _post(self, request: bytes) -> None:
        answer = exchange(self._load.port, request)
        if b"\r\nslot: " not in answer:
            raise RuntimeError(f"This is no slot: {answer[:600]!r}")


def slot_target(process: str, slot: int) -> str:
    """Where the state after a slot is read."""
    return f"/{process}~process@1.0/compute&slot={slot}"


def reading(program: Program, seconds: float) -> list[Result]:
    """A computed slot against a stored result, sixteen connections, in turn on one node."""
    with Load.of_node() as load:
        client = Client(load, program)
        process = client.spawn("read")
        client.send(process)
        client.compute(process, 1)
        plain = load.rate("process.read_plain", _stored(load), seconds)
        slot = load.rate("process.read_slot", slot_target(process, 1), seconds, note=program.name)
    note = "a computed slot against a plain stored result, per CPU time of the node"
    return [slot, summary("process.read_slot_ratio", [slot.value / plain.value], "", note=note)]


def resuming(program: Program) -> Result:
    """The first answer of a process after the node has started again.

    Another process, of another program, has been asked before: what a node loads with its first
    process is part of its start.
    """
    times = []
    with tempfile.TemporaryDirectory() as folder:
        home, other = Path(folder), stand_in()
        artefacts = f"wasm-artefacts={home / 'artefacts'}"
        with Load.of_node(artefacts, home=home) as load:
            client = Client(load, program)
            process = client.spawn("cold")
            last = client.go_on(process, 0, 5)
        for turn in range(ROUNDS):
            with Load.of_node(artefacts, home=home) as load:
                client, first = Client(load, program), Client(load, other)
                first.compute(first.spawn(turn), 0)
                begun = time.perf_counter()
                client.compute(process, last)
                times.append(time.perf_counter() - begun)
                last = client.go_on(process, last, 5)
    note = f"{program.name}; a node that has just started, over HTTP, slots behind a snapshot"
    return summary("process.resume_cold", times, "s", "lower", note)


def resident(program: Program, count: int) -> Result:
    """Memory of a node above what it has at rest, after `count` processes of one slot each."""
    with Load.of_node(f"process-workers-max={WARM}") as load:
        exchange(load.port, get_request("/~meta@1.0/info/address", {}))
        idle = load.resident()
        client = Client(load, program)
        for number in range(count):
            process = client.spawn(number)
            client.send(process)
            client.compute(process, 1)
        grown = load.resident() - idle
    note = f"{program.name}, {count} processes, {WARM} of them warm"
    return summary("process.rss_1000", [grown], "MB", "lower", note)
