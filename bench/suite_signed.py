"""Signatures and items: what it costs that anyone can verify what a node says."""

from __future__ import annotations

import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator

import lmdb

from bench import crypto
from bench.load import ROUNDS, Load, cpu_seconds
from bench.suite_http import _stored
from bench.timing import Result, summary
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.item_header import ItemHeader
from hyperbeam_trio.crypto.wallet import Ed25519Wallet

MIB = 1 << 20
UPLOADS = 3


def run(quick: bool) -> list[Result]:
    """signed.*, and ans104.*: the table of the issue about signatures."""
    measured = crypto.measure(quick)
    ratio = measured["signed.rsa_verify_with_base"] / measured["signed.rsa_verify"]
    results = [
        summary("signed.base", [measured["signed.base"]], "/s"),
        summary("signed.verify_rsa_ratio", [ratio], "", note="whole message against raw verify"),
        summary("ans104.bundle_items", [measured["ans104.bundle_items"]], "items/s"),
    ]
    results += _answers(2.0 if quick else 6.0)
    results += _uploaded(128 if quick else 1024)
    results.append(_lag(2.0 if quick else 6.0))
    return results


def _answers(seconds: float) -> list[Result]:
    """Answers signed once and kept, and answers signed afresh, against unsigned ones."""
    with Load.of_node("force-signed=false") as plain, Load.of_node("force-signed=true") as signed:
        target = _stored(plain)
        unsigned = plain.rate("signed.get_unsigned", target, seconds)
        kept = signed.rate("signed.get_stored", _stored(signed), seconds)
        fresh_plain = plain.rate("signed.fresh_unsigned", FRESH, seconds)
        fresh = signed.rate("signed.ed25519_fresh", FRESH, seconds)
    return [
        unsigned,
        kept,
        fresh_plain,
        fresh,
        summary("signed.get_stored_ratio", [kept.value / unsigned.value], ""),
        summary("signed.ed25519_fresh_ratio", [fresh.value / fresh_plain.value], ""),
    ]


FRESH = "/~meta@1.0/is-operator"
PLAIN = "/~meta@1.0/build/node"


def _uploaded(size: int) -> list[Result]:
    """An item of `size` MiB over HTTP: verified, and stored in LMDB; and what LMDB alone takes."""
    head = _signed_head(size)
    floors = []
    runs = []
    for _ in range(UPLOADS):
        floors.append(_lmdb_rate(size // 4))
        runs.append(_upload_once(head, size))
    rates, cpu, grown = zip(*runs, strict=True)
    note = f"{size} MiB over HTTP into LMDB"
    floor = f"1 MiB parts, 4 to a durable transaction, {size // 4} MiB, in turns with the former"
    return [
        summary("ans104.item_1g_mb_s", rates, "MB/s", note=note),
        summary("ans104.item_1g_cpu", cpu, "s/GiB", "lower", "CPU time of the node"),
        summary("ans104.lmdb_mb_s", floors, "MB/s", note=floor),
        summary("ans104.item_1g_rss", [max(grown)], "MB", "lower", note),
    ]


def _upload_once(head: ItemHeader, size: int) -> tuple[float, float, float]:
    """MB/s, seconds of CPU time for a GiB, and the MB by which a fresh node grew."""
    with Load.of_node() as load:
        _upload(load.port, _signed_head(8).raw, 8)
        before, used = load.resident(), cpu_seconds(load.process.pid)
        peak = _Peak(load)
        begun = time.perf_counter()
        answer = _upload(load.port, head.raw, size)
        took = time.perf_counter() - begun
        grown = peak.finish() - before
        used = cpu_seconds(load.process.pid) - used
    if b" 200 " not in answer:
        raise RuntimeError(f"The item was refused: {answer!r}")
    return size * MIB / 1e6 / took, used * 1024 / size, grown


def _lmdb_rate(size: int) -> float:
    """MB/s of durable writes to LMDB, of which the item's parts are some, and nothing else."""
    pieces = list(_pieces(4))
    with tempfile.TemporaryDirectory() as folder:
        environment = lmdb.open(folder, map_size=4 * size * MIB)
        begun = time.perf_counter()
        for start in range(0, size, len(pieces)):
            with environment.begin(write=True) as transaction:
                for number, piece in enumerate(pieces, start):
                    transaction.put(b"%043d" % number, piece)
        took = time.perf_counter() - begun
        environment.close()
    return size * MIB / 1e6 / took


def _pieces(size: int) -> Iterator[bytes]:
    """`size` different MiB, of which every part is content of its own."""
    rest = bytes(MIB - 8)
    return (number.to_bytes(8, "little") + rest for number in range(size))


def _signed_head(size: int) -> ItemHeader:
    """The header of a signed item, whose data is never there as a whole."""
    wallet = Ed25519Wallet.generate()
    content = BlobHash()
    for piece in _pieces(size):
        content.update(piece)
    draft = DataItem.create(b"", [(b"Name", b"value")]).sign(wallet)
    signature = wallet.sign(draft.digest_with(content.digest()))
    raw = draft.raw[:2] + signature + draft.raw[2 + len(signature) :]
    return DataItem.parse(raw)


def _upload(port: int, head: bytes, size: int) -> bytes:
    """Send an item; the status line of the answer."""
    lines = (
        "POST /~meta@1.0/build/node HTTP/1.1",
        "host: bench",
        "content-type: application/ans104",
        f"content-length: {len(head) + size * MIB}",
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + head)
        rest = bytes(MIB - 8)
        for number in range(size):
            # Not joined: what a client costs is not what is measured.
            connection.sendall(number.to_bytes(8, "little"), socket.MSG_MORE)
            connection.sendall(rest)
        return connection.recv(65536).partition(b"\r\n")[0]


class _Peak:
    """The most memory that a server has while something goes on."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._most = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self._most = max(self._most, self._load.resident())

    def finish(self) -> float:
        self._ended.set()
        self._thread.join()
        return max(self._most, self._load.resident())


def _lag(seconds: float) -> Result:
    """p99 of a plain GET while 8 clients make the node sign with RSA, against idle.

    Until the answer is at the client's socket: what the client waits after that, for a core that
    the node's signatures or its other clients have, is no lag of the node's loop. Each the median
    of `ROUNDS`, which alternate, for whatever else the machine does meanwhile.
    """
    idle, busy = [], []
    with Load.of_node(identity="rsa") as load:
        for _ in range(ROUNDS):
            idle.append(load.p99(PLAIN, seconds / ROUNDS))
            with load.keeping_busy(FRESH, 8):
                busy.append(load.p99(PLAIN, seconds / ROUNDS))
    before, after = (1000 * statistics.median(p.came for p in each) for each in (idle, busy))
    read, later = (1000 * statistics.median(p.read for p in each) for each in (idle, busy))
    note = f"idle {before:.2f} ms, busy {after:.2f} ms; until read {read:.2f} and {later:.2f} ms"
    return summary("signed.loop_lag_ratio", [after / before], "", "lower", note)
