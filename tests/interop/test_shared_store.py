"""Three nodes on one bucket, each a process: all of them schedule, and one is killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import trio

from hyperbeam_trio.cache import Cache
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import load_wallet, save_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet
from hyperbeam_trio.devices.scheduling.slots import Slots
from hyperbeam_trio.message import Message
from hyperbeam_trio.store import open_stores
from tests.devices.scheduling.world import ping, signed
from tests.interop.seaweed import Seaweed

CLIENTS = 6
MESSAGES = 10
"""Of each client."""


@contextmanager
def node_process(stores: list[str], wallet: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A node's URL, and its process to kill."""
    command = [sys.executable, "-m", "hyperbeam_trio", "start", "--port", "0"]
    command += [part for store in stores for part in ("--store", store)]
    process = subprocess.Popen(
        [*command, "--wallet", str(wallet)], stdout=subprocess.PIPE, text=True, cwd=wallet.parent
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        yield url, process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def post(client: httpx.AsyncClient, url: str, message: Message) -> int:
    """The slot that a node gives a message."""
    request = await signed(
        Message(path="/~scheduler@1.0/schedule", method="POST").set(body=message)
    )
    encoded = encode(request, bundle=True)
    headers = [(name.encode(), value) for name, value in encoded.headers]
    answer = await client.post(
        f"{url.rstrip('/')}/~scheduler@1.0/schedule", headers=headers, content=encoded.body or b""
    )
    answer.raise_for_status()
    return int(answer.headers["slot"])


async def post_to_any(client: httpx.AsyncClient, urls: list[str], message: Message) -> int:
    """The same, from the first node that answers."""
    for url in urls:
        try:
            return await post(client, url, message)
        except httpx.HTTPError:
            continue
    raise RuntimeError("No node answered.")


async def test_three_nodes_share_the_slots_of_a_process(seaweed: Seaweed, tmp_path: Path) -> None:
    wallet = tmp_path / "key.json"
    save_wallet(Ed25519Wallet(bytes([5]) * 32), wallet)
    store = seaweed.uri("shared-slots", retries=20, timeout=60)
    with ExitStack() as stack:
        # Two keep a copy nearby, which is behind as soon as another node has written.
        rows = [[store], [f"lmdb:{tmp_path}/1", store], [f"lmdb:{tmp_path}/2", store]]
        nodes = [stack.enter_context(node_process(row, wallet)) for row in rows]
        urls = [url for url, _ in nodes]
        async with httpx.AsyncClient(timeout=60) as client:
            process = await signed(
                Message(
                    {
                        "device": "process@1.0",
                        "type": "Process",
                        "execution-device": "test-device@1.0",
                        "scheduler": load_wallet(wallet).address,
                    }
                )
            )
            assert await post(client, urls[0], process) == 0
            slots = await _crowd(client, urls, signed_id(process), nodes[1][1])
            newest = [await _current(client, url, signed_id(process)) for url in urls[::2]]
    # A message whose node died before it answered was posted again, and may have two slots.
    assert len(slots) == len(set(slots)) == CLIENTS * MESSAGES
    assert max(slots) <= newest[0] == newest[1] <= CLIENTS * MESSAGES + CLIENTS
    assignments = await _assignments(store, signed_id(process), newest[0])
    assert [assignment.int("slot") for assignment in assignments] == list(range(newest[0] + 1))


async def _current(client: httpx.AsyncClient, url: str, process: str) -> int:
    answer = await client.get(f"{url}/~scheduler@1.0/slot/current", params={"target": process})
    answer.raise_for_status()
    return int(answer.text)


async def _assignments(uri: str, process: str, newest: int) -> list[Message]:
    """What the store holds; a hole is an error, a slot behind the newest one too."""
    store = await open_stores([uri])
    try:
        slots = Slots(Cache(store), process)
        assert await slots.read(newest + 1) is None
        found = [await slots.read(slot) for slot in range(newest + 1)]
    finally:
        await store.close()
    assert all(isinstance(assignment, Message) for assignment in found)
    return [assignment for assignment in found if assignment is not None]


async def _crowd(
    client: httpx.AsyncClient, urls: list[str], process: str, victim: subprocess.Popen[str]
) -> list[int]:
    """The slots that all clients got, each beginning at another node; one node dies meanwhile."""
    slots: list[int] = []

    async def work(number: int) -> None:
        row = urls[number % 3 :] + urls[: number % 3]
        for count in range(MESSAGES):
            message = await ping(process, number=f"{number}-{count}")
            slots.append(await post_to_any(client, row, message))
            if len(slots) == CLIENTS * MESSAGES // 3:
                victim.kill()

    async with trio.open_nursery() as nursery:
        for number in range(CLIENTS):
            nursery.start_soon(work, number)
    return slots
