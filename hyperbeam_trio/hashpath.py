"""Chaining base and request ids: how a value was computed, in one text (spec/03 §8).

A hashpath is `<43 characters>/<request part>`, or an id alone where nothing was computed. The left
part commits to everything before the last request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from hyperbeam_trio.codec.ids import unsigned_id
from hyperbeam_trio.crypto.encoding import hash_id, human_id, is_id, native_id
from hyperbeam_trio.errors import BadRequest
from hyperbeam_trio.message import Link, Message, Value, as_text, describe, enumerated

DEFAULT_ALGORITHM: Final = "sha-256-chain"
_MODULUS: Final = 1 << 256


def sha256_chain(left: bytes, right: bytes) -> bytes:
    """SHA-256 of the 32 bytes of an id and of a request part behind them."""
    return sha256(left + right).digest()


def accumulate_256(left: bytes, right: bytes) -> bytes:
    """The sum of two 32-byte numbers modulo 2^256; `BadRequest` for another length."""
    if len(left) != 32 or len(right) != 32:
        raise BadRequest(
            f"accumulate-256 adds ids of 32 bytes; a part of {len(right)} bytes can't be added."
        )
    total = int.from_bytes(left, "big") + int.from_bytes(right, "big")
    return (total % _MODULUS).to_bytes(32, "big")


ALGORITHMS: Final[Mapping[str, Callable[[bytes, bytes], bytes]]] = {
    "sha-256-chain": sha256_chain,
    "accumulate-256": accumulate_256,
}


def hashpath(base: Message, request: Message) -> str:
    """The hashpath of what `request` makes of `base`, by the `hashpath-alg` of `base`.

    Raises `BadRequest` if the algorithm can't take the parts, or a message has no id.
    """
    return extend(hashpath_of(base), request_part(request), algorithm_of(base))


def hashpath_of(value: Value) -> str:
    """How a value was computed if that is known, else its id; of a binary its hash.

    A list stands as the numbered message that it is as a base.
    """
    if isinstance(value, Message):
        return value.hashpath or unsigned_id(value)
    if isinstance(value, bytes):
        return hash_id(value)
    if isinstance(value, list):
        return unsigned_id(enumerated(value))
    if isinstance(value, Link):
        return value.id
    raise BadRequest(f"There is no hashpath of {describe(value)}.")


def request_part(request: Message) -> str:
    """What stands for a request: its first key if it has nothing but a path, else its id."""
    if len(request) == 1 and not request.commitments and (key := _first_key(request.get("path"))):
        return key
    return unsigned_id(request)


def _first_key(path: Value) -> str:
    if isinstance(path, Link):
        return path.id
    if isinstance(path, list):
        path = path[0] if path else b""
    text = as_text(path) or ""
    return text.lstrip("/").partition("/")[0]


def algorithm_of(base: Message) -> str:
    """The algorithm that a base names; the default for none, and for one that nobody knows."""
    named = base.text("hashpath-alg", DEFAULT_ALGORITHM)
    return named if named in ALGORITHMS else DEFAULT_ALGORITHM


def extend(left: str, part: str, algorithm: str = DEFAULT_ALGORITHM) -> str:
    """The hashpath `left` with one more request part behind it.

    Raises `BadRequest` for a hashpath of more than two parts, and for one that begins with a
    42-character address: an address is no hash to chain.
    """
    first, slash, second = left.partition("/")
    if not slash:
        return f"{left}/{part}"
    if "/" in second:
        raise BadRequest(f"A hashpath has one or two parts, unlike {left[:140]!r}.")
    combine = ALGORITHMS[algorithm]
    return f"{human_id(combine(native_id(first), _part_bytes(second)))}/{part}"


def _part_bytes(part: str) -> bytes:
    return native_id(part) if len(part) == 43 and is_id(part) else part.encode()


def verify_history(history: Sequence[Message]) -> bool:
    """Whether every third message of a history names the two before it as its origin.

    `[m1, m2, m3, …]` holds if `hashpath(m1, m2)` is the hashpath of `m3`, and `[m2, m3, …]` holds.
    """
    return all(
        hashpath(history[place], history[place + 1]) == hashpath_of(history[place + 2])
        for place in range(len(history) - 2)
    )
