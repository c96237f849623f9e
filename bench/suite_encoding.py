"""How fast messages get ids and encodings, are signed, and are verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import trio

from bench.timing import Result, rate
from hyperbeam_trio.codec.ans104 import ANS104, commit_ans104
from hyperbeam_trio.codec.commit import commit_signed, commit_unsigned, verify
from hyperbeam_trio.codec.components import bases
from hyperbeam_trio.codec.httpsig import HTTPSIG
from hyperbeam_trio.codec.ids import fresh_id
from hyperbeam_trio.codec.json import JSON
from hyperbeam_trio.commitment import Commitment
from hyperbeam_trio.crypto.keyid import Keyid, verify_signature
from hyperbeam_trio.crypto.wallet import RsaWallet, Wallet
from hyperbeam_trio.message import Message, Value

TEN_KEYS: dict[str, Value] = {
    **{f"key-{number}": b"value" for number in range(6)},
    "body": b"b" * 300,
    "count": 7,
    "ratio": 1.5,
    "flag": True,
}
NESTED: dict[str, Value] = {
    "a": Message({"b": {"c": 1}, "k": "v"}),
    "list": [1, b"two", 3.0],
    "top": b"t",
}

Calls = dict[str, Callable[[], object]]


def run(quick: bool) -> list[Result]:
    """On messages that were never seen before; and how near whole checks are to bare ones."""
    seconds = 0.05 if quick else 0.3
    calls = {**_encoding(), **trio.run(_signed, RsaWallet.generate())}
    found = {name: rate(f"encoding.{name}", call, seconds) for name, call in calls.items()}
    bare = found["verify_rsa_raw"].value
    ratios = [
        Result(f"{found[name].name}_ratio", found[name].value / bare, "", note="to the bare check")
        for name in ("verify_rsa", "verify_rsa_received")
    ]
    return [*found.values(), *ratios]


def fresh(items: dict[str, Value]) -> Message:
    """A message that knows nothing about itself yet."""
    return Message.of(dict(items))


def _encoding() -> Calls:
    flat, nested = fresh(TEN_KEYS), fresh(NESTED)
    sent, whole = HTTPSIG.encode(flat, bundle=False), HTTPSIG.encode(nested, bundle=True)
    text = JSON.to_bytes(nested, bundle=True)
    without_body = {key: value for key, value in TEN_KEYS.items() if key != "body"}
    return {
        "unsigned_id": lambda: fresh_id(fresh(without_body)),
        "unsigned_id_body": lambda: fresh_id(fresh(TEN_KEYS)),
        "httpsig_encode": lambda: HTTPSIG.encode(fresh(TEN_KEYS), bundle=False),
        "httpsig_decode": lambda: HTTPSIG.decode(sent.headers, sent.body),
        "httpsig_encode_nested": lambda: HTTPSIG.encode(fresh(NESTED), bundle=True),
        "httpsig_decode_nested": lambda: HTTPSIG.decode(whole.headers, whole.body),
        "json_encode": lambda: JSON.to_bytes(nested, bundle=True),
        "json_decode": lambda: JSON.from_bytes(text),
    }


async def _signed(wallet: Wallet) -> Calls:
    limiter = trio.CapacityLimiter(1)
    signed = await commit_signed(fresh(TEN_KEYS), wallet, limiter=limiter)
    commitment = next(c for c in signed.commitments.values() if c.committer is not None)
    sent = HTTPSIG.encode(signed, bundle=False)
    item = ANS104.to_bytes(
        await commit_ans104(fresh(TEN_KEYS), wallet, limiter=limiter), bundle=False
    )
    return {
        "commit_unsigned": lambda: commit_unsigned(fresh(TEN_KEYS)),
        "base": lambda: next(bases(fresh(TEN_KEYS), commitment)),
        "verify_rsa_raw": _raw(commitment),
        "verify_rsa": lambda: verify(signed, commitment),
        "verify_rsa_rebuilt": _rebuilt(commitment),
        "signed_decode": lambda: HTTPSIG.decode(sent.headers, sent.body),
        "signed_encode": lambda: HTTPSIG.encode(signed, bundle=False),
        "verify_rsa_received": lambda: _received(sent.headers, sent.body),
        "ans104_decode": lambda: ANS104.from_bytes(item),
        "ans104_encode": lambda: ANS104.to_bytes(fresh(TEN_KEYS), bundle=False),
    }


def _raw(commitment: Commitment) -> Callable[[], object]:
    keyid = Keyid.parse(commitment.keyid or "", commitment.type)
    base = commitment.evidence.base if commitment.evidence is not None else None
    if base is None:
        raise ValueError("The commitment says nothing about its base.")
    return lambda: verify_signature(commitment.type, keyid, base, commitment.signature)


def _rebuilt(commitment: Commitment) -> Callable[[], object]:
    bare = replace(commitment, evidence=None)
    return lambda: verify(fresh(TEN_KEYS), bare)


def _received(headers: list[tuple[str, bytes]], body: bytes | None) -> bool:
    message = HTTPSIG.decode(headers, body)
    return all(verify(message, commitment) for commitment in message.commitments.values())
