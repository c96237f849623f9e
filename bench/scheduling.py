"""How fast messages get their slots over HTTP, durably: `process.schedule_*`.

The node runs in a process of its own on LMDB; 16 connections post messages that were signed
beforehand, each a message of its own, to one process.
"""

from __future__ import annotations

import os
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, takewhile
from pathlib import Path

import trio

from bench.load import Load
from hyperbeam_trio.codec.commit import commit_signed
from hyperbeam_trio.codec.httpsig import encode
from hyperbeam_trio.codec.ids import signed_id
from hyperbeam_trio.crypto.key_file import load_wallet
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet, Wallet
from hyperbeam_trio.message import Message

CONNECTIONS = 16
ROUNDS = 5
PATH = "/~scheduler@1.0/schedule"


def measure(quick: bool = False) -> Mapping[str, float]:
    """`process.schedule_rsa_ratio` and what it is made of; `process.schedule_ed25519`."""
    seconds = 0.6 if quick else 2.0
    with Load.of_node(identity="rsa") as node:
        raw, posted = _rsa(node, seconds)
    with Load.of_node(identity="ed25519") as node:
        fast = _ed25519(node, seconds)
    ratios = [rate / most for rate, most in zip(posted, raw, strict=True)]
    return {
        "process.schedule_rsa_ratio": statistics.median(ratios),
        "process.schedule_rsa": statistics.median(posted),
        "process.rsa_sign_all_cores": statistics.median(raw),
        "process.schedule_ed25519": statistics.median(fast),
    }


def _rsa(node: Load, seconds: float) -> tuple[list[float], list[float]]:
    """Signatures a second of all cores, and slots a second, in turn."""
    wallet = RsaWallet.generate()
    cores = os.cpu_count() or 1
    most = sign_rate(wallet, cores, 0.3)
    requests = iter(make_requests(node, int(most * seconds * (ROUNDS + 1) * 1.2)))
    post(node.port, requests, seconds / 2)
    raw, posted = [], []
    for _ in range(ROUNDS):
        raw.append(sign_rate(wallet, cores, seconds / 2))
        posted.append(post(node.port, requests, seconds))
    return raw, posted


def _ed25519(node: Load, seconds: float) -> list[float]:
    requests = iter(make_requests(node, int(5000 * seconds * (ROUNDS + 1))))
    post(node.port, requests, seconds / 2)
    return [post(node.port, requests, seconds) for _ in range(ROUNDS)]


def sign_rate(wallet: Wallet, threads: int, seconds: float) -> float:
    """Signatures a second of several threads together, of about what an assignment signs."""
    data = b"x" * 1100
    counts = [0] * threads
    end = time.perf_counter() + seconds

    def work(place: int) -> None:
        while time.perf_counter() < end:
            wallet.sign(data)
            counts[place] += 1

    begun = time.perf_counter()
    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begun)


def make_requests(node: Load, count: int) -> Sequence[bytes]:
    """Requests that post messages to a new process, whose definition is scheduled."""
    return make_process(node, count, node.folder / "hyperbeam-key.json")[1]


def make_process(node: Load, count: int, wallet: Path) -> tuple[str, Sequence[bytes]]:
    """A new process, scheduled on `node` under the address of `wallet`, and messages to it."""
    return trio.run(_make_process, node.port, load_wallet(wallet).address, count)


async def _make_process(port: int, address: str, count: int) -> tuple[str, Sequence[bytes]]:
    user = Ed25519Wallet.generate()
    limiter = trio.CapacityLimiter(1)
    definition = await commit_signed(
        Message(
            {
                "device": "process@1.0",
                "type": "Process",
                "scheduler": address,
                "execution-device": "test-device@1.0",
                "random-seed": os.urandom(8).hex(),
            }
        ),
        user,
        limiter=limiter,
    )
    process = signed_id(definition)
    if post(port, iter([_request(definition)]), 30, connections=1) <= 0:
        raise RuntimeError("The process was not scheduled.")
    made = []
    for number in range(count):
        message = Message(type="Message", target=process, action="Ping", data=f"message {number}")
        made.append(_request(await commit_signed(message, user, limiter=limiter)))
    return process, made


def _request(message: Message) -> bytes:
    encoded = encode(message, bundle=True)
    body = encoded.body or b""
    lines = [f"POST {PATH} HTTP/1.1".encode(), b"host: bench"]
    lines += [name.encode() + b": " + value for name, value in encoded.headers]
    lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def post(
    port: int, requests: Iterator[bytes], seconds: float, *, connections: int = CONNECTIONS
) -> float:
    """Answers a second, with `connections` kept busy until the time or the requests are over."""
    begun = time.perf_counter()
    end = begun + seconds
    first = list(islice(requests, connections))
    in_time = chain(first, takewhile(lambda _: time.perf_counter() < end, requests))
    slots = post_all([port] * len(first), in_time)
    return len(slots) / (time.perf_counter() - begun)


def post_all(ports: Sequence[int], requests: Iterator[bytes]) -> list[int]:
    """The slots that were answered, with a connection to each of `ports` kept busy.

    Raises `RuntimeError` with an answer that is no slot.
    """
    slots: list[int] = []
    with selectors.DefaultSelector() as selector:
        for port, request in zip(ports, requests, strict=False):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
        while selector.get_map():
            for event, _ in selector.select():
                connection = event.fileobj
                assert isinstance(connection, socket.socket)
                slots.append(_slot_of(connection.recv(65536)))
                next_request = next(requests, None)
                if next_request is None:
                    selector.unregister(connection)
                    connection.close()
                else:
                    connection.sendall(next_request)
    return slots


def _slot_of(answer: bytes) -> int:
    head = answer.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        if line.startswith(b"slot: "):
            return int(line[6:])
    raise RuntimeError(f"This is no slot: {answer[:600]!r}")


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:34} {value:10.3f}")
