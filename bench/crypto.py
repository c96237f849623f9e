"""How fast bytes are signed, verified, and indexed."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha384

from bench.timing import rate
from hyperbeam_trio.crypto import rsa
from hyperbeam_trio.crypto.bundle import Bundle, build_bundle
from hyperbeam_trio.crypto.data_item import DataItem
from hyperbeam_trio.crypto.item_stream import read_pieces
from hyperbeam_trio.crypto.keyid import CONSTANT_AO, Keyid, hmac_sha256, verify_signature
from hyperbeam_trio.crypto.signature_base import content_digest, signature_base
from hyperbeam_trio.crypto.signature_headers import parse_input
from hyperbeam_trio.crypto.wallet import Ed25519Wallet, RsaWallet

ALGORITHM = "rsa-pss-sha512"
MIB = 1 << 20
UNSIGNED = {"alg": "hmac-sha256", "keyid": CONSTANT_AO}
KEYS = tuple(f"header-{n}" for n in range(9))
BODY = b"b" * 300


def measure(quick: bool = False) -> Mapping[str, float]:
    """Operations a second (CPU), MB/s (wall) and MiB; `quick` shortens all of it."""
    seconds = 0.05 if quick else 0.4
    return {**_bases(seconds), **_signatures(seconds), **_items(32 if quick else 256, seconds)}


def _bases(seconds: float) -> Mapping[str, float]:
    base, params = _fresh_base()
    header = ", ".join(f"comm-{n}={params}" for n in "ab")
    return {
        "signed.base": _rate(_fresh_base, seconds),
        "signed.hmac_id": _rate(lambda: hmac_sha256(CONSTANT_AO.encode(), base), seconds),
        "signed.parse_input": _rate(lambda: parse_input(header), seconds),
    }


def _fresh_base() -> tuple[bytes, str]:
    lines = [(key, b"some value") for key in KEYS]
    lines.insert(0, ("content-digest", content_digest(BODY).encode()))
    return signature_base(lines, UNSIGNED)


def _signatures(seconds: float) -> Mapping[str, float]:
    wallet = RsaWallet.generate()
    fast = Ed25519Wallet.generate()
    base, _ = _fresh_base()
    signature = wallet.sign(base)

    def whole() -> None:
        fresh, _ = _fresh_base()
        keyid = Keyid.parse(wallet.keyid, ALGORITHM)
        if not verify_signature(ALGORITHM, keyid, fresh, signature):
            raise RuntimeError("A signature over the same base does not hold.")

    return {
        "signed.rsa_sign": _rate(lambda: wallet.sign(base), seconds),
        "signed.rsa_verify": _rate(
            lambda: rsa.verify(ALGORITHM, wallet.public, signature, base), seconds
        ),
        "signed.rsa_verify_with_base": _rate(whole, seconds),
        "signed.ed25519_sign": _rate(lambda: fast.sign(base), seconds),
    }


def _items(size: int, seconds: float) -> Mapping[str, float]:
    wallet = Ed25519Wallet.generate()
    small = DataItem.create(b"data", [(b"Name", b"value")]).sign(wallet)
    bundle = build_bundle([(small.id, small)] * 10_000)
    raw = small.to_bytes()
    before = _resident()
    streamed = _stream_rate(size)
    return {
        "ans104.item_mb_s": streamed,
        "ans104.item_rss_mib": _resident() - before,
        "ans104.sha384_mb_s": _hash_rate(size),
        "ans104.item_parse": _rate(lambda: DataItem.parse(raw), seconds),
        "ans104.item_verify": _rate(lambda: DataItem.parse(raw).verify(), seconds),
        "ans104.bundle_index": 10_000 * _rate(lambda: Bundle(bundle), seconds),
        "ans104.bundle_items": 10_000 * _rate(lambda: list(Bundle(bundle)), seconds),
    }


def _stream_rate(size: int) -> float:
    head = DataItem.create(b"", [(b"Name", b"value")]).raw
    piece = bytes(MIB)

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(size):
            yield piece

    start = time.perf_counter()
    read_pieces(pieces())
    return size * MIB / 1e6 / (time.perf_counter() - start)


def _hash_rate(size: int) -> float:
    piece, running = bytes(MIB), sha384()
    start = time.perf_counter()
    for _ in range(size):
        running.update(piece)
    return size * MIB / 1e6 / (time.perf_counter() - start)


def _resident() -> float:
    """The most memory that this process has had so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _rate(call: Callable[[], object], seconds: float) -> float:
    return rate("", call, seconds).value


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:32} {value:14,.1f}")
