"""Signatures and items: what it costs that anyone can verify what a node says."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator

from bench import crypto
from bench.load import ROUNDS, Load
from bench.suite_http import _stored
from bench.timing import Result, summary
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.deep_hash import BlobHash
from hyperbeam_trio.crypto.item_header import ItemHeader
from hyperbeam_trio.crypto.wallet import Ed25519Wallet

MIB = 1 << 20


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
    """An item of `size` MiB over HTTP: verified, and stored in LMDB."""
    head = _signed_head(size)
    with Load.of_node() as load:
        _upload(load.port, _signed_head(8).raw, 8)
        before = load.resident()
        peak = _Peak(load)
        begun = time.perf_counter()
        answer = _upload(load.port, head.raw, size)
        took = time.perf_counter() - begun
        grown = peak.finish() - before
    if b" 200 " not in answer:
        raise RuntimeError(f"The item was refused: {answer!r}")
    note = f"{size} MiB over HTTP into LMDB"
    return [
        summary("ans104.item_1g_mb_s", [size * MIB / 1e6 / took], "MB/s", note=note),
        summary("ans104.item_1g_rss", [grown], "MB", "lower", note),
    ]


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
        for piece in _pieces(size):
            connection.sendall(piece)
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

    Each the median of `ROUNDS`, which alternate, for whatever else the machine does meanwhile.
    """
    idle, busy = [], []
    with Load.of_node(identity="rsa") as load:
        for _ in range(ROUNDS):
            idle.append(load.p99(PLAIN, seconds / ROUNDS))
            with load.keeping_busy(FRESH, 8):
                busy.append(load.p99(PLAIN, seconds / ROUNDS))
    before, after = statistics.median(idle), statistics.median(busy)
    note = f"idle {1000 * before:.2f} ms, busy {1000 * after:.2f} ms"
    return summary("signed.loop_lag_ratio", [after / before], "", "lower", note)
